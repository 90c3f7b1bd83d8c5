#include "operands.h"

#include "ops/case_inputs.h"

namespace planish::tests {
namespace {

using Dims = std::vector<int64_t>;

ir::Value* first_of(const std::vector<ir::Value*>& outputs) {
  return outputs.empty() ? nullptr : outputs[0];
}

// Whole dims where they agree from the front, so that symbolic ones pass through; the last of the
// others is left to be found.
Dims reshape_target(const Dims& from, const Dims& to) {
  Dims target = to;
  bool same = true;
  for (size_t d = 0; d < to.size() && d < from.size(); ++d) {
    same &= from[d] == to[d];
    if (same && to[d] != 0) target[d] = 0;
  }
  for (size_t d = to.size(); d-- > 0;)
    if (target[d] > 0) {
      target[d] = -1;
      break;
    }
  return target;
}

ir::Value* reshaped(GraphWriter& writer, ir::Value* v, const Dims& dims) {
  if (!v || writer.dims(v) == dims) return v;
  return first_of(writer.add("Reshape", {v, writer.ints(reshape_target(writer.dims(v), dims))}));
}

ir::Value* sliced(GraphWriter& writer, ir::Value* v, const Dims& dims) {
  Dims starts, ends, axes;
  for (size_t d = 0; d < dims.size(); ++d) {
    const int64_t size = writer.dims(v)[d];
    if (size == dims[d]) continue;
    starts.push_back((size - dims[d]) / 2);
    ends.push_back(starts.back() + dims[d]);
    axes.push_back(int64_t(d));
  }
  if (axes.empty()) return v;
  return first_of(writer.add(
      "Slice", {v, writer.ints(starts), writer.ints(ends), writer.ints(axes)}));
}

ir::Value* with_dims(GraphWriter& writer, ir::Value* v, const Dims& dims) {
  const Dims& have = writer.dims(v);
  bool within = have.size() == dims.size();
  for (size_t d = 0; within && d < dims.size(); ++d) within = have[d] >= dims[d];
  if (within) return sliced(writer, v, dims);
  const int64_t wanted = ir::element_count(dims), count = writer.at(v).plain.count();
  if (wanted == 0) return nullptr;
  if (count != wanted) v = reshaped(writer, v, {count});
  if (v && count < wanted)
    v = first_of(writer.add("Tile", {v, writer.ints({(wanted + count - 1) / count})}));
  if (v && writer.at(v).plain.count() != wanted) v = sliced(writer, v, {wanted});
  return reshaped(writer, v, dims);
}

ir::Value* with_range(GraphWriter& writer, ir::Value* v, const opdef::InputCase& wanted) {
  const ir::Tensor& t = writer.at(v).plain;
  bool within = true;
  for (int64_t i = 0; i < t.count(); ++i)
    within &= t.f64(i) >= wanted.low && t.f64(i) <= wanted.high;
  if (within || wanted.dtype == ir::DataType::kBool) return v;
  const auto scalar = [&](double value) {
    return writer.constant(ir::Tensor::from_f64(wanted.dtype, {}, std::span(&value, 1)));
  };
  return first_of(writer.add("Clip", {v, scalar(wanted.low), scalar(wanted.high)}));
}

}  // namespace

ir::Value* pick_value(GraphWriter& writer, Random& random,
                      const std::function<bool(const ir::Value*)>& accept) {
  std::vector<ir::Value*> good;
  for (ir::Value* v : writer.sources())
    if (!v->constant && writer.at(v).usable && accept(v)) good.push_back(v);
  for (ir::Node* node : writer.nodes())
    for (ir::Value* v : node->outputs)
      if (writer.at(v).usable && accept(v)) good.push_back(v);
  if (good.empty()) return nullptr;
  // Half of the time one of the newest: long paths; else any: branches.
  const int64_t count = int64_t(good.size());
  const int64_t last = std::min<int64_t>(count, 4);
  return good[size_t(random.chance(0.6) ? count - 1 - random.below(last) : random.below(count))];
}

ir::Value* adapted_operand(GraphWriter& writer, Random& random, const opdef::InputCase& wanted) {
  const bool to_float = ir::is_float(wanted.dtype) && ir::bits_of(wanted.dtype) >= 16;
  const bool any_type = to_float && random.chance(0.25);
  ir::Value* v = pick_value(writer, random, [&](const ir::Value* x) {
    return x->type.dtype == wanted.dtype || any_type;
  });
  if (!v) return nullptr;
  if (v->type.dtype != wanted.dtype)
    v = first_of(writer.add("Cast", {v}, {{"to", wanted.dtype}}));
  if (v) v = with_dims(writer, v, wanted.dims);
  // The defaults of a float operand are no limits, only where its elements come from.
  const bool has_range = !ir::is_float(wanted.dtype) || wanted.low != -1 || wanted.high != 1;
  if (v && has_range) v = with_range(writer, v, wanted);
  return v;
}

ir::Value* fresh_operand(GraphWriter& writer, Random& random, const opdef::InputCase& wanted,
                         bool constant) {
  const ir::Tensor t = ops::make_input(wanted, random.next());
  return constant || wanted.constant ? writer.constant(t) : writer.input(t);
}

}  // namespace planish::tests
