// Candidates per node: every registered kernel is asked, every refusal keeps its reason.
#include <algorithm>
#include <new>

#include "base/build_team.h"
#include "base/text.h"
#include "compiler/lowering.h"
#include "compiler/workspace_cap.h"
#include "kernel/allocating_kernel.h"
#include "kernel/control_kernel.h"
#include "kernel/set_layouts.h"
#include "kernel/supported.h"
#include "opdef/infer.h"

namespace planish::compiler {
namespace {

using ir::Layout;

// A concat or slice along `axis` is a matter of offsets when everything before the axis is either
// the outermost dim (which may have a stride of its own) or of size 1.
bool offsets_suffice(const ir::Shape& shape, int axis) {
  for (int d = 0; d < axis; ++d)
    if (!(shape[size_t(d)] == ir::Dim(1)) && !(d == 0 && axis == 1)) return false;
  return true;
}

bool multiple_of(const ir::Dim& dim, int block) {
  return dim.is_constant() && dim.value() % block == 0;
}

// Layouts under which the node is structural: row-major, and blocked when the axis is the blocked
// one and every part is whole blocks.
std::vector<Layout> structural_layouts(const LoweredNode& entry, int axis, int block) {
  std::vector<Layout> out = {Layout{}};
  const ir::Node& node = *entry.node;
  const ir::Value* whole = entry.kind == NodeKind::kConcat ? node.outputs[0] : node.inputs[0];
  if (block <= 1 || whole->type.rank() < 3 || whole->type.dtype != ir::DataType::kF32) return out;
  if (axis == 1) {
    const auto& parts = entry.kind == NodeKind::kConcat ? node.inputs : node.outputs;
    bool whole_blocks = true;
    for (const ir::Value* v : parts) whole_blocks &= multiple_of(v->type.shape[1], block);
    for (const ir::Dim& begin : entry.slice.begins) whole_blocks &= multiple_of(begin, block);
    if (!whole_blocks) return out;
  } else if (axis != 0) {
    return out;
  }
  out.push_back(Layout::blocked(1, block));
  return out;
}

void add_structural(LoweredNode& entry, const kernel::DeviceInfo& device, int block) {
  const ir::Node& node = *entry.node;
  const auto add = [&](const Layout& from, const Layout& to, double us) {
    Alternative a;
    a.layouts.operands.assign(node.inputs.size(), from);
    a.layouts.results.assign(node.outputs.size(), to);
    a.predicted_us = us;
    entry.alternatives.push_back(std::move(a));
  };
  if (entry.kind == NodeKind::kView) {
    const int rank = node.inputs[0]->type.rank();
    if (const int moved = moved_channels(node)) {
      const Layout last = Layout::channels_last(rank);
      add(moved > 0 ? last : Layout{}, moved > 0 ? Layout{} : last, 0);
      return;
    }
    add(Layout{}, Layout{}, 0);
    const Layout blocked = Layout::blocked(1, std::max(block, 1));
    if (block > 1 && rank >= 3 && same_bytes(node.inputs[0]->type.shape, blocked, Layout{}))
      add(blocked, Layout{}, 0);
    if (device.kind != "cpu" && rank >= 3) {
      const Layout last = Layout::channels_last(rank);
      if (same_bytes(node.inputs[0]->type.shape, last, Layout{})) add(last, Layout{}, 0);
    }
    return;
  }
  const int axis = entry.kind == NodeKind::kSlice ? entry.slice.axis : [&] {
    const int64_t a = node.attr_int("axis");
    return int(a < 0 ? a + node.outputs[0]->type.rank() : a);
  }();
  for (const Layout& layout : structural_layouts(entry, axis, block)) add(layout, layout, 0);
}

// The host kernel that the cost model likes best, row-major on both sides: nothing here is measured.
Status add_host_kernel(LoweredNode& entry, const CompileOptions& options,
                       const Environment& environment) {
  const Environment host{environment.ops, environment.kernels, *environment.host, nullptr, nullptr,
                         environment.workspaces};
  PLANISH_RETURN_IF_ERROR(add_kernels(entry, options, host));
  const auto is_row_major = [](const Layout& layout) { return layout.is_row_major(); };
  std::erase_if(entry.alternatives, [&](const Alternative& a) {
    return !std::all_of(a.layouts.operands.begin(), a.layouts.operands.end(), is_row_major) ||
           !std::all_of(a.layouts.results.begin(), a.layouts.results.end(), is_row_major);
  });
  if (entry.alternatives.empty()) {  // blocked layouts only: the reference code takes any
    CompileOptions reference = options;
    reference.reference_only = true;
    PLANISH_RETURN_IF_ERROR(add_kernels(entry, reference, host));
  }
  std::stable_sort(entry.alternatives.begin(), entry.alternatives.end(),
                   [](const Alternative& a, const Alternative& b) {
                     return a.predicted_us < b.predicted_us;
                   });
  entry.alternatives.resize(1);
  entry.on_host = true;
  return ok_status();
}

// Blocks along a dim that is symbolic, in what is blocked or beside it: how an operand broadcasts
// along it, and whether its last block is full, change with the shapes.
bool blocks_a_symbol(const kernel::LayoutChoice& choice, const kernel::Problem& symbolic) {
  const auto blocks = [](const Layout& layout, const ir::TensorType& type, int rank) {
    const int dim = layout.block_dim - rank + type.rank();
    return layout.block_dim >= 0 && dim >= 0 && !type.shape[size_t(dim)].is_constant();
  };
  for (size_t i = 0; i < choice.operands.size() && i < symbolic.operands.size(); ++i)
    if (symbolic.operands[i].present &&
        blocks(choice.operands[i], symbolic.operands[i].type, symbolic.operands[i].type.rank()))
      return true;
  for (size_t i = 0; i < choice.results.size() && i < symbolic.results.size(); ++i) {
    const ir::TensorType& result = symbolic.result_type(int(i));
    if (blocks(choice.results[i], result, result.rank())) return true;
    for (const kernel::Operand& operand : symbolic.operands)
      if (operand.present && blocks(choice.results[i], operand.type, result.rank())) return true;
  }
  return false;
}

// The layouts that a kernel takes at the opt shapes and at others: what it said without layouts may not
// hold with them.
std::vector<kernel::LayoutChoice> lasting_layouts(const kernel::KernelDef& kernel,
                                                  const LoweredNode& entry,
                                                  const kernel::DeviceInfo& device) {
  std::vector<kernel::LayoutChoice> choices = kernel.layouts(entry.concrete, device);
  for (const kernel::Problem& other : entry.elsewhere) {
    const std::vector<kernel::LayoutChoice> there = kernel.layouts(other, device);
    std::erase_if(choices, [&](const kernel::LayoutChoice& choice) {
      if (std::find(there.begin(), there.end(), choice) == there.end() ||
          blocks_a_symbol(choice, entry.problem))
        return true;
      kernel::Problem laid_out = other;
      kernel::set_layouts(laid_out, choice);
      return !kernel::supported(kernel, laid_out, device).ok();
    });
  }
  return choices;
}

Status add_content(LoweredNode& entry, const Environment& environment) {
  for (const auto& kernel : environment.kernels.all()) {
    if (!kernel->supports(entry.concrete, environment.device.info()).ok()) continue;
    Alternative a;
    a.kernel = kernel.get();
    a.problem = entry.concrete;
    a.layouts.results.resize(entry.node->outputs.size());
    a.predicted_us = 0.1;
    entry.alternatives.push_back(std::move(a));
    entry.on_host = kernel->device_kind() != environment.device.info().kind;
    return ok_status();
  }
  return internal_error("no kernel writes known contents");
}

}  // namespace

// The control kernel over the bodies' programs. Expected is one pass through each.
void add_control(LoweredNode& entry, const Environment& environment) {
  Alternative a;
  a.kernel = entry.control;
  a.problem = entry.concrete;
  a.layouts.operands.resize(entry.node->inputs.size());
  a.layouts.results.resize(entry.node->outputs.size());
  a.predicted_us = entry.control->predict_us(entry.concrete, {}, environment.device.info());
  for (const LoweredNode::Body& body : entry.bodies)
    for (const plan::Step& step : body.program->steps) a.predicted_us += step.expected_us;
  entry.alternatives.push_back(std::move(a));
  entry.on_host = environment.host && environment.host->info().kind != environment.device.info().kind;
}

Status add_kernels(LoweredNode& entry, const CompileOptions& options,
                   const Environment& environment) {
  if (entry.control) {
    add_control(entry, environment);
    return ok_status();
  }
  const kernel::DeviceInfo& device = environment.device.info();
  const kernel::KernelDef* reference = nullptr;
  for (const auto& kernel : environment.kernels.all()) {
    if (kernel->device_kind() != device.kind) continue;
    if (kernel->is_reference()) {
      reference = kernel.get();
      continue;
    }
    if (options.reference_only) continue;
    if (dynamic_cast<const kernel::ControlKernel*>(kernel.get())) continue;  // see compile_bodies()
    const bool allocates = dynamic_cast<const kernel::AllocatingKernel*>(kernel.get()) != nullptr;
    if (allocates != entry.binds_symbols) continue;
    const auto refuse = [&](std::string why) {
      entry.considered.push_back({kernel->name(), "", 0, -1, std::move(why)});
    };
    if (options.fp32_exact && kernel->rounds_differently()) {
      refuse("rounds differently from a plain sum; --fp32 exact was asked for");
      continue;
    }
    if (Status s = supports(*kernel, entry.concrete, entry.elsewhere, device); !s.ok()) {
      if (s.code() != Code::kUnimplemented) refuse(s.message());  // another family's problem
      continue;
    }
    for (kernel::LayoutChoice& layouts : lasting_layouts(*kernel, entry, device)) {
      Alternative a;
      a.kernel = kernel.get();
      a.problem = entry.concrete;
      kernel::set_layouts(a.problem, layouts);
      a.layouts = std::move(layouts);
      for (kernel::Tactic& tactic : kernel->tactics(a.problem, device)) {
        Alternative one = a;
        one.tactic = std::move(tactic);
        one.predicted_us = kernel->predict_us(one.problem, one.tactic, device);
        entry.alternatives.push_back(std::move(one));
      }
    }
  }
  const std::string least = cap_workspace(entry, options, environment);
  if (!entry.alternatives.empty()) return ok_status();
  if (environment.host && environment.host->info().kind != device.kind)
    return add_host_kernel(entry, options, environment);
  if (!reference)
    return unsupported(cat("no kernel takes ", kernel::describe(entry.problem), " on ", device.kind));
  PLANISH_RETURN_IF_ERROR(kernel::supported(*reference, entry.problem, device));
  PLANISH_RETURN_IF_ERROR(cap_reference(entry, options, least));
  Alternative a;
  a.kernel = reference;
  a.problem = entry.concrete;
  a.layouts.operands.resize(entry.node->inputs.size());
  a.layouts.results.resize(entry.node->outputs.size());
  a.predicted_us = reference->predict_us(entry.concrete, {}, device);
  entry.alternatives.push_back(std::move(a));
  return ok_status();
}

namespace {

// Everything that kernels' answers depend on within one compile(); nullopt where they are not kept.
std::optional<std::string> question_of(const LoweredNode& entry, const Environment& environment) {
  if (!environment.alternatives || entry.control || entry.binds_symbols) return std::nullopt;
  std::string key = kernel::fingerprint(entry.problem);
  const auto add = [&](const kernel::Problem& problem) { key += cat("\n", kernel::fingerprint(problem)); };
  add(entry.concrete);
  for (const kernel::Problem& problem : entry.elsewhere) add(problem);
  for (const kernel::Problem& problem : entry.largest) add(problem);
  return key;
}

// As add_kernels(), from what was said of the same problem before where something was.
Status add_known_kernels(LoweredNode& entry, const CompileOptions& options,
                         const Environment& environment) {
  const auto question = question_of(entry, environment);
  if (!question) return add_kernels(entry, options, environment);
  if (const auto answer = environment.alternatives->find(*question)) {
    entry.alternatives = answer->alternatives;
    entry.considered.insert(entry.considered.end(), answer->considered.begin(), answer->considered.end());
    entry.on_host = answer->on_host;
    return ok_status();
  }
  const auto before = entry.considered.size();
  PLANISH_RETURN_IF_ERROR(add_kernels(entry, options, environment));
  KnownAlternatives::Answer answer{
      entry.alternatives,
      {entry.considered.begin() + std::ptrdiff_t(before), entry.considered.end()},
      entry.on_host};
  environment.alternatives->put(*question,
                                std::make_shared<const KnownAlternatives::Answer>(std::move(answer)));
  return ok_status();
}

// Asks about problems that nobody has asked about on all cores; what fails, fails again in its turn.
void ask_ahead(const Lowered& lowered, const CompileOptions& options, const Environment& environment) {
  if (!asks_in_parallel(options, environment)) return;
  std::map<std::string, const LoweredNode*> open;
  for (const LoweredNode& entry : lowered.nodes) {
    if (entry.kind != NodeKind::kCompute || entry.impossible) continue;
    auto question = question_of(entry, environment);
    if (question && !environment.alternatives->find(*question)) open.emplace(std::move(*question), &entry);
  }
  if (open.size() < 2) return;
  std::vector<const LoweredNode*> entries;
  for (const auto& [question, entry] : open) entries.push_back(entry);
  build_team().parallel_for(int64_t(entries.size()), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      try {
        LoweredNode copy = *entries[size_t(i)];
        (void)add_known_kernels(copy, options, environment);
      } catch (const std::bad_alloc&) {  // said when its turn comes
      }
    }
  }, 1);
}

}  // namespace

int moved_channels(const ir::Node& node) {
  if (node.op != "Transpose" || !ir::is_float(node.inputs[0]->type.dtype)) return 0;
  const auto found = node.attrs.find("perm");
  const auto* perm = found == node.attrs.end() ? nullptr : std::get_if<std::vector<int64_t>>(&found->second);
  if (!perm) return 0;
  if (*perm == std::vector<int64_t>{0, 2, 3, 1}) return 1;
  return *perm == std::vector<int64_t>{0, 3, 1, 2} ? -1 : 0;
}

bool same_bytes(const ir::Shape& shape, const Layout& from, const Layout& to) {
  if (from == to) return true;
  if (from.block_dim < 0 && to.block_dim < 0) {
    const auto order = [&](const Layout& layout) {
      std::vector<int> dims;  // those of more than one element, outermost first
      for (int i = 0; i < int(shape.size()); ++i) {
        const int d = layout.perm.empty() ? i : layout.perm[size_t(i)];
        if (!(shape[size_t(d)] == ir::Dim(1))) dims.push_back(d);
      }
      return dims;
    };
    return order(from) == order(to);
  }
  const Layout& blocked = from.is_row_major() ? to : from;
  const Layout& other = from.is_row_major() ? from : to;
  if (!other.is_row_major() || blocked.block_dim != 1 || !blocked.perm.empty() || shape.size() < 2)
    return false;
  for (size_t d = 2; d < shape.size(); ++d)
    if (!(shape[d] == ir::Dim(1))) return false;
  return multiple_of(shape[1], blocked.block);
}

bool asks_in_parallel(const CompileOptions& options, const Environment& environment) {
  // What is known of scratch memory is one thread's.
  return environment.alternatives && environment.device.home() != ir::MemorySpace::kHost &&
         options.max_workspace < 0;
}

Status enumerate_alternatives(Lowered& lowered, const CompileOptions& options,
                              const Environment& environment) {
  const kernel::DeviceInfo& device = environment.device.info();
  auto width = device.properties.find("channel_block");
  const int block = width == device.properties.end() ? 1 : std::stoi(width->second);
  for (LoweredNode& entry : lowered.nodes) {
    const ir::Node& node = *entry.node;
    if (entry.kind == NodeKind::kConcat) {
      const int64_t a = node.attr_int("axis");
      const int axis = int(a < 0 ? a + node.outputs[0]->type.rank() : a);
      if (!offsets_suffice(node.outputs[0]->type.shape, axis)) entry.kind = NodeKind::kCompute;
      for (const ir::Value* v : node.inputs)
        if (v && ir::bits_of(v->type.dtype) < 8) entry.kind = NodeKind::kCompute;
    }
    if (entry.kind == NodeKind::kSlice) {
      const ir::Shape& shape = node.inputs[0]->type.shape;
      const bool odd = ir::bits_of(node.inputs[0]->type.dtype) < 8;
      if (odd || !offsets_suffice(shape, entry.slice.axis)) entry.kind = NodeKind::kCompute;
    }
  }
  ask_ahead(lowered, options, environment);
  for (LoweredNode& entry : lowered.nodes) {
    const ir::Node& node = *entry.node;
    if (entry.impossible) {
      CompileOptions reference = options;
      reference.reference_only = true;
      PLANISH_RETURN_IF_ERROR(add_kernels(entry, reference, environment));
      continue;
    }
    Status status;
    switch (entry.kind) {
      case NodeKind::kContent: status = add_content(entry, environment); break;
      case NodeKind::kCompute: status = add_known_kernels(entry, options, environment); break;
      default: add_structural(entry, device, block);
    }
    if (!status.ok()) return status.at(opdef::describe_node(node));
  }
  return ok_status();
}

}  // namespace planish::compiler
