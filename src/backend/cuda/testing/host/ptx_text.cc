#include "backend/cuda/testing/host/ptx_text.h"

#include <cctype>
#include <vector>

#include "base/text.h"

namespace planish::cuda {
namespace {

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }
bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

std::string trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return std::string(text);
}

// Pieces between `separator` outside of brackets.
std::vector<std::string> pieces(std::string_view text, char separator) {
  std::vector<std::string> out;
  int depth = 0;
  std::string now;
  for (const char c : text) {
    depth += c == '(' || c == '[' || c == '{';
    depth -= c == ')' || c == ']' || c == '}';
    if (c == separator && depth == 0) {
      out.push_back(trimmed(now));
      now.clear();
    } else {
      now += c;
    }
  }
  if (!trimmed(now).empty() || !out.empty()) out.push_back(trimmed(now));
  return out;
}

// One asm statement, taken apart.
struct Statement {
  std::string text;                            // of the template
  std::vector<std::string> outputs, inputs;    // expressions
  size_t end = 0;                              // behind its semicolon
};

class Reader {
 public:
  Reader(const std::string& source, size_t at) : source_(source), at_(at) {}

  // Behind the word asm.
  Result<Statement> read() {
    Statement out;
    skip();
    if (source_.compare(at_, 8, "volatile") == 0) at_ += 8;
    skip();
    if (!take('(')) return error("expected ( behind asm");
    skip();
    while (peek() == '"') out.text += string();
    for (int section = 0; take(':'); ++section) {
      skip();
      while (peek() == '"') {
        string();
        if (peek() == '(') {
          std::string expression = bracketed();
          if (section < 2) (section ? out.inputs : out.outputs).push_back(std::move(expression));
        }
        if (take(',')) skip();
      }
    }
    if (!take(')') || !take(';')) return error("expected ); behind an asm statement");
    out.end = at_;
    return out;
  }

 private:
  Status error(const char* what) const {
    return internal_error(cat(what, " at: ", source_.substr(at_, 60)));
  }
  void skip() {
    while (at_ < source_.size() && is_space(source_[at_])) ++at_;
  }
  char peek() const { return at_ < source_.size() ? source_[at_] : '\0'; }
  bool take(char c) {
    skip();
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  std::string string() {
    std::string out;
    for (++at_; at_ < source_.size() && source_[at_] != '"'; ++at_) {
      if (source_[at_] != '\\') out += source_[at_];
      else out += source_[++at_] == 'n' || source_[at_] == 't' ? ' ' : source_[at_];
    }
    ++at_;
    skip();
    return out;
  }
  std::string bracketed() {
    const size_t begin = ++at_;
    for (int depth = 1; at_ < source_.size(); ++at_) {
      depth += source_[at_] == '(';
      depth -= source_[at_] == ')';
      if (depth == 0) break;
    }
    return source_.substr(begin, at_++ - begin);
  }

  const std::string& source_;
  size_t at_;
};

class Translator {
 public:
  Translator(const Statement& statement, int number) : statement_(statement), number_(number) {}

  Result<std::string> translate() {
    std::string out = "{ ";
    int operand = 0;
    for (const std::string& e : statement_.outputs) out += cat("auto& a", operand++, " = ", e, "; ");
    for (const std::string& e : statement_.inputs) out += cat("const auto a", operand++, " = (", e, "); ");
    PLANISH_RETURN_IF_ERROR(print_instructions());
    // Labels are declared in front of everything else of their block.
    return cat(out, "{ ", declared(), body_, "} }");
  }

 private:
  std::string declared() const {
    std::string out;
    for (const std::string& label : labels_) out += cat("__label__ ", label, "; ");
    return out;
  }

  Status print_instructions() {
    std::string text = statement_.text;
    size_t at = 0;
    while (at < text.size()) {
      if (is_space(text[at]) || text[at] == ';' || text[at] == '{' || text[at] == '}') {
        ++at;  // a brace in front of an instruction opens or closes a scope of registers
        continue;
      }
      size_t end = at;
      while (end < text.size() && (is_word(text[end]) || text[end] == '%' || text[end] == '=')) ++end;
      if (end < text.size() && text[end] == ':' && (end + 1 == text.size() || text[end + 1] != ':')) {
        labels_.push_back(label(text.substr(at, end - at)));
        body_ += cat(labels_.back(), ": ; ");
        at = end + 1;
        continue;
      }
      const size_t semicolon = text.find(';', at);
      if (semicolon == std::string::npos) return internal_error(cat("PTX without an end: ", text));
      PLANISH_RETURN_IF_ERROR(print_instruction(trimmed(text.substr(at, semicolon - at))));
      at = semicolon + 1;
    }
    return ok_status();
  }

  std::string label(const std::string& text) const {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '%') out += cat("_", number_);
      else if (text[i] != '=') out += text[i];
    }
    return out;
  }

  Status print_instruction(std::string text) {
    std::string condition;
    if (text[0] == '@') {
      const size_t space = text.find(' ');
      condition = text.substr(1, space - 1);
      text = trimmed(text.substr(space));
    }
    const size_t space = text.find_first_of(" \t");
    const std::string opcode = text.substr(0, space);
    const std::vector<std::string> operands =
        space == std::string::npos ? std::vector<std::string>() : pieces(text.substr(space), ',');
    if (opcode == ".reg") {
      const size_t kind = text.find(".pred");
      if (kind == std::string::npos) return internal_error(cat("registers that are not predicates: ", text));
      for (const std::string& name : pieces(text.substr(kind + 5), ',')) body_ += cat("bool ", name, " = false; ");
      return ok_status();
    }
    if (!condition.empty()) body_ += cat("if (", condition, ") ");
    if (opcode == "bra") {
      body_ += cat("goto ", label(operands.at(0)), "; ");
      return ok_status();
    }
    std::string lists, arguments, name;
    for (const char c : opcode) name += is_word(c) ? c : '_';
    if (const size_t shape = name.find("_m64n"); shape != std::string::npos && name.rfind("wgmma", 0) == 0) {
      const size_t depth = name.find('k', shape);
      arguments = name.substr(shape + 5, depth - shape - 5);
      name = cat(name.substr(0, shape + 1), name.substr(depth));
    }
    int list = 0;
    for (const std::string& operand : operands) {
      PLANISH_ASSIGN_OR_RETURN(std::string argument, print_operand(operand, lists, list));
      arguments += cat(arguments.empty() ? "" : ", ", argument);
    }
    body_ += cat("{ ", lists, "ptx::", name, "(", arguments, "); } ");
    return ok_status();
  }

  Result<std::string> print_operand(const std::string& operand, std::string& lists, int& list) {
    if (operand == "_") return std::string("ptx::sink");
    if (operand[0] == '{') {
      const std::string name = cat("l", list++);
      lists += cat("void* const ", name, "[] = {");
      for (const std::string& element : pieces(std::string_view(operand).substr(1, operand.size() - 2), ',')) {
        PLANISH_ASSIGN_OR_RETURN(std::string one, print_operand(element, lists, list));
        lists += cat("(void*)&", one, ", ");
      }
      lists += "}; ";
      return name;
    }
    if (operand[0] == '[') {
      const auto parts = pieces(std::string_view(operand).substr(1, operand.size() - 2), ',');
      const size_t plus = parts.at(0).find('+');
      PLANISH_ASSIGN_OR_RETURN(std::string base, print_operand(trimmed(parts[0].substr(0, plus)), lists, list));
      std::string address = cat("(unsigned long long)", base);
      if (plus != std::string::npos) address += cat(" + ", trimmed(parts[0].substr(plus + 1)));
      if (parts.size() == 1) return address;
      std::string place;
      for (const std::string& c : pieces(std::string_view(parts[1]).substr(1, parts[1].size() - 2), ',')) {
        PLANISH_ASSIGN_OR_RETURN(std::string one, print_operand(c, lists, list));
        place += cat(place.empty() ? "" : ", ", one);
      }
      return cat("ptx::Box{", address, ", {", place, "}}");
    }
    if (operand.rfind("%%", 0) == 0) {
      std::string name = operand.substr(2);
      for (char& c : name) c = is_word(c) ? c : '_';
      return cat("ptx::", name, "()");
    }
    if (operand[0] == '%') return cat("a", operand.substr(1));
    for (const char c : operand)
      if (!is_word(c) && c != '-') return internal_error(cat("a PTX operand '", operand, "'"));
    return operand;
  }

  const Statement& statement_;
  const int number_;
  std::string body_;
  std::vector<std::string> labels_;
};

}  // namespace

Result<std::string> without_assembly(const std::string& source) {
  std::string out;
  size_t at = 0;
  int number = 0;
  for (size_t found = source.find("asm"); found != std::string::npos; found = source.find("asm", found + 1)) {
    if ((found && is_word(source[found - 1])) || is_word(source[found + 3])) continue;
    PLANISH_ASSIGN_OR_RETURN(Statement statement, Reader(source, found + 3).read());
    PLANISH_ASSIGN_OR_RETURN(std::string text, Translator(statement, number++).translate());
    out += cat(source.substr(at, found - at), text);
    at = found = statement.end;
  }
  return out + source.substr(at);
}

}  // namespace planish::cuda
