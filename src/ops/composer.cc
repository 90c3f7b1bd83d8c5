#include "ops/composer.h"

#include "base/text.h"

namespace planish::ops {

std::vector<opdef::ImportRule> tensorflow_names(std::string_view names) {
  std::vector<opdef::ImportRule> out;
  if (names.empty()) return out;
  for (std::string& name : split(names, ',')) out.push_back(tensorflow(std::move(name)));
  return out;
}

void Composer::fail(Status status) {
  if (status_.ok()) status_ = std::move(status);
}

ir::Value* Composer::nothing() {
  if (!nothing_) nothing_ = ctx_.scalar(0, DataType::kF32);
  return nothing_;
}

template <class T>
T Composer::take(Result<T> result, T fallback) {
  if (result.ok()) return std::move(result).value();
  fail(result.status());
  return fallback;
}

ir::Value* Composer::in(int i) {
  if (node_.has_input(i)) return node_.input(i);
  fail(invalid_argument(cat("input ", i, " is missing")));
  return nothing();
}

Composer::Values Composer::all_inputs() {
  Values out;
  for (int i = 0; i < input_count(); ++i) out.push_back(in(i));
  return out;
}

Composer::Values Composer::ops(std::string_view name, Values inputs, ir::Attributes attrs,
                               int count) {
  const Values failed(size_t(count), ok() ? nullptr : nothing());
  if (!ok()) return failed;
  auto outputs = ctx_.add(name, std::move(inputs), std::move(attrs), count);
  if (outputs.ok()) return *outputs;
  fail(outputs.status());
  return Values(size_t(count), nothing());
}

ir::Value* Composer::op(std::string_view name, Values inputs, ir::Attributes attrs) {
  return ops(name, std::move(inputs), std::move(attrs), 1)[0];
}

ir::Value* Composer::transpose(ir::Value* x, std::vector<int64_t> perm) {
  return op("Transpose", {x}, {{"perm", std::move(perm)}});
}
ir::Value* Composer::reshape(ir::Value* x, std::vector<int64_t> dims) {
  return op("Reshape", {x, ints(std::move(dims))});
}
ir::Value* Composer::unsqueeze(ir::Value* x, std::vector<int64_t> axes) {
  return axes.empty() ? x : op("Unsqueeze", {x, ints(std::move(axes))});
}
ir::Value* Composer::squeeze(ir::Value* x, std::vector<int64_t> axes) {
  return axes.empty() ? x : op("Squeeze", {x, ints(std::move(axes))});
}
ir::Value* Composer::cast(ir::Value* x, DataType to) {
  return x->type.dtype == to ? x : op("Cast", {x}, {{"to", to}});
}
ir::Value* Composer::concat(Values parts, int64_t axis) {
  return parts.size() == 1 ? parts[0] : op("Concat", std::move(parts), {{"axis", axis}});
}
ir::Value* Composer::gather(ir::Value* x, int64_t index, int64_t axis) {
  return op("Gather", {x, constant(Tensor::scalar_i64(index))}, {{"axis", axis}});
}
ir::Value* Composer::slice(ir::Value* x, int64_t axis, int64_t begin, int64_t end, int64_t step) {
  return op("Slice", {x, ints({begin}), ints({end}), ints({axis}), ints({step})});
}
ir::Value* Composer::reduce(std::string_view name, ir::Value* x, std::vector<int64_t> axes,
                            bool keep) {
  return op(name, {x, ints(std::move(axes))}, {{"keepdims", int64_t(keep)}});
}

ir::Value* Composer::i64(ir::Value* x) {
  if (x->type.dtype == DataType::kI64) return x;
  if (x->constant) return constant(x->constant->converted(DataType::kI64));
  return cast(x, DataType::kI64);
}
ir::Value* Composer::i64_list(ir::Value* x) {
  x = i64(x);
  return rank(x) == 0 ? reshape(x, {1}) : x;
}
ir::Value* Composer::filled(ir::Value* dims, double value, DataType dtype) {
  return op("ConstantOfShape", {dims},
            {{"value", Tensor::from_f64(dtype, {1}, std::span<const double>(&value, 1))}});
}
ir::Value* Composer::dim_of(ir::Value* x, int64_t axis) {
  if (axis < 0) axis += rank(x);
  return op("Shape", {x}, {{"start", axis}, {"end", axis + 1}});
}

std::vector<int64_t> Composer::need(int input, std::string_view what) {
  const ir::Value* x = in(input);
  if (auto values = known(x)) return *values;
  fail(unsupported(cat("input ", input, " (", what, ") is only known at run time")));
  return {};
}
int64_t Composer::need_one(int input, std::string_view what) {
  const std::vector<int64_t> values = need(input, what);
  if (values.size() == 1) return values[0];
  fail(invalid_argument(cat("input ", input, " (", what, ") has ", values.size(),
                            " elements, expected one")));
  return 0;
}
std::vector<double> Composer::need_floats(int input, std::string_view what) {
  const ir::Value* x = in(input);
  if (x->constant) return x->constant->f64_values();
  fail(unsupported(cat("input ", input, " (", what, ") is only known at run time")));
  return {};
}
int64_t Composer::need_dim(const ir::Value* x, int64_t axis, std::string_view what) {
  const int64_t at = axis < 0 ? axis + rank(x) : axis;
  if (at < 0 || at >= rank(x)) {
    fail(invalid_argument(cat(what, ": got ", ir::to_string(x->type), ", which has no axis ", axis)));
    return 1;
  }
  if (auto dim = x->type.shape[size_t(at)].constant()) return *dim;
  fail(unsupported(cat(what, ": dim ", at, " of ", ir::to_string(x->type),
                       " is only known at run time")));
  return 1;
}
bool Composer::has_rank(const ir::Value* x, int low, int high, std::string_view what) {
  if (!ok()) return false;
  if (rank(x) >= low && rank(x) <= high) return true;
  fail(invalid_argument(cat(what, " is ", ir::to_string(x->type), ", expected rank ", low,
                            low == high ? std::string() : cat(" to ", high))));
  return false;
}
int64_t Composer::axis(int64_t axis, int rank) {
  return take(normalize_axis("the axis", axis, rank), 0);
}

int64_t Composer::attr_int(std::string_view key, int64_t fallback) {
  return take(node_.attr_int(key, fallback), fallback);
}
double Composer::attr_float(std::string_view key, double fallback) {
  return take(node_.attr_float(key, fallback), fallback);
}
std::string Composer::attr_string(std::string_view key, std::string fallback) {
  return take(node_.attr_string(key, fallback), fallback);
}
std::vector<int64_t> Composer::attr_ints(std::string_view key, std::vector<int64_t> fallback) {
  return take(node_.attr_ints(key, fallback), fallback);
}
DataType Composer::attr_type(std::string_view key, DataType fallback) {
  const ir::Attribute* attr = node_.attr(key);
  if (!attr) return fallback;
  if (const DataType* type = std::get_if<DataType>(attr)) return *type;
  const std::string* name = std::get_if<std::string>(attr);
  fail(unsupported(cat("attribute '", key, "' is ", name ? *name : std::string("no element type"))));
  return fallback;
}

bool Composer::channels_last(std::string_view fallback) {
  const std::string format = attr_string("data_format", std::string(fallback));
  if (format == "NHWC" || format == "NDHWC" || format == "NWC") return true;
  if (format == "NCHW" || format == "NCDHW" || format == "NCW") return false;
  fail(unsupported(cat("attribute 'data_format' is '", format, "'")));
  return true;
}
ir::Value* Composer::to_channels_first(ir::Value* x) {
  if (rank(x) < 3) return x;
  std::vector<int64_t> perm = {0, rank(x) - 1};
  for (int i = 1; i + 1 < rank(x); ++i) perm.push_back(i);
  return transpose(x, std::move(perm));
}
ir::Value* Composer::to_channels_last(ir::Value* x) {
  if (rank(x) < 3) return x;
  std::vector<int64_t> perm = {0};
  for (int i = 2; i < rank(x); ++i) perm.push_back(i);
  perm.push_back(1);
  return transpose(x, std::move(perm));
}
std::vector<int64_t> Composer::spatial(const std::vector<int64_t>& per_dim, bool channels_last,
                                       std::string_view what) {
  const size_t n = per_dim.size();
  const size_t channel = channels_last ? n - 1 : 1;
  std::vector<int64_t> out;
  if (n < 3 || per_dim[0] != 1 || per_dim[channel] != 1) {
    fail(unsupported(cat("attribute '", what, "' is ", bracketed(per_dim),
                         ", expected 1 for batch and channels")));
    return out;
  }
  for (size_t i = 1; i < n; ++i)
    if (i != channel) out.push_back(per_dim[i]);
  return out;
}

Status Composer::finish(const Values& outputs) {
  PLANISH_RETURN_IF_ERROR(status_);
  for (size_t i = 0; i < outputs.size() && i < ctx_.outputs().size(); ++i)
    ctx_.set_output(int(i), outputs[i]);
  return ok_status();
}

}  // namespace planish::ops
