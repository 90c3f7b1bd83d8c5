#include "frontend/tensorflow/survey_walk.h"

#include <algorithm>

#include "base/quote.h"
#include "base/text.h"
#include "frontend/tensorflow/tensor_proto.h"
#include "frontend/tensorflow/units.h"

namespace planish::frontend::tensorflow {
namespace {

// Shapes of placeholders meant nothing before this producer version: {} stood for "unknown".
constexpr int64_t kFirstProducerWithShapes = 24;
constexpr size_t kReasonLength = 300;

bool is_placeholder(std::string_view op) {
  return op == "Placeholder" || op == "PlaceholderV2" || op == "PlaceholderWithDefault";
}

std::string one_line(std::string text) {
  for (char& c : text)
    if (c == '\n') c = ' ';
  if (text.size() > kReasonLength) text = text.substr(0, kReasonLength - 3) + "...";
  return text;
}

}  // namespace

std::vector<int64_t> plain_dims(const ir::Shape& shape) {
  std::vector<int64_t> out;
  for (const ir::Dim& dim : shape) out.push_back(dim.constant().value_or(-1));
  return out;
}

GraphSurvey::GraphSurvey(const GraphDesc& graph, const SurveyOptions& options,
                         const opdef::OpRegistry& registry)
    : graph_(graph), options_(options), registry_(registry),
      importer_(graph, nullptr, import_options_, registry, nullptr) {
  import_options_.limits = options.limits;
}

Status GraphSurvey::prepare() {
  PLANISH_RETURN_IF_ERROR(importer_.index());
  PLANISH_ASSIGN_OR_RETURN(Source created, Source::create(graph_.nodes, nullptr));
  importer_.sources_.push_back(std::move(created));
  source_ = &importer_.sources_.back();
  const auto parse = [&](const std::string& text, std::string_view what) -> Result<Ref> {
    auto ref = source_->parse(text);
    if (!ref.ok()) return ref.status().at(cat(what, ' ', quoted(text)));
    source_->use(*ref);
    return *ref;
  };
  for (const std::string& text : options_.fetches) {
    PLANISH_ASSIGN_OR_RETURN(const Ref ref, parse(text, "fetch"));
    survey_.fetches.push_back({ref.node, ref.port, ref.is_control});
  }
  for (const std::string& text : options_.feeds) {
    PLANISH_ASSIGN_OR_RETURN(const Ref ref, parse(text, "feed"));
    feeds_.insert({ref.node, ref.port});
  }
  PLANISH_ASSIGN_OR_RETURN(survey_.order, topological_order(*source_));
  units_ = find_units(*source_, survey_.order);
  survey_.nodes.resize(graph_.nodes.size());
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    SurveyedNode& node = survey_.nodes[i];
    const NodeDesc& desc = graph_.nodes[i];
    node.name = desc.name;
    node.op = desc.op;
    node.device = desc.device;
    node.unit = units_.number[i];
    for (const Ref& ref : source_->inputs(int(i)))
      node.inputs.push_back({ref.node, ref.port, ref.is_control});
    node.outputs.resize(size_t(source_->port_count(int(i))));
    node.calls_functions = importer_.functions_.count(desc.op) > 0;
    for (const auto& [key, attr] : desc.attrs)
      if (attr.function || !attr.functions.empty()) node.calls_functions = true;
  }
  scope_.source = source_;
  scope_.graph = ir_.get();
  find_wanted();
  return ok_status();
}

void GraphSurvey::find_wanted() {
  if (survey_.fetches.empty()) return;
  for (SurveyedNode& node : survey_.nodes) node.is_wanted = false;
  std::vector<int> stack;
  const auto want = [&](int node) {
    if (out(node).is_wanted) return;
    out(node).is_wanted = true;
    stack.push_back(node);
  };
  for (const SurveyedInput& fetch : survey_.fetches) want(fetch.node);
  while (!stack.empty()) {
    const int node = stack.back();
    stack.pop_back();
    for (const SurveyedInput& input : out(node).inputs) want(input.node);
  }
}

Result<Survey> GraphSurvey::run() {
  PLANISH_RETURN_IF_ERROR(prepare());
  for (int node : survey_.order) {
    if (!out(node).is_wanted) {
      out(node).reason = "no result depends on it";
      continue;
    }
    judge(node);
    describe_outputs(node);
  }
  judge_units();
  return std::move(survey_);
}

// Why a node stays outside whatever the importer would say; empty otherwise.
std::string GraphSurvey::outside_reason(int node) const {
  const NodeDesc& desc = source_->node(node);
  for (int port = 0; port < source_->port_count(node); ++port)
    if (feeds_.count({node, port})) return "it is fed from outside";
  return is_placeholder(desc.op) ? "an input of the graph" : "";
}

void GraphSurvey::judge(int node) {
  SurveyedNode& to = out(node);
  if (std::string reason = outside_reason(node); !reason.empty()) {
    to.reason = std::move(reason);
    publish_foreign(node);
    return;
  }
  if (const Frame* frame = source_->frame_of_exit(node)) {
    if (scope_.done.count(node)) {  // another Exit of the frame was asked
      to.is_taken = scope_.done[node][0].kind != Binding::Kind::kRefused;
      if (to.is_taken) return;
      to.reason = "part of its loop is not taken";
      return publish_foreign(node);
    }
    std::vector<int> enters = frame->invariants;
    for (const Frame::Variable& variable : frame->variables) enters.push_back(variable.enter);
    for (int enter : enters)
      for (const Ref& ref : source_->inputs(enter)) {
        if (ref.is_control) continue;
        if (!scope_.done.count(ref.node)) return void(to.is_taken = true);  // inside of a frame
        if (unknown_.count({ref.node, ref.port})) {
          to.reason = "its loop reads a tensor of unknown shape";
          return publish_foreign(node);
        }
      }
  } else if (units_.is_in_frame[size_t(node)]) {
    return void(to.is_taken = true);  // the frame's Exit says whether
  }
  bool has_unknown = false;
  for (const Ref& ref : source_->inputs(node)) {
    if (ref.is_control || scope_.done.count(ref.node) || source_->frame_of_exit(node)) continue;
    to.reason = "it reads what is inside of a while loop";
    return publish_foreign(node);
  }
  for (const Ref& ref : source_->inputs(node))
    has_unknown = has_unknown || (!ref.is_control && unknown_.count({ref.node, ref.port}));
  if (to.op == "Merge" || to.op == "RefMerge") {  // looks at its condition, besides what it reads
    const auto guard = importer_.guard_of(scope_, node);
    if (has_unknown) to.reason = "it merges a tensor of unknown shape";
    else if (!guard || !scope_.done.count(guard->predicate.node))
      to.reason = "the condition that its inputs depend on is not found";
  }
  if (!to.reason.empty()) {
    // Refused already.
  } else if (has_unknown) {
    to.reason = try_alone(node);
  } else {
    const ir::Node* before = ir_->nodes().empty() ? nullptr : ir_->nodes().back().get();
    const size_t inputs_before = ir_->inputs.size();
    to.reason = ask(scope_, node);
    if (to.reason.empty()) to.reason = effect_reason(scope_, node, inputs_before, before);
    if (to.reason.empty()) count_work(node, *ir_, before);
  }
  to.is_taken = to.reason.empty();
  if (!to.is_taken) publish_foreign(node);
}

std::string GraphSurvey::ask(Scope& scope, int node) {
  const NodeDesc& desc = source_->node(node);
  importer_.refusals_ = {};
  importer_.node_count_ = 0;
  const Status status = importer_.import_node(scope, node);
  if (!status.ok()) {
    importer_.refuse_outputs(scope, node);
    std::string text = status.message();
    const std::string where = cat(describe(desc), ": ");
    if (text.substr(0, where.size()) == where) text = text.substr(where.size());
    return one_line(text);
  }
  for (const Binding& binding : scope.done[node]) {
    if (binding.kind != Binding::Kind::kRefused) continue;
    const std::vector<opdef::Refusals::Entry> entries = importer_.refusals_.entries();
    if (entries.empty()) return "part of it is not taken";
    const bool is_own = entries.size() == 1 && entries[0].first[0] == desc.name;
    if (is_own) return one_line(entries[0].reason);
    std::vector<std::string> inner;
    for (const auto& entry : entries) inner.push_back(cat(entry.what, " (", entry.reason, ")"));
    return one_line(cat("what it runs holds ", join(inner)));
  }
  return "";
}

// Nodes that the importer reads and that are no part of what an engine computes.
std::string GraphSurvey::effect_reason(const Scope& scope, int node, size_t inputs_before,
                                       const ir::Node* before) const {
  auto made = scope.graph->nodes().begin();
  if (before) made = std::next(before->position);
  for (; made != scope.graph->nodes().end(); ++made)
    if (registry_.find((*made)->op)->random) return "it draws random numbers";
  if (scope.graph->inputs.size() > inputs_before) return "it stays outside: what it gives is an input";
  for (const Binding& binding : scope.done.at(node)) {
    if (binding.kind == Binding::Kind::kNone) continue;  // a TensorArray's handle, beside its flow
    if (binding.kind == Binding::Kind::kText) return "it holds text";
    if (binding.kind == Binding::Kind::kVariable) return "a variable: its value belongs to TensorFlow";
    return "";
  }
  return "it gives no tensor and is run for its effect";
}

// Tensors that come from outside: inputs of the imported graph when type and shape are known.
void GraphSurvey::publish_foreign(int node) {
  Bindings outputs = scope_.done.count(node) ? scope_.done[node] : Bindings();
  outputs.resize(size_t(source_->port_count(node)));
  for (int port = 0; port < int(outputs.size()); ++port) {
    Binding& binding = outputs[size_t(port)];
    if (binding.kind == Binding::Kind::kText || binding.kind == Binding::Kind::kVariable) continue;
    if (binding.kind == Binding::Kind::kValue && binding.value->type.rank() >= 0 &&
        !feeds_.count({node, port})) {
      if (!binding.value->producer && !binding.value->is_constant()) continue;  // an input already
      const ir::TensorType type = binding.value->type;
      binding.value = ir_->add_input(
          ir_->unique_name(cat(source_->node(node).name, ':', port)), type);
      continue;
    }
    if (is_text(node, port)) {
      binding = {};
      binding.kind = Binding::Kind::kText;
      continue;
    }
    const Unknown told = told_of(node, port);
    if (told.dtype && told.shape) {
      const std::string name = ir_->unique_name(cat(source_->node(node).name, ':', port));
      const bool has_batch = is_placeholder(source_->node(node).op);
      binding = Binding::of(add_input(*ir_, name, *told.dtype, *told.shape, has_batch));
    } else {
      binding = Binding::refused();
      unknown_[{node, port}] = told;
    }
  }
  scope_.done[node] = std::move(outputs);
}

ir::Value* GraphSurvey::add_input(ir::Graph& graph, const std::string& name, ir::DataType dtype,
                                  const std::vector<int64_t>& shape, bool has_batch) {
  ir::TensorType type{dtype, {}};
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] >= 0) {
      type.shape.push_back(shape[axis]);
    } else if (axis == 0 && has_batch) {
      graph.symbols.try_emplace("N");
      type.shape.push_back(ir::Dim::symbol("N"));
    } else {
      type.shape.push_back(graph.new_symbol(cat("dim_", axis), {}));
    }
    if (axis == 0 && shape[0] < 0) batch_symbols_.insert(type.shape[0].symbol_name());
  }
  return graph.add_input(name, type);
}

bool GraphSurvey::is_text(int node, int port) const {
  return port == 0 && (is_placeholder(source_->node(node).op) || source_->node(node).op == "Const") &&
         source_->node(node).attr_int("dtype", 0) == kString;
}

GraphSurvey::Unknown GraphSurvey::told_of(int node, int port) const {
  Unknown out;
  const NodeDesc& desc = source_->node(node);
  for (const std::string& name : {cat(desc.name, ':', port), std::string(port == 0 ? desc.name : "")}) {
    const auto found = options_.tensors.find(name);
    if (found == options_.tensors.end()) continue;
    if (!out.dtype) out.dtype = found->second.dtype;
    if (!out.shape) out.shape = found->second.shape;
  }
  if (!out.dtype) out.dtype = declared_dtype(node, port);
  if (out.shape) return out;
  const AttrDesc* shapes = desc.attr("_output_shapes");
  if (shapes && size_t(port) < shapes->shapes.size() && !shapes->shapes[size_t(port)].unknown_rank) {
    out.shape = shapes->shapes[size_t(port)].dims;
    return out;
  }
  const AttrDesc* shape = desc.attr("shape");
  if (is_placeholder(desc.op) && shape && shape->kind == AttrDesc::Kind::kShape &&
      !shape->shape.unknown_rank &&
      (!shape->shape.dims.empty() || graph_.producer >= kFirstProducerWithShapes))
    out.shape = shape->shape.dims;
  return out;
}

// Attributes that say an output's type wherever they stand. "T" does not: a comparison has it too.
std::optional<ir::DataType> GraphSurvey::declared_dtype(int node, int port) const {
  const NodeDesc& desc = source_->node(node);
  const auto as_type = [](int64_t number) -> std::optional<ir::DataType> {
    const auto type = data_type(number);
    return type.ok() ? std::optional(*type) : std::nullopt;
  };
  for (const char* key : {"Tout", "output_types", "component_types"})
    if (const AttrDesc* found = desc.attr(key)) {
      if (found->kind == AttrDesc::Kind::kList && size_t(port) < found->ints.size())
        return as_type(found->ints[size_t(port)]);
      if (found->kind == AttrDesc::Kind::kType) return as_type(found->i);
    }
  for (const char* key : {"dtype", "DstT", "out_type", "output_type", "output_dtype"})
    if (const AttrDesc* found = desc.attr(key); found && found->kind == AttrDesc::Kind::kType && port == 0)
      return as_type(found->i);
  for (const char* op : {"Exit", "Enter", "Identity", "Merge", "Switch", "StopGradient"})
    if (desc.op == op && (port == 0 || desc.op == "Switch")) return as_type(desc.attr_int("T", 0));
  return std::nullopt;
}

void GraphSurvey::describe_outputs(int node) {
  SurveyedNode& to = out(node);
  const auto found = scope_.done.find(node);
  bool all_known = to.is_taken && to.unit < 0;
  for (int port = 0; port < int(to.outputs.size()); ++port) {
    SurveyedPort& one = to.outputs[size_t(port)];
    const Binding* binding = found != scope_.done.end() && size_t(port) < found->second.size()
                                 ? &found->second[size_t(port)] : nullptr;
    if (binding && binding->kind == Binding::Kind::kValue) {
      const ir::Value& value = *binding->value;
      one.dtype = value.type.dtype;
      one.shape = plain_dims(value.type.shape);
      if (value.constant) one.value = *value.constant;
      one.bytes = count_of(value.type.shape).value_or(0) * double(ir::bits_of(value.type.dtype)) / 8;
    } else if (const auto told = unknown_.find({node, port}); told != unknown_.end()) {
      one.dtype = told->second.dtype;
      one.shape = told->second.shape;
    }
    all_known = all_known && one.value;
  }
  bool reads_constants_only = true, reads = false;
  for (const SurveyedInput& input : to.inputs) {
    if (input.is_control) continue;
    reads = true;
    reads_constants_only = reads_constants_only && out(input.node).is_constant;
  }
  to.is_constant = all_known && (to.op == "Const" || (reads && reads_constants_only));
  if (to.is_constant) to.work = {}, to.made_nodes = 0;
}

// A unit is taken whole; what would have been taken says which of its nodes is not.
void GraphSurvey::judge_units() {
  std::map<int, std::string> culprits;
  for (int node : survey_.order) {
    const SurveyedNode& one = out(node);
    if (one.unit < 0 || one.is_taken || !one.is_wanted) continue;
    culprits.emplace(one.unit, cat(quoted(one.name), " (", one.op, "), which is not taken"));
  }
  for (const SurveyedInput& fetch : survey_.fetches) {
    const SurveyedNode& one = out(fetch.node);
    if (one.unit >= 0 && one.op != "Merge" && one.op != "Exit")
      culprits.emplace(one.unit, cat(quoted(one.name), ", which is a result"));
  }
  for (SurveyedNode& node : survey_.nodes) {
    if (node.unit < 0 || !node.is_taken || !culprits.count(node.unit)) continue;
    node.is_taken = false;
    node.is_constant = false;
    node.reason = cat("its loop or condition holds ", culprits[node.unit]);
  }
}

}  // namespace planish::frontend::tensorflow
