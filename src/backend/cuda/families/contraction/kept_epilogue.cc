#include "backend/cuda/families/contraction/kept_epilogue.h"

#include <cctype>

#include "backend/cuda/families/contraction/product.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

// Both epilogues' parameters stand in one list.
std::string renamed(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool starts = i == 0 || !(std::isalnum(static_cast<unsigned char>(text[i - 1])) || text[i - 1] == '_');
    const bool numbered = i + 1 < text.size() && std::isdigit(static_cast<unsigned char>(text[i + 1]));
    if (starts && numbered && (text[i] == 'x' || text[i] == 'y')) out += "second_";
    out += text[i];
  }
  return out;
}

}  // namespace

EpilogueText second_epilogue(const EpilogueText& text, std::string_view space, std::string_view name) {
  EpilogueText out = text;
  out.parameters = renamed(text.parameters);
  out.make = renamed(text.make);
  replace_all(out.make, "const Epilogue e", cat("const ", space, "::Epilogue ", name));
  out.functions = cat("namespace ", space, " {\n", text.functions, "}\n");
  return out;
}

}  // namespace planish::cuda
