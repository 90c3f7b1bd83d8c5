#include "ops/known_elements.h"

namespace planish::ops {
namespace {

Dim::Range non_negative(std::string_view) { return {0, std::nullopt}; }

}  // namespace

std::optional<int64_t> lowest(const Dim& dim) { return dim.range(non_negative).low; }
std::optional<int64_t> highest(const Dim& dim) { return dim.range(non_negative).high; }

void map_content(InferContext& ctx, const ContentFunction& f) {
  const Shape& shape = ctx.outputs()[0].type.shape;
  if (shape.size() > 1 || (shape.size() == 1 && !shape[0].is_constant())) return;
  int64_t count = shape.empty() ? 1 : shape[0].value();
  if (count > kMaxKnownElements) return;
  std::vector<std::vector<Dim>> inputs;
  for (int i = 0; i < ctx.input_count(); ++i) {
    if (!ctx.has_input(i)) return;
    std::optional<std::vector<Dim>> content = ctx.content(i);
    if (!content) return;
    int64_t size = int64_t(content->size());
    if (size != count && size != 1) return;
    inputs.push_back(std::move(*content));
  }
  std::vector<Dim> out;
  std::vector<Dim> elements(inputs.size());
  for (int64_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < inputs.size(); ++j)
      elements[j] = inputs[j][inputs[j].size() == 1 ? 0 : size_t(i)];
    std::optional<Dim> element = f(elements);
    if (!element || !element->valid()) return;
    out.push_back(std::move(*element));
  }
  ctx.set_content(0, std::move(out));
}

}  // namespace planish::ops
