#include "backend/cuda/families/attention_wgmma/view.h"

#include <cmath>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "base/text.h"

namespace planish::cuda::attention {
namespace {

using ir::DataType;
using kernel::Problem;

template <class T>
T attribute(const kernel::Stage& stage, std::string_view key, T fallback) {
  auto found = stage.attrs.find(key);
  return found == stage.attrs.end() ? fallback : std::get<T>(found->second);
}

Status read_mask(const Problem& problem, const kernel::Stage& stage, View& view) {
  if (stage.inputs.size() < 4 || stage.inputs[3] < 0) return ok_status();
  view.mask = stage.inputs[3];
  if (view.mask >= int(problem.operands.size())) return unsupported("a mask computed in the region");
  const DataType type = problem.type_of(view.mask).dtype;
  if (!ir::is_float(type) && type != DataType::kBool)
    return unsupported(cat("a mask of ", ir::name_of(type)));
  std::vector<int64_t> m = ir::to_dims(problem.type_of(view.mask).shape);
  if (m.size() > 4 || m.empty()) return unsupported(cat("a mask of rank ", m.size()));
  m.insert(m.begin(), 4 - m.size(), 1);
  if (m[3] != view.keys) return unsupported("a mask of another length than the keys");
  view.mask_steps = {m[0] == 1 ? 0 : m[1] * m[2] * m[3], m[1] == 1 ? 0 : m[2] * m[3], m[2] == 1 ? 0 : m[3]};
  return ok_status();
}

// Value `value` of the attention, which may be a part of the operand that stage 0 splits.
Result<Place> place_of(const Problem& problem, int value) {
  const int operands = int(problem.operands.size());
  if (value < operands) return Place{value};
  const kernel::Stage& split = problem.stages[0];
  Place place{split.inputs[0]};
  place.pitch = ir::to_dims(problem.type_of(place.operand).shape)[2];
  for (int i = 0; i < value - operands; ++i)
    place.first_column += ir::to_dims(split.outputs[size_t(i)].shape)[2];
  if (place.pitch % 8 || place.first_column % 8)
    return unsupported("parts of an operand that do not begin at multiples of 16 bytes");
  return place;
}

// A Split of one operand of rank 3 along its last dim.
bool splits_columns(const Problem& problem, const kernel::Stage& stage) {
  if (stage.op != "Split" || stage.inputs[0] >= int(problem.operands.size())) return false;
  const int64_t axis = attribute<int64_t>(stage, "axis", 0);
  return problem.type_of(stage.inputs[0]).rank() == 3 && (axis == 2 || axis == -1);
}

}  // namespace

Result<View> view_of(const Problem& problem) {
  if (problem.stages.empty() || problem.stages.back().op != "Attention") return other_family();
  const kernel::Stage& stage = problem.stages.back();
  if (problem.stages.size() > 2 ||
      (problem.stages.size() == 2 && !splits_columns(problem, problem.stages[0])))
    return unsupported("an expression around it");
  if (stage.outputs.size() != 1) return unsupported("more outputs than the result");
  for (size_t i = 4; i < stage.inputs.size(); ++i)
    if (stage.inputs[i] >= 0) return unsupported("cached keys and values");
  for (std::string_view key : {"left_window_size", "right_window_size"})
    if (attribute<int64_t>(stage, key, -1) != -1) return unsupported(cat("attribute '", key, "'"));
  if (attribute<double>(stage, "softcap", 0.0) != 0) return unsupported("a soft cap");
  View view;
  PLANISH_ASSIGN_OR_RETURN(view.q, place_of(problem, stage.inputs[0]));
  PLANISH_ASSIGN_OR_RETURN(view.k, place_of(problem, stage.inputs[1]));
  PLANISH_ASSIGN_OR_RETURN(view.v, place_of(problem, stage.inputs[2]));
  view.type = problem.type_of(stage.inputs[0]).dtype;
  if (view.type != DataType::kF16 && view.type != DataType::kBF16)
    return unsupported(cat("operands are ", ir::name_of(view.type), ", expected f16 or bf16"));
  for (int value : {stage.inputs[1], stage.inputs[2]})
    if (problem.type_of(value).dtype != view.type) return unsupported("operands of several types");
  const auto dims = [&](int value) { return ir::to_dims(problem.type_of(value).shape); };
  const std::vector<int64_t> q = dims(stage.inputs[0]), k = dims(stage.inputs[1]), v = dims(stage.inputs[2]);
  if (q.size() != k.size() || q.size() != v.size()) return unsupported("operands of mixed rank");
  view.flat = q.size() == 3;
  view.batch = q[0];
  view.heads = view.flat ? attribute<int64_t>(stage, "q_num_heads", 1) : q[1];
  view.kv_heads = view.flat ? attribute<int64_t>(stage, "kv_num_heads", 1) : k[1];
  view.queries = q[view.flat ? 1 : 2];
  view.keys = k[view.flat ? 1 : 2];
  view.size = view.flat ? q[2] / view.heads : q[3];
  const int64_t value_size = view.flat ? v[2] / view.kv_heads : v[3];
  if ((view.size != 64 && view.size != 128) || value_size != view.size)
    return unsupported(cat("heads of ", view.size, " and ", value_size, ", expected 64 or 128 for both"));
  if (view.batch * view.queries * view.keys == 0) return unsupported("empty operands");
  view.scale = attribute<double>(stage, "scale", 1 / std::sqrt(double(view.size)));
  view.causal = attribute<int64_t>(stage, "is_causal", 0) != 0;
  if (view.causal && view.keys != view.queries) return unsupported("causal with other keys than queries");
  PLANISH_RETURN_IF_ERROR(read_mask(problem, stage, view));
  return view;
}

}  // namespace planish::cuda::attention
