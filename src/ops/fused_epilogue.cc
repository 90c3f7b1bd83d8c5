#include "ops/fused_epilogue.h"

#include "base/text.h"

namespace planish::ops {
namespace {

// A vector of channels in the shape that broadcasts over y.
ir::Value* per_channel(Composer& c, ir::Value* vector, ir::Value* y, bool channels_last) {
  if (channels_last || c.rank(y) < 3) return vector;
  std::vector<int64_t> dims(size_t(c.rank(y)) - 1, 1);
  dims[0] = -1;
  return c.reshape(vector, dims);
}

}  // namespace

ir::Value* apply_activation(Composer& c, ir::Value* x, std::string_view name) {
  if (name == "None" || name == "Identity" || name.empty()) return x;
  if (name == "Relu6") return c.op("Clip", {x, c.scalar_like(0, x), c.scalar_like(6, x)});
  if (name == "LeakyRelu")
    return c.op("LeakyRelu", {x}, {{"alpha", c.attr_float("leakyrelu_alpha", double(0.2f))}});
  if (name == "GeluExact") return c.op("Gelu", {x});
  if (name == "GeluApproximate") return c.op("Gelu", {x}, {{"approximate", std::string("tanh")}});
  if (name == "_FusedHardSwish") return c.op("HardSwish", {x});
  for (std::string_view plain : {"Relu", "Elu", "Sigmoid", "Tanh"})
    if (name == plain) return c.op(plain, {x});
  c.fail(unsupported(cat("the activation '", name, "'")));
  return x;
}

ir::Value* apply_fused_ops(Composer& c, ir::Value* y, int first, bool channels_last) {
  const ir::Attribute* attr = c.node().attr("fused_ops");
  const auto* names = attr ? std::get_if<std::vector<std::string>>(attr) : nullptr;
  if (!names) {
    c.fail(invalid_argument("attribute 'fused_ops' is missing"));
    return y;
  }
  int next = first;
  const auto vector = [&] { return per_channel(c, c.in(next++), y, channels_last); };
  for (const std::string& name : *names) {
    if (!c.ok()) return y;
    if (name == "BiasAdd") {
      y = c.add(y, vector());
    } else if (name == "Add") {
      y = c.add(y, c.in(next++));
    } else if (name == "Mul") {
      y = c.mul(y, c.in(next++));
    } else if (name == "FusedBatchNorm") {
      ir::Value *scale = vector(), *offset = vector(), *mean = vector(), *variance = vector();
      ir::Value* epsilon = c.scalar_like(c.attr_float("epsilon", double(1e-4f)), variance);
      ir::Value* factor = c.div(scale, c.op("Sqrt", {c.add(variance, epsilon)}));
      y = c.add(c.mul(c.sub(y, mean), factor), offset);
    } else {
      y = apply_activation(c, y, name);
    }
  }
  return y;
}

}  // namespace planish::ops
