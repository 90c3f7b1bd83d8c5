// Words of emitted CUDA C, for those who compare and rewrite it.
#pragma once
#include <string_view>
#include <vector>

namespace planish::cuda {

struct Token {
  enum class Kind : char { kName, kNumber, kString, kDirective, kSign };
  Kind kind = Kind::kSign;
  std::string_view text;  // of the source, which must live
  bool is(std::string_view other) const { return text == other; }
};

// Comments and blanks are left out; a preprocessor line is one token; signs are single characters.
std::vector<Token> tokens_of(std::string_view source);

// The index behind the bracket that closes the one at `open`: ( [ { and, in templates, <.
size_t behind_bracket(const std::vector<Token>& tokens, size_t open);

}  // namespace planish::cuda
