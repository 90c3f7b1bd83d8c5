#include "compiler/workspace_cap.h"

#include <algorithm>

#include "base/text.h"
#include "kernel/set_layouts.h"

namespace planish::compiler {
namespace {

constexpr int64_t kMaxBytes = int64_t(1) << 46;  // of one value: beyond any memory

constexpr std::string_view kAtOpt = "at the shapes tuned for";
constexpr std::string_view kAtMax = "at the profile's maximal shapes";

struct Need {
  int64_t bytes = 0;
  std::string_view where = kAtOpt;
};

// Of every operand and stage output; nullopt where one is beyond any memory.
std::optional<int64_t> largest_value(const kernel::Problem& problem) {
  int64_t largest = 0;
  const auto look = [&](const ir::TensorType& type) {
    if (!ir::is_constant(type.shape)) return true;  // only data decide
    const std::vector<int64_t> dims = ir::to_dims(type.shape);
    const auto count = ir::checked_element_count(dims);
    if (!count || *count > kMaxBytes) return false;
    largest = std::max(largest, ir::bytes_of(type.dtype, *count));
    return largest <= kMaxBytes;
  };
  for (const kernel::Operand& operand : problem.operands)
    if (operand.present && !look(operand.type)) return std::nullopt;
  for (const kernel::Stage& stage : problem.stages)
    for (const ir::TensorType& type : stage.outputs)
      if (!look(type)) return std::nullopt;
  return largest;
}

// A step whose result dims only data decide is bound with its operands known alone.
kernel::Problem to_bind(const LoweredNode& entry, const Alternative& a,
                        const kernel::Problem& concrete) {
  kernel::Problem problem = concrete;
  if (entry.binds_symbols) {
    problem = entry.problem;
    for (size_t i = 0; i < problem.operands.size(); ++i)
      problem.operands[i].type.shape = concrete.operands[i].type.shape;
  }
  kernel::set_layouts(problem, a.layouts);
  return problem;
}

Result<int64_t> bound_workspace(const LoweredNode& entry, const Alternative& a,
                                const kernel::Problem& concrete, const kernel::Blob& packed,
                                const kernel::Blob& artifact,
                                std::span<const ir::Tensor> constants,
                                const kernel::DeviceInfo& device) {
  if (!largest_value(concrete)) return resource_exhausted("a value is beyond any memory");
  const kernel::Problem problem = to_bind(entry, a, concrete);
  kernel::BindArgs args;
  args.problem = &problem;
  args.tactic = &a.tactic;
  args.device = &device;
  args.packed = packed.bytes;
  args.artifact = artifact.bytes;
  args.constants = constants;
  PLANISH_ASSIGN_OR_RETURN(const auto launchable, a.kernel->bind(args));
  return launchable->workspace_bytes();
}

Result<Need> need_of(const LoweredNode& entry, const Alternative& a,
                     const Environment& environment) {
  const kernel::DeviceInfo& device = environment.device.info();
  kernel::Problem symbolic = entry.problem;
  kernel::set_layouts(symbolic, a.layouts);
  const std::string key = cat(a.kernel->name(), " [", a.tactic.to_string(), "] ",
                              kernel::fingerprint(symbolic), " ", kernel::fingerprint(a.problem));
  if (environment.workspaces)
    if (auto known = environment.workspaces->find(key); known != environment.workspaces->end())
      return Need{known->second.first, known->second.second ? kAtMax : kAtOpt};
  const std::vector<ir::Tensor> constants = constants_of(*entry.node);
  PLANISH_ASSIGN_OR_RETURN(const kernel::Blob artifact,
                           a.kernel->compile(a.problem, a.tactic, device));
  PLANISH_ASSIGN_OR_RETURN(const kernel::Blob packed,
                           a.kernel->pack(symbolic, a.tactic, device, constants));
  Need need;
  PLANISH_ASSIGN_OR_RETURN(need.bytes, bound_workspace(entry, a, entry.concrete, packed, artifact,
                                                       constants, device));
  for (const kernel::Problem& largest : entry.largest) {
    auto bytes = bound_workspace(entry, a, largest, packed, artifact, constants, device);
    if (!bytes.ok()) return bytes.status().at(kAtMax);
    if (*bytes > need.bytes) need = {*bytes, kAtMax};
  }
  if (environment.workspaces) (*environment.workspaces)[key] = {need.bytes, need.where == kAtMax};
  return need;
}

// Stage outputs that the reference code computes into memory of its own; results that it hands over
// (`allocates`) are no scratch memory.
int64_t reference_bytes(const kernel::Problem& problem, bool allocates) {
  int64_t total = 0;
  int value = int(problem.operands.size());
  for (const kernel::Stage& stage : problem.stages)
    for (const ir::TensorType& type : stage.outputs)
      if (const bool handed_over = allocates && std::count(problem.results.begin(),
                                                           problem.results.end(), value) > 0;
          ++value, !handed_over && ir::is_constant(type.shape))
        total += ir::bytes_of(type.dtype, ir::element_count(ir::to_dims(type.shape)));
  return total;
}

}  // namespace

std::string cap_workspace(LoweredNode& entry, const CompileOptions& options,
                   const Environment& environment) {
  std::string least;
  if (options.max_workspace < 0) return least;
  int64_t least_bytes = INT64_MAX;
  std::erase_if(entry.alternatives, [&](const Alternative& a) {
    if (!a.kernel) return false;
    const auto need = need_of(entry, a, environment);
    if (need.ok() && need->bytes <= options.max_workspace) return false;
    entry.considered.push_back(
        {a.kernel->name(), a.tactic.to_string(), a.predicted_us, -1,
         need.ok() ? cat("takes a workspace of ", need->bytes, " bytes ", need->where,
                         ", max_workspace is ", options.max_workspace)
                   : need.status().to_string()});
    if (need.ok() && need->bytes < least_bytes) {
      least_bytes = need->bytes;
      least = cat("; of the others, ", a.kernel->name(), " takes the least, ", need->bytes,
                  " bytes ", need->where);
    }
    return true;
  });
  return least;
}

Status cap_reference(const LoweredNode& entry, const CompileOptions& options,
                     const std::string& least_of_others) {
  if (options.max_workspace < 0) return ok_status();
  Need need;
  std::vector<std::pair<const kernel::Problem*, std::string_view>> asked = {
      {&entry.concrete, kAtOpt}};
  for (const kernel::Problem& largest : entry.largest) asked.emplace_back(&largest, kAtMax);
  for (const auto& [problem, where] : asked) {
    if (!largest_value(*problem))
      return resource_exhausted(cat("a value is beyond any memory ", where));
    if (const int64_t bytes = reference_bytes(*problem, entry.binds_symbols); bytes > need.bytes) need = {bytes, where};
  }
  if (need.bytes <= options.max_workspace) return ok_status();
  return resource_exhausted(cat("no kernel stays within max_workspace = ", options.max_workspace,
                                " bytes: the reference code holds ", need.bytes, " bytes ",
                                need.where, least_of_others));
}

}  // namespace planish::compiler
