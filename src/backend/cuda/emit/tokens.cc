#include "backend/cuda/emit/tokens.h"

#include <cctype>

namespace planish::cuda {
namespace {

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

size_t end_of_line(std::string_view s, size_t at) {
  while (at < s.size() && !(s[at] == '\n' && s[at - 1] != '\\')) ++at;
  return at;
}

size_t end_of_string(std::string_view s, size_t at) {
  const char quote = s[at++];
  while (at < s.size() && s[at] != quote) at += s[at] == '\\' ? 2 : 1;
  return std::min(at + 1, s.size());
}

// Digits, letters, points and the signs of exponents.
size_t end_of_number(std::string_view s, size_t at) {
  const bool hex = s.substr(at, 2) == "0x" || s.substr(at, 2) == "0X";
  for (size_t i = at;; ++i) {
    if (i >= s.size()) return i;
    if (is_word(s[i]) || s[i] == '.') continue;
    const char before = char(std::tolower(s[i - 1]));
    if ((s[i] == '+' || s[i] == '-') && i > at && before == (hex ? 'p' : 'e')) continue;
    return i;
  }
}

}  // namespace

std::vector<Token> tokens_of(std::string_view s) {
  std::vector<Token> out;
  bool line_begins = true;
  for (size_t at = 0; at < s.size();) {
    const char c = s[at];
    if (std::isspace(static_cast<unsigned char>(c))) {
      line_begins |= c == '\n';
      ++at;
      continue;
    }
    size_t end = at + 1;
    Token::Kind kind = Token::Kind::kSign;
    if (s.substr(at, 2) == "//") {
      at = end_of_line(s, at);
      continue;
    }
    if (s.substr(at, 2) == "/*") {
      const size_t close = s.find("*/", at + 2);
      at = close == std::string_view::npos ? s.size() : close + 2;
      continue;
    }
    if (c == '#' && line_begins) {
      kind = Token::Kind::kDirective;
      end = end_of_line(s, at);
    } else if (c == '"' || c == '\'') {
      kind = Token::Kind::kString;
      end = end_of_string(s, at);
    } else if (is_digit(c) || (c == '.' && at + 1 < s.size() && is_digit(s[at + 1]))) {
      kind = Token::Kind::kNumber;
      end = end_of_number(s, at);
    } else if (is_word(c)) {
      kind = Token::Kind::kName;
      while (end < s.size() && is_word(s[end])) ++end;
    }
    out.push_back({kind, s.substr(at, end - at)});
    at = end;
    line_begins = false;
  }
  return out;
}

size_t behind_bracket(const std::vector<Token>& tokens, size_t open) {
  const std::string_view begin = tokens[open].text;
  const std::string_view end = begin == "(" ? ")" : begin == "[" ? "]" : begin == "{" ? "}" : ">";
  int depth = 0;
  for (size_t i = open; i < tokens.size(); ++i) {
    if (tokens[i].kind != Token::Kind::kSign) continue;
    if (tokens[i].text == begin) ++depth;
    else if (tokens[i].text == end && --depth == 0) return i + 1;
  }
  return tokens.size();
}

}  // namespace planish::cuda
