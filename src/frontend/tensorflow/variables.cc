#include "frontend/tensorflow/variables.h"

#include <charconv>
#include <cstring>

#include "base/quote.h"
#include "base/text.h"
#include "frontend/tensorflow/tensor_proto.h"

namespace planish::frontend::tensorflow {
namespace {

constexpr int kMaxDepth = 8;
constexpr std::string_view kSuffix = "/.ATTRIBUTES/VARIABLE_VALUE";

// Through Identity nodes to the node that makes the value.
Ref origin(const Source& source, Ref ref) {
  for (int steps = 0; steps < 16 && ref.node >= 0; ++steps) {
    const std::string_view op = source.node(ref.node).op;
    if ((op != "Identity" && op != "Cast") || source.inputs(ref.node).empty()) break;
    ref = source.inputs(ref.node)[0];
  }
  return ref;
}

// "4 7 0,4:0,3": the dims of the whole, then start and length (or - for all) per dim.
Result<ir::Tensor> part_of(const ir::Tensor& whole, const std::string& text) {
  if (text.empty()) return whole;
  const auto wrong = [&] {
    return data_loss(cat("restores the part ", quoted(text), " of ", ir::to_string(whole.type())));
  };
  const std::vector<std::string> words = planish::split(text, ' ');
  const std::vector<std::string> extents = planish::split(words.back(), ':');
  if (int(extents.size()) != whole.rank()) return wrong();
  std::vector<int64_t> starts, dims;
  for (int d = 0; d < whole.rank(); ++d) {
    int64_t start = 0, length = whole.dim(d);
    if (extents[size_t(d)] != "-") {
      const std::vector<std::string> two = planish::split(extents[size_t(d)], ',');
      const auto number = [](const std::string& word, int64_t& value) {
        const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
        return error == std::errc() && end == word.data() + word.size();
      };
      if (two.size() != 2 || !number(two[0], start) || !number(two[1], length)) return wrong();
    }
    if (start < 0 || length < 0 || start > whole.dim(d) || length > whole.dim(d) - start)
      return wrong();
    starts.push_back(start);
    dims.push_back(length);
  }
  ir::Tensor part(whole.dtype(), dims);
  const std::vector<int64_t> strides = ir::strides_of(whole.dims());
  const size_t size = size_t(bits_of(whole.dtype()) / 8);
  std::vector<int64_t> index(dims.size(), 0);
  for (int64_t to = 0; to < part.count(); ++to) {
    int64_t from = 0;
    for (size_t d = 0; d < dims.size(); ++d) from += (starts[d] + index[d]) * strides[d];
    std::memcpy(part.mutable_data_as<char>() + size_t(to) * size,
                whole.data_as<char>() + size_t(from) * size, size);
    for (size_t d = dims.size(); d-- > 0;) {
      if (++index[d] < dims[d]) break;
      index[d] = 0;
    }
  }
  return part;
}

}  // namespace

std::string variable_name(const NodeDesc& node) {
  const AttrDesc* shared = node.attr("shared_name");
  return std::string(shared && !shared->s.empty() ? shared->s : node.name);
}

bool is_variable_op(std::string_view op) {
  return op == "VarHandleOp" || op == "VariableV2" || op == "Variable" || op == "TemporaryVariable";
}

std::optional<Variables::Restored> Variables::restored_from(const Source& source, Ref ref) const {
  ref = origin(source, ref);
  if (ref.node < 0 || source.inputs(ref.node).size() < 2) return std::nullopt;
  const std::string_view op = source.node(ref.node).op;
  if (op != "RestoreV2" && op != "Restore" && op != "RestoreSlice") return std::nullopt;
  const auto text = [&](size_t input) -> std::optional<std::string> {
    if (input >= source.inputs(ref.node).size()) return std::nullopt;
    const Ref list = origin(source, source.inputs(ref.node)[input]);
    const AttrDesc* value = list.node < 0 ? nullptr : source.node(list.node).attr("value");
    if (!value || !value->tensor) return std::nullopt;
    const auto texts = to_strings(*value->tensor, limits_);
    if (!texts.ok() || size_t(ref.port) >= texts->size()) return std::nullopt;
    return (*texts)[size_t(ref.port)];
  };
  const std::optional<std::string> key = text(1);
  if (!key) return std::nullopt;
  return Restored{*key, op == "RestoreV2" ? text(2).value_or("") : ""};
}

void Variables::collect(const Source& graph, const Functions& functions, const Captures& captures) {
  collect(graph, functions, {}, 0);
  if (checkpoint_) collect_captured(graph, captures);
}

// A call's last inputs are what the function captures.
void Variables::collect_captured(const Source& graph, const Captures& captures) {
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    const AttrDesc* called = graph.nodes()[i].attr("f");
    if (!called || !called->function) continue;
    const auto objects = captures.find(called->function->name);
    if (objects == captures.end()) continue;
    std::vector<Ref> inputs;
    for (const Ref& ref : graph.inputs(int(i)))
      if (!ref.is_control) inputs.push_back(ref);
    const size_t count = objects->second.size();
    for (size_t k = 0; count <= inputs.size() && k < count; ++k) {
      const Ref ref = origin(graph, inputs[inputs.size() - count + k]);
      if (ref.node < 0 || !is_variable_op(graph.node(ref.node).op)) continue;
      std::string key = checkpoint_->key_of_object(objects->second[k]);
      if (!key.empty()) captured_.emplace(variable_name(graph.node(ref.node)), std::move(key));
    }
  }
}

void Variables::collect(const Source& source, const Functions& functions, const Bound& bound,
                        int depth) {
  const auto variable_of = [&](Ref ref) -> std::string {
    ref = origin(source, ref);
    if (ref.node < 0) {
      const auto found = bound.find(ref.arg);
      return found == bound.end() ? std::string() : found->second;
    }
    const NodeDesc& node = source.node(ref.node);
    return is_variable_op(node.op) ? variable_name(node) : std::string();
  };
  for (size_t i = 0; i < source.nodes().size(); ++i) {
    const NodeDesc& node = source.nodes()[i];
    const std::vector<Ref>& inputs = source.inputs(int(i));
    if ((node.op == "Assign" || node.op == "AssignVariableOp") && inputs.size() >= 2) {
      const std::string variable = variable_of(inputs[0]);
      if (variable.empty()) continue;
      if (const auto from = restored_from(source, inputs[1])) restored_[variable] = *from;
      continue;
    }
    if (depth >= kMaxDepth || (node.op != "StatefulPartitionedCall" && node.op != "PartitionedCall"))
      continue;
    const AttrDesc* called = node.attr("f");
    if (!called || !called->function) continue;
    const auto found = functions.find(called->function->name);
    if (found == functions.end()) continue;
    Bound inner;
    const auto& args = found->second->function()->inputs;
    for (size_t k = 0; k < args.size() && k < inputs.size(); ++k)
      if (std::string name = variable_of(inputs[k]); !name.empty()) inner[args[k].name] = name;
    if (!inner.empty()) collect(*found->second, functions, inner, depth + 1);
  }
}

Result<ir::Tensor> Variables::value(const std::string& variable) const {
  const std::string what = cat("variable ", quoted(variable));
  if (!checkpoint_) return not_found(cat(what, " has no value: there is no checkpoint"));
  if (const auto found = restored_.find(variable); found != restored_.end()) {
    PLANISH_ASSIGN_OR_RETURN(const ir::Tensor whole, checkpoint_->read(found->second.key));
    auto part = part_of(whole, found->second.part);
    if (!part.ok()) return part.status().at(what);
    return part;
  }
  if (const auto found = captured_.find(variable); found != captured_.end())
    return checkpoint_->read(found->second);
  for (const std::string& key : {variable, cat(variable, kSuffix)})
    if (checkpoint_->has(key)) return checkpoint_->read(key);
  if (const std::string key = checkpoint_->key_of(variable); !key.empty()) return checkpoint_->read(key);
  return not_found(cat(what, " is not in the checkpoint ", checkpoint_->prefix()));
}

}  // namespace planish::frontend::tensorflow
