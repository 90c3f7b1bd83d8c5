// Composer: how importers write a foreign operator as a formula of ours. The first error is kept and
// everything after it does nothing, so that a formula stands as one would say it:
//
//   Composer c(node, ctx);
//   ir::Value* x = c.in(0);
//   return c.finish({c.op("Reciprocal", {c.op("Sqrt", {x})})});
//
// Values are never null: after an error they are a placeholder scalar that nothing reads.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "opdef/import.h"
#include "ops/shape_rules.h"

namespace planish::ops {

using opdef::ImportContext;
using opdef::NodeView;

class Composer {
 public:
  using Values = std::vector<ir::Value*>;

  Composer(const NodeView& node, ImportContext& ctx) : node_(node), ctx_(ctx) {}

  // Input i; an error names it when it is missing.
  ir::Value* in(int i);
  Values all_inputs();
  int input_count() const { return node_.input_count(); }
  int output_count() const { return node_.output_count(); }
  const NodeView& node() const { return node_; }

  ir::Value* op(std::string_view name, Values inputs, ir::Attributes attrs = {});
  Values ops(std::string_view name, Values inputs, ir::Attributes attrs, int output_count);
  ir::Value* transpose(ir::Value* x, std::vector<int64_t> perm);
  ir::Value* reshape(ir::Value* x, std::vector<int64_t> dims);
  ir::Value* unsqueeze(ir::Value* x, std::vector<int64_t> axes);
  ir::Value* squeeze(ir::Value* x, std::vector<int64_t> axes);
  ir::Value* cast(ir::Value* x, DataType to);
  ir::Value* concat(Values parts, int64_t axis);
  ir::Value* gather(ir::Value* x, int64_t index, int64_t axis);
  // x[begin:end] along one axis; INT64_MAX: to the end.
  ir::Value* slice(ir::Value* x, int64_t axis, int64_t begin, int64_t end, int64_t step = 1);
  ir::Value* add(ir::Value* a, ir::Value* b) { return op("Add", {a, b}); }
  ir::Value* sub(ir::Value* a, ir::Value* b) { return op("Sub", {a, b}); }
  ir::Value* mul(ir::Value* a, ir::Value* b) { return op("Mul", {a, b}); }
  ir::Value* div(ir::Value* a, ir::Value* b) { return op("Div", {a, b}); }
  ir::Value* reduce(std::string_view name, ir::Value* x, std::vector<int64_t> axes, bool keep);
  ir::Value* where(ir::Value* condition, ir::Value* yes, ir::Value* no) {
    return op("Where", {condition, yes, no});
  }

  ir::Value* constant(Tensor tensor) { return ctx_.constant(std::move(tensor)); }
  ir::Value* scalar(double value, DataType dtype) { return ctx_.scalar(value, dtype); }
  ir::Value* scalar_like(double value, ir::Value* x) { return scalar(value, x->type.dtype); }
  ir::Value* ints(std::vector<int64_t> values) { return ctx_.constant_i64(std::move(values)); }
  // As int64; constants are converted on the spot.
  ir::Value* i64(ir::Value* x);
  ir::Value* i64_list(ir::Value* x);  // of rank 1
  // Zeros (or another value) of the given dims, an i64 list.
  ir::Value* filled(ir::Value* dims, double value, DataType dtype);
  // One dim of x as an i64 list of one element.
  ir::Value* dim_of(ir::Value* x, int64_t axis);

  std::optional<std::vector<int64_t>> known(const ir::Value* x) const { return ctx_.ints(x); }
  // Elements that have to be known; kUnsupported otherwise.
  std::vector<int64_t> need(int input, std::string_view what);
  int64_t need_one(int input, std::string_view what);
  std::vector<double> need_floats(int input, std::string_view what);
  int rank(const ir::Value* x) const { return x->type.rank(); }
  DataType dtype(const ir::Value* x) const { return x->type.dtype; }
  bool is_float(const ir::Value* x) const { return ir::is_float(x->type.dtype); }
  // A dim that has to be known; an error otherwise. Negative axes count from the back.
  int64_t need_dim(const ir::Value* x, int64_t axis, std::string_view what);
  // Fails unless low <= rank <= high.
  bool has_rank(const ir::Value* x, int low, int high, std::string_view what);
  // -rank..rank-1 to 0..rank-1; an error otherwise, and 0.
  int64_t axis(int64_t axis, int rank);

  int64_t attr_int(std::string_view key, int64_t fallback);
  double attr_float(std::string_view key, double fallback);
  std::string attr_string(std::string_view key, std::string fallback);
  std::vector<int64_t> attr_ints(std::string_view key, std::vector<int64_t> fallback);
  DataType attr_type(std::string_view key, DataType fallback);

  // Channels second, as our operators have them, from what TensorFlow's data_format says, and back.
  bool channels_last(std::string_view fallback = "NHWC");
  ir::Value* to_channels_first(ir::Value* x);
  ir::Value* to_channels_last(ir::Value* x);
  // A list per dim of the foreign layout, of the spatial dims alone.
  std::vector<int64_t> spatial(const std::vector<int64_t>& per_dim, bool channels_last,
                               std::string_view what);

  bool ok() const { return status_.ok(); }
  void fail(Status status);
  // Outputs 0, 1, ...; those that nobody reads are left out.
  Status finish(const Values& outputs);

 private:
  ir::Value* nothing();
  template <class T>
  T take(Result<T> result, T fallback);

  const NodeView& node_;
  ImportContext& ctx_;
  Status status_;
  ir::Value* nothing_ = nullptr;
};

// Short form of a TensorFlow rule; without importer: the same operands in order, attributes of the
// same name.
inline opdef::ImportRule tensorflow(std::string op, opdef::Importer import = nullptr) {
  return {std::move(op), "", 1, 1 << 30, import};
}
// "Add,AddV2": rules without importer.
std::vector<opdef::ImportRule> tensorflow_names(std::string_view names);

}  // namespace planish::ops
