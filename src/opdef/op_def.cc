#include "opdef/op_def.h"

#include "base/text.h"

namespace planish::opdef {
namespace {

template <class T>
const T& typed(const OpDef& op, const ir::Attributes& attrs, std::string_view key) {
  auto found = attrs.find(key);
  PLANISH_CHECK(found != attrs.end(), cat("op ", op.name, ": attribute '", key, "' is absent"));
  const T* value = std::get_if<T>(&found->second);
  PLANISH_CHECK(value, cat("op ", op.name, ": attribute '", key, "' has another type"));
  return *value;
}

template <class T>
const T& typed(const ir::Attributes& attrs, std::string_view key) {
  auto found = attrs.find(key);
  PLANISH_CHECK(found != attrs.end(), cat("attribute '", key, "' is absent"));
  const T* value = std::get_if<T>(&found->second);
  PLANISH_CHECK(value, cat("attribute '", key, "' has another type"));
  return *value;
}

}  // namespace

const AttrSpec* OpDef::find_attr(std::string_view key) const {
  for (const AttrSpec& spec : attrs)
    if (spec.name == key) return &spec;
  return nullptr;
}

void OpRegistry::add(OpDef def) {
  PLANISH_CHECK(!def.name.empty() && def.infer, cat("op '", def.name, "' lacks name or infer"));
  PLANISH_CHECK((def.kind == FusionKind::kElementwise) == (def.expression != nullptr),
                cat("op ", def.name, ": elementwise ops, and only they, have an expression"));
  PLANISH_CHECK(def.evaluate || def.expression, cat("op ", def.name, " cannot be evaluated"));
  PLANISH_CHECK(!find(def.name), cat("op ", def.name, " is registered twice"));
  auto owned = std::make_unique<OpDef>(std::move(def));
  if (owned->onnx.empty()) owned->onnx.push_back({owned->name, ""});
  for (const ImportRule& rule : owned->onnx)
    onnx_.emplace(std::pair(rule.domain, rule.op_type), Rule{owned.get(), &rule});
  for (const ImportRule& rule : owned->tensorflow)
    PLANISH_CHECK(tensorflow_.emplace(rule.op_type, Rule{owned.get(), &rule}).second,
                  cat("TensorFlow op ", rule.op_type, " has two importers"));
  const std::string name = owned->name;
  ops_.emplace(name, std::move(owned));
}

const OpDef* OpRegistry::find(std::string_view name) const {
  auto found = ops_.find(name);
  return found == ops_.end() ? nullptr : found->second.get();
}

OpRegistry::Rule OpRegistry::find_onnx(std::string_view domain, std::string_view op_type,
                                       int opset) const {
  const std::string plain(domain == "ai.onnx" ? "" : domain);
  auto [begin, end] = onnx_.equal_range({plain, std::string(op_type)});
  for (auto it = begin; it != end; ++it)
    if (it->second.rule->since <= opset && opset <= it->second.rule->until) return it->second;
  return {nullptr, nullptr};
}

OpRegistry::Rule OpRegistry::find_tensorflow(std::string_view op_type) const {
  auto found = tensorflow_.find(op_type);
  return found == tensorflow_.end() ? Rule{nullptr, nullptr} : found->second;
}

void OpRegistry::add_refusal(std::string domain, std::string op_type, std::string reason) {
  refusals_[{std::move(domain), std::move(op_type)}] = std::move(reason);
}

std::string_view OpRegistry::refusal_reason(std::string_view domain,
                                            std::string_view op_type) const {
  auto found = refusals_.find({std::string(domain), std::string(op_type)});
  if (found == refusals_.end()) found = refusals_.find({std::string(domain), ""});
  return found == refusals_.end() ? std::string_view() : found->second;
}

std::vector<const OpDef*> OpRegistry::all() const {
  std::vector<const OpDef*> out;
  for (const auto& [name, op] : ops_) out.push_back(op.get());
  return out;
}

InferContext::InferContext(const OpDef& op, const ir::Attributes& attrs, std::vector<Input> inputs,
                           int output_count, NewSymbol new_symbol, InferBody infer_body)
    : op_(op),
      attrs_(attrs),
      inputs_(std::move(inputs)),
      outputs_(size_t(output_count)),
      new_symbol_(std::move(new_symbol)),
      infer_body_(std::move(infer_body)) {}

const TensorType& InferContext::type(int i) const {
  PLANISH_CHECK(has_input(i), cat("op ", op_.name, " has no input ", i));
  return inputs_[size_t(i)].type;
}

std::optional<std::vector<Dim>> InferContext::content(int i) const {
  if (!has_input(i)) return std::nullopt;
  const Input& input = inputs_[size_t(i)];
  if (input.value && !ir::is_float(input.value->dtype()) && input.value->count() <= 4096) {
    const std::vector<int64_t> v = input.value->i64_values();
    return std::vector<Dim>(v.begin(), v.end());
  }
  if (input.content) return *input.content;
  return std::nullopt;
}

std::optional<std::vector<int64_t>> InferContext::ints(int i) const {
  if (!has_input(i)) return std::nullopt;
  const Input& input = inputs_[size_t(i)];
  if (input.value) return input.value->i64_values();
  if (!input.content) return std::nullopt;
  std::vector<int64_t> out;
  for (const Dim& d : *input.content) {
    if (!d.is_constant()) return std::nullopt;
    out.push_back(d.value());
  }
  return out;
}

int64_t InferContext::attr_int(std::string_view key) const {
  return typed<int64_t>(op_, attrs_, key);
}
double InferContext::attr_float(std::string_view key) const {
  return typed<double>(op_, attrs_, key);
}
const std::string& InferContext::attr_string(std::string_view key) const {
  return typed<std::string>(op_, attrs_, key);
}
const std::vector<int64_t>& InferContext::attr_ints(std::string_view key) const {
  return typed<std::vector<int64_t>>(op_, attrs_, key);
}
bool InferContext::has_attr(std::string_view key) const { return attrs_.find(key) != attrs_.end(); }

Result<int> InferContext::axis(std::string_view key, int rank) const {
  const int64_t axis = attr_int(key);
  if (axis < -rank || axis >= rank)
    return invalid_argument(cat("attribute '", key, "' is ", axis, ", expected ", -rank, " to ",
                                rank - 1, " for rank ", rank));
  return int(axis < 0 ? axis + rank : axis);
}

void InferContext::set_output(int i, DataType dtype, Shape shape) {
  if (i >= output_count()) return;
  outputs_[size_t(i)].type = {dtype, std::move(shape)};
  outputs_[size_t(i)].is_set = true;
}

void InferContext::set_content(int i, std::vector<Dim> content) {
  if (i < output_count()) outputs_[size_t(i)].content = std::move(content);
}

Result<std::vector<TensorType>> InferContext::infer_body(std::string_view attr,
                                                         std::span<const TensorType> inputs) {
  const ir::GraphPtr& body = typed<ir::GraphPtr>(op_, attrs_, attr);
  return infer_body_(*body, inputs);
}

EvalContext::EvalContext(const OpDef& op, const ir::Attributes& attrs,
                         std::span<const Tensor* const> inputs,
                         std::vector<TensorType> output_types, RunBody run_body)
    : op_(op),
      attrs_(attrs),
      inputs_(inputs),
      types_(std::move(output_types)),
      outputs_(types_.size()),
      is_set_(types_.size()),
      run_body_(std::move(run_body)) {}

const Tensor& EvalContext::input(int i) const {
  PLANISH_CHECK(has_input(i), cat("op ", op_.name, " has no input ", i));
  return *inputs_[size_t(i)];
}

Tensor& EvalContext::output(int i) {
  PLANISH_CHECK(i < output_count(), cat("op ", op_.name, " has no output ", i));
  if (!is_set_[size_t(i)]) {
    outputs_[size_t(i)] = Tensor(types_[size_t(i)].dtype, output_dims(i));
    is_set_[size_t(i)] = true;
  }
  return outputs_[size_t(i)];
}

void EvalContext::set_output(int i, Tensor tensor) {
  if (i >= output_count()) return;
  PLANISH_CHECK(tensor.dtype() == types_[size_t(i)].dtype,
                cat("op ", op_.name, " output ", i, " is ", ir::name_of(tensor.dtype()),
                    ", inferred ", ir::name_of(types_[size_t(i)].dtype)));
  outputs_[size_t(i)] = std::move(tensor);
  is_set_[size_t(i)] = true;
}

int64_t EvalContext::attr_int(std::string_view key) const {
  return typed<int64_t>(op_, attrs_, key);
}
double EvalContext::attr_float(std::string_view key) const {
  return typed<double>(op_, attrs_, key);
}
const std::string& EvalContext::attr_string(std::string_view key) const {
  return typed<std::string>(op_, attrs_, key);
}
const std::vector<int64_t>& EvalContext::attr_ints(std::string_view key) const {
  return typed<std::vector<int64_t>>(op_, attrs_, key);
}
bool EvalContext::has_attr(std::string_view key) const { return attrs_.find(key) != attrs_.end(); }

Result<std::vector<Tensor>> EvalContext::run_body(std::string_view attr,
                                                  std::span<const Tensor> inputs) const {
  return run_body_(*typed<ir::GraphPtr>(op_, attrs_, attr), inputs);
}

Result<std::vector<Tensor>> EvalContext::take_outputs() {
  for (size_t i = 0; i < outputs_.size(); ++i)
    if (!is_set_[i]) output(int(i));  // never touched: zeros of the inferred shape
  return std::move(outputs_);
}

double ExpressionContext::attr_float(std::string_view key) const {
  return typed<double>(attrs_, key);
}
int64_t ExpressionContext::attr_int(std::string_view key) const {
  return typed<int64_t>(attrs_, key);
}
const std::string& ExpressionContext::attr_string(std::string_view key) const {
  return typed<std::string>(attrs_, key);
}
bool ExpressionContext::has_attr(std::string_view key) const {
  return attrs_.find(key) != attrs_.end();
}

}  // namespace planish::opdef
