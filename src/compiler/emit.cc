// Emission: chosen alternatives become steps and values. Layout conversions are inserted where
// producer and reader differ, concat members and slices become views where kernels can address
// them, and everything else is copied by steps of its own. In a program of a device with memory of
// its own, values lie where they are made; what the other side reads is carried over by a Transfer.
#include <algorithm>

#include "base/text.h"
#include "compiler/lowering.h"
#include "kernel/strided.h"
#include "opdef/infer.h"
#include "tuner/compile_ahead.h"

namespace planish::compiler {
namespace {

using ir::Dim;
using ir::Layout;
using plan::ProgramValue;
using plan::Step;

constexpr int64_t kVectorBits = 128;  // of the widest access of a kernel

// Physical elements before index `begin` of `axis` (0 or 1, or behind dims of 1) under a layout.
Dim element_offset(const ir::Shape& whole, const Layout& layout, int axis, const Dim& begin) {
  Dim inner = 1;
  for (size_t d = size_t(axis) + 1; d < whole.size(); ++d) {
    const bool padded = int(d) == layout.block_dim;
    inner = inner * (padded ? ceildiv(whole[d], layout.block) * Dim(layout.block) : whole[d]);
  }
  return begin * inner;  // blocked on the axis: begin is whole blocks, and the product is the same
}

// Everything before the axis has size 1: a part is one dense piece.
bool is_dense_part(const ir::Shape& shape, int axis) {
  for (int d = 0; d < axis; ++d)
    if (!(shape[size_t(d)] == Dim(1))) return false;
  return true;
}

class Emitter {
 public:
  Emitter(const Lowered& lowered, const CompileOptions& options, const Environment& environment)
      : lowered_(lowered), graph_(*lowered.graph), options_(options), environment_(environment) {}

  Result<Emitted> run() {
    const kernel::DeviceInfo& device = environment_.device.info();
    program_.device_kind = device.kind;
    program_.device_name = device.name;
    program_.isa = device.isa;
    program_.threads = device.threads;
    program_.symbols = graph_.symbols;
    for (const ir::Value* v : graph_.inputs) {
      const int id = add_value(v->name, v->type, Layout{}, space_of_input(v));
      program_.values[size_t(id)].kind = plan::ValueKind::kInput;
      program_.inputs.push_back(id);
      produced_[v] = id;
    }
    plan_concats();
    compile_chosen();
    for (const LoweredNode& entry : lowered_.nodes)
      if (Status s = emit_node(entry); !s.ok()) return s.at(opdef::describe_node(*entry.node));
    for (const ir::Value* v : graph_.outputs) {
      PLANISH_ASSIGN_OR_RETURN(int id, value_in(v, Layout{}, {}, space_of(v)));
      program_.outputs.push_back(id);
      program_.output_names.push_back(v->name);
    }
    for (const Profile& profile : options_.profiles) {
      std::vector<plan::ProfileInput> inputs;
      for (const auto& entry : profile.opt) {
        const auto get = [&entry](const auto& map) {
          auto found = map.find(entry.first);
          return found == map.end() ? entry.second : found->second;
        };
        inputs.push_back({entry.first, get(profile.min), entry.second, get(profile.max)});
      }
      program_.profiles.push_back(std::move(inputs));
    }
    nodes_.resize(program_.steps.size());
    return Emitted{std::move(program_), std::move(nodes_)};
  }

 private:
  // What the steps will ask for, compiled on all cores.
  void compile_chosen() {
    if (home() == ir::MemorySpace::kHost) return;
    std::vector<tuner::CompileJob> jobs;
    std::vector<const LoweredNode*> nodes;
    for (const LoweredNode& entry : lowered_.nodes) {
      const Alternative& a = entry.choice();
      if (!a.kernel || entry.on_host) continue;
      jobs.push_back({a.kernel, &a.problem, &a.tactic});
      nodes.push_back(&entry);
    }
    auto made = tuner::compile_ahead(jobs, environment_.device.info());
    for (size_t i = 0; i < nodes.size(); ++i) artifacts_.emplace(nodes[i], std::move(*made[i]));
  }
  Result<kernel::Blob> artifact_of(const LoweredNode& entry, const kernel::DeviceInfo& device) {
    if (const auto found = artifacts_.find(&entry); found != artifacts_.end()) return std::move(found->second);
    const Alternative& a = entry.choice();
    return a.kernel->compile(a.problem, a.tactic, device);
  }

  const LoweredNode& lowered_of(const ir::Node* node) const {
    return lowered_.nodes[size_t(lowered_.index.at(node))];
  }

  ir::MemorySpace home() const { return environment_.device.home(); }
  // Where a node's kernel wants its operands and leaves its results.
  ir::MemorySpace space_of(const LoweredNode& entry) const {
    return entry.on_host ? ir::MemorySpace::kHost : home();
  }
  // Inputs go where somebody computes with them; views of an input count as their readers.
  ir::MemorySpace space_of_input(const ir::Value* v) const {
    for (const ir::Use& use : v->uses) {
      const LoweredNode& reader = lowered_of(use.node);
      if (reader.kind != NodeKind::kCompute) {
        for (const ir::Value* result : use.node->outputs)
          if (space_of_input(result) == home()) return home();
      } else if (!reader.on_host) {
        return home();
      }
    }
    return ir::MemorySpace::kHost;
  }
  // Where a value that has been emitted lies; constants are wherever they are asked for.
  ir::MemorySpace space_of(const ir::Value* v) const {
    auto at = produced_.find(v);
    return at == produced_.end() ? home() : program_.values[size_t(at->second)].type.space;
  }

  int add_value(std::string name, ir::TensorType type, const Layout& layout,
                ir::MemorySpace space) {
    ProgramValue value;
    value.name = std::move(name);
    value.type = std::move(type);
    value.type.layout = layout;
    value.type.space = space;
    program_.values.push_back(std::move(value));
    return int(program_.values.size()) - 1;
  }

  int constant_value(const ir::Value* v, ir::MemorySpace space) {
    const auto key = std::pair(v, space);
    if (auto found = constants_.find(key); found != constants_.end()) return found->second;
    const int id = add_value(v->name, v->type, Layout{}, space);
    ProgramValue& value = program_.values[size_t(id)];
    value.kind = plan::ValueKind::kConstant;
    const uint64_t hash = plan::content_hash(*v->constant);
    for (size_t i = 0; i < program_.constants.size(); ++i)
      if (program_.constants[i].hash == hash &&
          program_.constants[i].tensor.same_bytes(*v->constant))
        value.constant = int(i);
    if (value.constant < 0) {
      value.constant = int(program_.constants.size());
      program_.constants.push_back({v->name, *v->constant, hash});
    }
    return constants_[key] = id;
  }

  bool reader_takes_strided(const ir::Use& use) const {
    const LoweredNode& reader = lowered_of(use.node);
    if (reader.kind == NodeKind::kConcat) return true;  // copied or aliased by offsets
    if (reader.kind != NodeKind::kCompute || reader.binds_symbols) return false;
    const Alternative& a = reader.choice();
    return a.kernel->takes_strided(a.problem, false, use.index);
  }

  // May `member` be written straight into its place in the concat?
  bool can_alias(const ir::Value* member, const LoweredNode& concat, const Layout& layout,
                 bool dense) const {
    if (!member->producer || member->constant || graph_.is_output(member)) return false;
    if (parent_of_.count(member)) return false;
    const LoweredNode& producer = lowered_of(member->producer);
    if (producer.binds_symbols) return false;
    // Its place must be known before it is made, whatever data decide.
    const ir::Value* whole = concat.node->outputs[0];
    for (const ir::Value* v : {member, whole})
      for (const Dim& d : v->type.shape)
        for (const std::string& s : d.symbols()) {
          auto info = graph_.symbols.find(s);
          if (info != graph_.symbols.end() && info->second.from_data) return false;
        }
    if (producer.kind != NodeKind::kCompute && producer.kind != NodeKind::kConcat) return false;
    if (!(producer.choice().layouts.results[size_t(member->output_index)] == layout)) return false;
    if (std::count(concat.node->inputs.begin(), concat.node->inputs.end(), member) != 1)
      return false;
    if (dense) return true;
    // Parts along the outermost dim would lie a stride apart, which an offset does not know.
    if (producer.kind == NodeKind::kConcat && axis_of(producer) == 0) return false;
    if (producer.kind == NodeKind::kCompute && !is_free_concat(producer) &&
        !producer.choice().kernel->takes_strided(producer.choice().problem, true,
                                                 member->output_index))
      return false;
    for (const ir::Use& use : member->uses) {
      if (use.node == concat.node) continue;
      if (!reader_takes_strided(use)) return false;
      // A reader that wants another layout goes through a conversion.
      const Layout& wanted =
          lowered_of(use.node).choice().layouts.operands[size_t(use.index)];
      if (!(wanted == layout)) return false;
    }
    return true;
  }

  // A Concat with a kernel of its own, whose channels come last: is it free, because every member can
  // be written where it belongs?
  bool is_free_concat(const LoweredNode& entry) const {
    if (entry.kind != NodeKind::kCompute || entry.node->op != "Concat" || entry.on_host ||
        entry.binds_symbols || axis_of(entry) != 1)
      return false;
    const ir::Value* whole = entry.node->outputs[0];
    const Layout& layout = entry.choice().layouts.results[0];
    if (!kernel::pixels_lie_apart(layout, whole->type.rank())) return false;
    // Wide accesses stay aligned wherever a member begins.
    const int64_t unit = kVectorBits / ir::bits_of(whole->type.dtype);
    const auto is_aligned = [&](const Dim& d) { return d.is_constant() && d.value() % unit == 0; };
    return std::all_of(entry.node->inputs.begin(), entry.node->inputs.end(),
                       [&](const ir::Value* member) {
                         return is_aligned(member->type.shape[1]) &&
                                can_alias(member, entry, layout, false);
                       });
  }

  void plan_free_concats() {
    for (size_t i = lowered_.nodes.size(); i-- > 0;) {
      const LoweredNode& entry = lowered_.nodes[i];
      if (!is_free_concat(entry)) continue;
      free_concats_.insert(entry.node);
      Dim begin = 0;
      for (const ir::Value* member : entry.node->inputs) {
        parent_of_[member] = {entry.node->outputs[0], begin};
        strided_.insert(member);
        begin = begin + member->type.shape[1];
      }
    }
  }

  // Later concats first: a concat inside a concat is a member like any other.
  void plan_concats() {
    plan_free_concats();
    for (size_t i = lowered_.nodes.size(); i-- > 0;) {
      const LoweredNode& entry = lowered_.nodes[i];
      if (entry.kind != NodeKind::kConcat) continue;
      const ir::Value* whole = entry.node->outputs[0];
      const Layout& layout = entry.choice().layouts.results[0];
      const int axis = axis_of(entry);
      // A member of a strided member is strided too.
      const bool dense = is_dense_part(whole->type.shape, axis) && !strided_.count(whole);
      Dim begin = 0;
      for (const ir::Value* member : entry.node->inputs) {
        if (can_alias(member, entry, layout, dense)) {
          parent_of_[member] = {whole, element_offset(whole->type.shape, layout, axis, begin)};
          if (!dense) strided_.insert(member);
        }
        begin = begin + member->type.shape[size_t(axis)];
      }
    }
  }

  int axis_of(const LoweredNode& entry) const {
    if (entry.kind == NodeKind::kSlice) return entry.slice.axis;
    const int64_t a = entry.node->attr_int("axis");
    return int(a < 0 ? a + entry.node->outputs[0]->type.rank() : a);
  }

  // The program value a node writes for `v`: inside the parent when it is a concat member.
  int result_value(const ir::Value* v, const Layout& layout, ir::MemorySpace space) {
    auto known = produced_.find(v);
    if (known != produced_.end()) return known->second;
    const int id = add_value(v->name, v->type, layout, space);
    produced_[v] = id;
    auto parent = parent_of_.find(v);
    if (parent != parent_of_.end()) {
      const int whole = result_value(parent->second.first, layout, space);
      ProgramValue& value = program_.values[size_t(id)];
      value.parent = whole;
      value.offset = parent->second.second;
      value.strided = strided_.count(v) > 0;
    }
    return id;
  }

  // `v` in the given layout and space, converted and carried once for each. The host's side of a
  // transfer is row-major.
  Result<int> value_in(const ir::Value* v, const Layout& layout,
                       const std::vector<std::string>& sources, ir::MemorySpace space) {
    if (v->constant) return constant_in(v, layout, sources, space);
    auto at = produced_.find(v);
    PLANISH_CHECK(at != produced_.end(), cat("value '", v->name, "' is read before it is made"));
    const Layout from = program_.values[size_t(at->second)].type.layout;
    const ir::MemorySpace made_in = program_.values[size_t(at->second)].type.space;
    if (from == layout && made_in == space) return at->second;
    auto converted = converted_.find({v, layout, space});
    if (converted != converted_.end()) return converted->second;
    if (made_in != space && !layout.is_row_major()) {  // carried first, then converted
      PLANISH_RETURN_IF_ERROR(value_in(v, Layout{}, sources, space).status());
    } else if (made_in != space && !from.is_row_major()) {  // converted first
      PLANISH_RETURN_IF_ERROR(value_in(v, Layout{}, sources, made_in).status());
    }
    const int id = add_value(cat(v->name, "@", ir::to_string(layout),
                                 made_in == space ? "" : space == home() ? "@device" : "@host"),
                             v->type, layout, space);
    converted_[{v, layout, space}] = id;
    if (made_in != space) {
      const bool carried = !layout.is_row_major();
      const auto plain = converted_.find({v, Layout{}, carried ? space : made_in});
      const int source = plain == converted_.end() ? at->second : plain->second;
      PLANISH_RETURN_IF_ERROR(add_copy(carried ? "LayoutConvert" : "Transfer", source, id,
                                       sources_of(v, sources)));
      return id;
    }
    if (same_bytes(v->type.shape, from, layout) && !strided_.count(v)) {
      program_.values[size_t(id)].parent = at->second;
      return id;
    }
    PLANISH_RETURN_IF_ERROR(add_copy("LayoutConvert", at->second, id, sources_of(v, sources)));
    return id;
  }

  // A constant that a kernel did not pack, but reads in a layout of its own, is converted by a step.
  Result<int> constant_in(const ir::Value* v, const Layout& layout,
                          const std::vector<std::string>& sources, ir::MemorySpace space) {
    const int plain = constant_value(v, space);
    if (layout.is_row_major()) return plain;
    auto converted = converted_.find({v, layout, space});
    if (converted != converted_.end()) return converted->second;
    const int id = add_value(cat(v->name, "@", ir::to_string(layout)), v->type, layout, space);
    converted_[{v, layout, space}] = id;
    PLANISH_RETURN_IF_ERROR(add_copy("LayoutConvert", plain, id, sources));
    return id;
  }

  static std::vector<std::string> sources_of(const ir::Value* v,
                                             const std::vector<std::string>& sources) {
    return sources.empty() && v->producer ? v->producer->sources : sources;
  }

  // A step that copies one value into another, layouts and strides as they are.
  Status add_copy(std::string_view op, int from, int to, std::vector<std::string> sources) {
    Step step;
    kernel::Operand operand;
    operand.type = program_.values[size_t(from)].type;
    operand.constant = program_.values[size_t(from)].kind == plan::ValueKind::kConstant;
    step.problem.operands = {operand};
    kernel::Stage stage;
    stage.op = op;
    stage.inputs = {0};
    stage.outputs = {program_.values[size_t(to)].type};
    step.problem.stages = {stage};
    step.problem.results = {1};
    // Copying is the same whatever the dims, also those of the smallest shapes; where the opt shapes have
    // none, they are 1.
    kernel::Problem smallest = step.problem;
    for (ir::TensorType* type : {&smallest.operands[0].type, &smallest.stages[0].outputs[0]})
      for (Dim& dim : type->shape)
        if (!dim.is_constant()) dim = 1;
    auto concrete = lowered_.at_opt(step.problem);
    const kernel::Problem asked = concrete ? std::move(*concrete) : smallest;
    const bool on_host = home() != ir::MemorySpace::kHost && op == "Copy" &&
                         operand.type.space == ir::MemorySpace::kHost;
    const kernel::DeviceInfo& device =
        on_host ? environment_.host->info() : environment_.device.info();
    std::vector<std::string> refusals;
    for (const auto& kernel : environment_.kernels.all()) {
      if (kernel->device_kind() != device.kind || kernel->is_reference()) continue;
      Status s = kernel->supports(asked, device);
      if (s.ok()) s = kernel->supports(smallest, device);
      if (!s.ok()) {
        if (s.code() != Code::kUnimplemented)
          refusals.push_back(cat(kernel->name(), ": ", s.message()));
        continue;
      }
      step.kernel = kernel->name();
      step.kernel_version = kernel->version();
      const auto tactics = kernel->tactics(asked, device);
      step.tactic = tactics[0];
      step.expected_us = kernel->predict_us(asked, step.tactic, device);
      PLANISH_ASSIGN_OR_RETURN(kernel::Blob artifact, kernel->compile(asked, step.tactic, device));
      step.artifact.assign(artifact.bytes.begin(), artifact.bytes.end());
      step.operands = {from};
      step.results = {to};
      step.sources = std::move(sources);
      program_.steps.push_back(std::move(step));
      return ok_status();
    }
    return internal_error(cat("no kernel copies ", kernel::describe(step.problem), " from ",
                              ir::to_string(operand.type), ": ", join(refusals, "; ")));
  }

  Status emit_node(const LoweredNode& entry) {
    switch (entry.kind) {
      case NodeKind::kView: return emit_view(entry);
      case NodeKind::kConcat: return emit_concat(entry);
      case NodeKind::kSlice: return emit_slice(entry);
      case NodeKind::kContent: return is_read(entry) ? emit_compute(entry) : ok_status();
      case NodeKind::kCompute:
        if (!free_concats_.count(entry.node)) return emit_compute(entry);
        result_value(entry.node->outputs[0], entry.choice().layouts.results[0], home());
        return ok_status();
    }
    return ok_status();
  }

  // Some kernel reads the node's values, or they leave the network; views and slices know by now.
  bool is_read(const LoweredNode& entry) const {
    for (const ir::Value* v : entry.node->outputs) {
      if (graph_.is_output(v)) return true;
      for (const ir::Use& use : v->uses) {
        const NodeKind kind = lowered_of(use.node).kind;
        if (kind == NodeKind::kCompute || kind == NodeKind::kConcat || use.index == 0) return true;
      }
    }
    return false;
  }

  Status emit_view(const LoweredNode& entry) {
    const ir::Node& node = *entry.node;
    const ir::Value* v = node.outputs[0];
    const ir::Value* input = node.inputs[0];
    PLANISH_ASSIGN_OR_RETURN(
        int from,
        value_in(input, entry.choice().layouts.operands[0], node.sources, space_of(input)));
    const ir::MemorySpace space = program_.values[size_t(from)].type.space;
    if (strided_.count(input)) {
      const int dense = add_value(cat(input->name, "@dense"), input->type,
                                  program_.values[size_t(from)].type.layout, space);
      PLANISH_RETURN_IF_ERROR(add_copy("Copy", from, dense, node.sources));
      from = dense;
    }
    const int id = result_value(v, entry.choice().layouts.results[0], space);
    if (program_.values[size_t(id)].parent >= 0)
      return add_copy("Copy", from, id, node.sources);  // cannot happen: views are no members
    program_.values[size_t(id)].parent = from;
    return ok_status();
  }

  Status emit_concat(const LoweredNode& entry) {
    const ir::Node& node = *entry.node;
    const ir::Value* whole = node.outputs[0];
    const Layout& layout = entry.choice().layouts.results[0];
    const int id = result_value(whole, layout, home());
    const int axis = axis_of(entry);
    const bool strided = !is_dense_part(whole->type.shape, axis) || strided_.count(whole);
    Dim begin = 0;
    for (const ir::Value* member : node.inputs) {
      const Dim size = member->type.shape[size_t(axis)];
      auto parent = parent_of_.find(member);
      if (parent == parent_of_.end() || parent->second.first != whole) {
        PLANISH_ASSIGN_OR_RETURN(int from, value_in(member, layout, node.sources, home()));
        const int part =
            add_value(cat(whole->name, "@", begin.to_string()), member->type, layout, home());
        ProgramValue& value = program_.values[size_t(part)];
        value.parent = id;
        value.offset = element_offset(whole->type.shape, layout, axis, begin);
        value.strided = strided;
        PLANISH_RETURN_IF_ERROR(add_copy("Copy", from, part, node.sources));
      }
      begin = begin + size;
    }
    return ok_status();
  }

  Status emit_slice(const LoweredNode& entry) {
    const ir::Node& node = *entry.node;
    const ir::Value* input = node.inputs[0];
    const Layout& layout = entry.choice().layouts.operands[0];
    PLANISH_ASSIGN_OR_RETURN(int from, value_in(input, layout, node.sources, space_of(input)));
    const ir::MemorySpace space = program_.values[size_t(from)].type.space;
    const int axis = axis_of(entry);
    bool is_strided = strided_.count(input) > 0;
    if (is_strided && axis == 0) {  // where a part begins depends on the stride
      const int copy = add_value(cat(input->name, "@dense"), input->type, layout, space);
      PLANISH_RETURN_IF_ERROR(add_copy("Copy", from, copy, node.sources));
      from = copy;
      is_strided = false;
    }
    const bool dense = is_dense_part(input->type.shape, axis) && !is_strided;
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      const ir::Value* v = node.outputs[i];
      const Dim offset = element_offset(input->type.shape, layout, axis, entry.slice.begins[i]);
      bool view = !parent_of_.count(v);
      if (!dense) {
        for (const ir::Use& use : v->uses) {
          view &= reader_takes_strided(use) &&
                  lowered_of(use.node).choice().layouts.operands[size_t(use.index)] == layout;
        }
        view &= !graph_.is_output(v);
      }
      if (view) {
        const int id = result_value(v, layout, space);
        ProgramValue& value = program_.values[size_t(id)];
        value.parent = from;
        value.offset = offset;
        value.strided = !dense;
        if (!dense) strided_.insert(v);
        continue;
      }
      const int part = add_value(cat(v->name, "@part"), v->type, layout, space);
      ProgramValue& value = program_.values[size_t(part)];
      value.parent = from;
      value.offset = offset;
      value.strided = !dense;
      const int id = result_value(v, layout, space);
      PLANISH_RETURN_IF_ERROR(add_copy("Copy", part, id, node.sources));
    }
    return ok_status();
  }

  // A dense value in `layout` for operand i of a kernel that cannot read strides.
  Result<int> operand_value(const LoweredNode& entry, size_t i) {
    const ir::Value* v = entry.node->inputs[i];
    const Alternative& a = entry.choice();
    PLANISH_ASSIGN_OR_RETURN(int id, value_in(v, a.layouts.operands[i], entry.node->sources,
                                              space_of(entry)));
    const bool is_same = !v->constant && produced_.at(v) == id;
    if (!is_same || !strided_.count(v) || a.kernel->takes_strided(a.problem, false, int(i)))
      return id;
    const int dense =
        add_value(cat(v->name, "@dense"), v->type, a.layouts.operands[i], space_of(entry));
    PLANISH_RETURN_IF_ERROR(add_copy("Copy", id, dense, entry.node->sources));
    return dense;
  }

  Status emit_compute(const LoweredNode& entry) {
    const ir::Node& node = *entry.node;
    const Alternative& a = entry.choice();
    Step step;
    step.kernel = a.kernel->name();
    step.kernel_version = a.kernel->version();
    step.tactic = a.tactic;
    step.reference = a.kernel->is_reference();
    step.binds_symbols = entry.binds_symbols;
    step.expected_us = a.us();
    step.considered = entry.considered;
    step.sources = node.sources;
    step.problem = entry.problem;
    if (a.kernel == entry.control)
      for (const LoweredNode::Body& body : entry.bodies) {
        step.bodies.push_back({body.attribute, body.program});
        ir::Attribute& graph = step.problem.stages[0].attrs.at(body.attribute);
        graph = signature_of(*std::get<ir::GraphPtr>(graph));
      }
    const kernel::DeviceInfo& device =
        entry.on_host ? environment_.host->info() : environment_.device.info();
    PLANISH_ASSIGN_OR_RETURN(const kernel::Blob artifact, artifact_of(entry, device));
    step.artifact.assign(artifact.bytes.begin(), artifact.bytes.end());
    for (size_t i = 0; i < step.problem.operands.size(); ++i) {
      if (!step.problem.operands[i].present) {
        step.operands.push_back(-1);
        continue;
      }
      PLANISH_ASSIGN_OR_RETURN(int id, operand_value(entry, i));
      step.operands.push_back(id);
      kernel::Operand& operand = step.problem.operands[i];
      operand.type.layout = a.layouts.operands[i];
      // A constant in another layout is what a conversion step makes of it.
      operand.constant = program_.values[size_t(id)].kind == plan::ValueKind::kConstant;
      if (!operand.constant) operand.value.reset();
    }
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      step.results.push_back(
          result_value(node.outputs[i], a.layouts.results[i], space_of(entry)));
      const int value = step.problem.results[i];
      if (value < int(step.problem.operands.size())) continue;
      const auto [stage, output] = step.problem.stage_of(value);
      step.problem.stages[size_t(stage)].outputs[size_t(output)].layout = a.layouts.results[i];
    }
    nodes_.resize(program_.steps.size());
    nodes_.push_back(&entry);
    program_.steps.push_back(std::move(step));
    return ok_status();
  }

  const Lowered& lowered_;
  const ir::Graph& graph_;
  const CompileOptions& options_;
  const Environment& environment_;
  plan::Program program_;
  std::vector<const LoweredNode*> nodes_;  // by step, as far as there are any
  std::map<const LoweredNode*, Result<kernel::Blob>> artifacts_;  // compiled ahead; each is taken once
  std::map<const ir::Value*, int> produced_;
  std::map<std::tuple<const ir::Value*, Layout, ir::MemorySpace>, int> converted_;
  std::map<std::pair<const ir::Value*, ir::MemorySpace>, int> constants_;
  std::map<const ir::Value*, std::pair<const ir::Value*, Dim>> parent_of_;
  std::set<const ir::Value*> strided_;
  std::set<const ir::Node*> free_concats_;  // no step: their members are written in place
};

}  // namespace

Result<Emitted> emit(const Lowered& lowered, const CompileOptions& options,
                     const Environment& environment) {
  return Emitter(lowered, options, environment).run();
}

}  // namespace planish::compiler
