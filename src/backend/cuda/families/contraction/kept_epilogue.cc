#include "backend/cuda/families/contraction/kept_epilogue.h"

#include <cctype>

#include "backend/cuda/families/contraction/product.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

// The parameters of all epilogues stand in one list.
std::string renamed(std::string_view text, std::string_view space) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool starts = i == 0 || !(std::isalnum(static_cast<unsigned char>(text[i - 1])) || text[i - 1] == '_');
    const bool numbered = i + 1 < text.size() && std::isdigit(static_cast<unsigned char>(text[i + 1]));
    if (starts && numbered && (text[i] == 'x' || text[i] == 'y')) out += cat(space, "_");
    out += text[i];
  }
  return out;
}

}  // namespace

EpilogueText named_epilogue(const EpilogueText& text, std::string_view space, std::string_view name) {
  EpilogueText out = text;
  out.parameters = renamed(text.parameters, space);
  out.make = renamed(text.make, space);
  replace_all(out.make, "const Epilogue e", cat("const ", space, "::Epilogue ", name));
  out.functions = cat("namespace ", space, " {\n", text.functions, "}\n");
  return out;
}

}  // namespace planish::cuda
