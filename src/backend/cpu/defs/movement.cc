// Element movement as strided copies: Transpose, Slice, Expand, Split, Concat, constant Pad.
// Any element of whole bytes; a copy is a loop nest over merged axes with an inner run that is
// memcpy, a fill or a strided gather.
#include <algorithm>
#include <cstring>

#include "backend/cpu/defs/refusal.h"
#include "backend/cpu/defs/register_kernels.h"
#include "base/text.h"
#include "base/thread_team.h"
#include "kernel/cost.h"

namespace planish::cpu {
namespace {

using kernel::Problem;
using kernel::RunArgs;

// to[sum i*to_step] = from[sum i*from_step], steps and offsets in elements.
struct Move {
  int operand = 0, result = 0;
  int64_t element_bytes = 4;
  int64_t from_offset = 0, to_offset = 0;
  bool fills = false;  // the whole result holds `fill` first
  uint32_t fill = 0;
  int64_t fill_count = 0;
  std::vector<int64_t> sizes, from_steps, to_steps;
};

std::vector<int64_t> dims_of(const ir::TensorType& type) { return ir::to_dims(type.shape); }

// Drops axes of one element and joins axes that both sides walk evenly.
void merge_axes(Move& m) {
  Move out = m;
  out.sizes.clear();
  out.from_steps.clear();
  out.to_steps.clear();
  for (size_t d = 0; d < m.sizes.size(); ++d) {
    if (m.sizes[d] == 1) continue;
    if (!out.sizes.empty() && out.from_steps.back() == m.from_steps[d] * m.sizes[d] &&
        out.to_steps.back() == m.to_steps[d] * m.sizes[d]) {
      out.sizes.back() *= m.sizes[d];
      out.from_steps.back() = m.from_steps[d];
      out.to_steps.back() = m.to_steps[d];
    } else {
      out.sizes.push_back(m.sizes[d]);
      out.from_steps.push_back(m.from_steps[d]);
      out.to_steps.push_back(m.to_steps[d]);
    }
  }
  if (out.sizes.empty()) {
    out.sizes = {1};
    out.from_steps = out.to_steps = {1};
  }
  m = std::move(out);
}

template <class T>
void copy_run(const std::byte* from, int64_t from_step, std::byte* to, int64_t to_step, int64_t n) {
  const T* f = reinterpret_cast<const T*>(from);
  T* t = reinterpret_cast<T*>(to);
  for (int64_t i = 0; i < n; ++i) t[i * to_step] = f[i * from_step];
}

void copy_inner(const Move& m, const std::byte* from, std::byte* to) {
  const int64_t n = m.sizes.back(), fs = m.from_steps.back(), ts = m.to_steps.back();
  if (fs == 1 && ts == 1) {
    std::memcpy(to, from, size_t(n * m.element_bytes));
    return;
  }
  switch (m.element_bytes) {
    case 1: return copy_run<uint8_t>(from, fs, to, ts, n);
    case 2: return copy_run<uint16_t>(from, fs, to, ts, n);
    case 4: return copy_run<uint32_t>(from, fs, to, ts, n);
    default: return copy_run<uint64_t>(from, fs, to, ts, n);
  }
}

void run_move(const Move& m, const std::byte* from, std::byte* to, ThreadTeam& team) {
  const size_t outer_axes = m.sizes.size() - 1;
  int64_t outer = 1;
  for (size_t d = 0; d < outer_axes; ++d) outer *= m.sizes[d];
  const auto body = [&](int64_t begin, int64_t end, int) {
    std::vector<int64_t> index(outer_axes);
    for (int64_t i = begin; i < end; ++i) {
      int64_t rest = i, f = m.from_offset, t = m.to_offset;
      for (size_t d = outer_axes; d-- > 0;) {
        const int64_t x = rest % m.sizes[d];
        rest /= m.sizes[d];
        f += x * m.from_steps[d];
        t += x * m.to_steps[d];
      }
      copy_inner(m, from + f * m.element_bytes, to + t * m.element_bytes);
    }
  };
  const int64_t bytes = outer * m.sizes.back() * m.element_bytes;
  if (bytes < 16384) body(0, outer, 0);
  else team.parallel_for(outer, body);
}

// Whether offset + sum of index * step stays within [0, count) for all indices. False on overflow.
bool stays_inside(int64_t offset, const std::vector<int64_t>& sizes,
                  const std::vector<int64_t>& steps, int64_t count) {
  __int128 low = offset, high = offset;
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (sizes[d] == 0) return true;  // nothing is touched
    (steps[d] < 0 ? low : high) += __int128(sizes[d] - 1) * steps[d];
  }
  return low >= 0 && high < count;
}

// The movement's operands and the sizes that inference could not decide (computed ends, repeats) may
// come out of a plan: no copy leaves its operand or its result.
Status check_moves(const Problem& problem, const std::vector<Move>& moves) {
  for (const Move& m : moves) {
    const auto count = [](const ir::TensorType& type) {
      return ir::element_count(std::span<const int64_t>(ir::to_dims(type.shape)));
    };
    const ir::TensorType& from = problem.type_of(m.operand);
    const ir::TensorType& to = problem.stages[0].outputs[size_t(m.result)];
    if (from.dtype != to.dtype || m.sizes.size() != m.from_steps.size() ||
        m.sizes.size() != m.to_steps.size() ||
        !stays_inside(m.from_offset, m.sizes, m.from_steps, count(from)) ||
        !stays_inside(m.to_offset, m.sizes, m.to_steps, count(to)))
      return unsupported(cat("elements of ", ir::to_string(from.shape), " for ",
                             ir::to_string(to.shape), " lie outside of one of them"));
  }
  return ok_status();
}

// An axis of `rank`, counted from either end; nullopt: a forged plan's axis may lie outside.
std::optional<size_t> axis_within(int64_t axis, size_t rank) {
  const int64_t from_front = axis < 0 ? axis + int64_t(rank) : axis;
  if (from_front < 0 || from_front >= int64_t(rank)) return std::nullopt;
  return size_t(from_front);
}
Status no_such_axis() { return unsupported("an axis outside of the operand"); }

// Constant padding that adds: the result is filled, then the operand is copied into its middle.
Status read_pad(const Problem& problem, const std::vector<int64_t>& in, Move& m) {
  const kernel::Stage& stage = problem.stages[0];
  if (std::get<std::string>(stage.attrs.find("mode")->second) != "constant")
    return unsupported("a mode other than constant");
  if (m.element_bytes != 4) return unsupported("elements of other than four bytes");
  const auto value = [&](size_t i) -> const ir::Tensor* {
    if (i >= stage.inputs.size() || stage.inputs[i] < 0) return nullptr;
    const auto& v = problem.operands[size_t(stage.inputs[i])].value;
    return v ? &*v : nullptr;
  };
  const ir::Tensor* pads = value(1);
  if (!pads) return unsupported("computed pads");
  for (size_t i : {size_t(2), size_t(3)})
    if (i < stage.inputs.size() && stage.inputs[i] >= 0 && !value(i))
      return unsupported("a computed value or axes");
  m.fills = true;
  if (const ir::Tensor* fill = value(2)) std::memcpy(&m.fill, fill->data(), 4);
  std::vector<int64_t> axes;
  if (const ir::Tensor* list = value(3)) axes = list->i64_values();
  else for (size_t d = 0; d < in.size(); ++d) axes.push_back(int64_t(d));
  const std::vector<int64_t> amounts = pads->i64_values();
  if (amounts.size() < axes.size()) return unsupported("fewer pads than axes");
  for (int64_t p : amounts)
    if (p < 0) return unsupported("a negative pad");
  m.fill_count = ir::element_count(std::span<const int64_t>(m.sizes));
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto d = axis_within(axes[i], m.to_steps.size());
    if (!d) return no_such_axis();
    m.to_offset += amounts[i] * m.to_steps[*d];
  }
  m.sizes = in;
  m.from_steps = ir::strides_of(in);
  return ok_status();
}

Result<std::vector<Move>> read_moves(const Problem& problem) {
  const std::string_view op = problem.root_op();
  if (op != "Transpose" && op != "Expand" && op != "Slice" && op != "Split" && op != "Concat" &&
      op != "Pad")
    return other_family();
  if (problem.stages.size() != 1) return unsupported("an epilogue");
  const kernel::Stage& stage = problem.stages[0];
  const ir::TensorType& type = problem.type_of(stage.inputs[0]);
  if (ir::bits_of(type.dtype) < 8) return unsupported("elements of less than a byte");
  std::vector<Move> out;
  Move m;
  m.operand = stage.inputs[0];
  m.element_bytes = ir::bits_of(type.dtype) / 8;
  const std::vector<int64_t> in = dims_of(type), strides = ir::strides_of(in);
  m.sizes = dims_of(stage.outputs[0]);
  m.to_steps = ir::strides_of(m.sizes);
  if (op == "Transpose") {
    for (int64_t p : std::get<std::vector<int64_t>>(stage.attrs.find("perm")->second)) {
      const auto axis = axis_within(p, in.size());
      if (!axis) return no_such_axis();
      m.from_steps.push_back(strides[*axis]);
    }
  } else if (op == "Expand") {
    if (in.size() > m.sizes.size()) return unsupported("an operand of more dims than the result");
    const size_t skip = m.sizes.size() - in.size();
    m.from_steps.assign(m.sizes.size(), 0);
    for (size_t d = 0; d < in.size(); ++d) m.from_steps[skip + d] = in[d] == 1 ? 0 : strides[d];
  } else if (op == "Pad") {
    PLANISH_RETURN_IF_ERROR(read_pad(problem, in, m));
  } else if (op == "Slice") {
    const auto ints = [&](size_t i) -> std::optional<std::vector<int64_t>> {
      if (i >= stage.inputs.size() || stage.inputs[i] < 0) return std::nullopt;
      const auto& value = problem.operands[size_t(stage.inputs[i])].value;
      return value ? std::optional(value->i64_values()) : std::nullopt;
    };
    const auto starts = ints(1);
    auto axes = ints(3), steps = ints(4);
    if (!starts || (stage.inputs.size() > 3 && stage.inputs[3] >= 0 && !axes) ||
        (stage.inputs.size() > 4 && stage.inputs[4] >= 0 && !steps))
      return unsupported("computed starts, axes or steps");
    if ((axes && axes->size() != starts->size()) || (steps && steps->size() != starts->size()))
      return unsupported("starts, axes and steps of different lengths");
    m.from_steps = strides;
    for (size_t i = 0; i < starts->size(); ++i) {
      const auto axis = axis_within(axes ? (*axes)[i] : int64_t(i), in.size());
      if (!axis) return no_such_axis();
      const size_t d = *axis;
      const int64_t step = steps ? (*steps)[i] : 1, size = in[d];
      int64_t start = (*starts)[i] < 0 ? (*starts)[i] + size : (*starts)[i];
      start = step > 0 ? std::clamp<int64_t>(start, 0, size) : std::clamp<int64_t>(start, 0, size - 1);
      m.from_offset += start * strides[d];
      // One element has no step, which could overflow.
      m.from_steps[d] = d < m.sizes.size() && m.sizes[d] > 1 ? strides[d] * step : 0;
    }
  } else {
    const int64_t a = std::get<int64_t>(stage.attrs.find("axis")->second);
    const auto within = axis_within(a, in.size());
    if (!within) return no_such_axis();
    const size_t axis = *within;
    const bool concat = op == "Concat";
    const size_t parts = concat ? stage.inputs.size() : stage.outputs.size();
    int64_t begin = 0;
    for (size_t i = 0; i < parts; ++i) {
      Move part;
      part.element_bytes = m.element_bytes;
      const ir::TensorType& one = concat ? problem.type_of(stage.inputs[i]) : stage.outputs[i];
      part.sizes = dims_of(one);
      if (part.sizes.size() != in.size()) return unsupported("parts of different ranks");
      part.operand = concat ? stage.inputs[i] : stage.inputs[0];
      part.result = concat ? 0 : int(i);
      const std::vector<int64_t> own = ir::strides_of(part.sizes);
      const std::vector<int64_t> whole = concat ? m.to_steps : strides;
      part.from_steps = concat ? own : whole;
      part.to_steps = concat ? whole : own;
      (concat ? part.to_offset : part.from_offset) = begin * whole[axis];
      begin += part.sizes[axis];
      out.push_back(std::move(part));
    }
    for (Move& part : out) merge_axes(part);
    return out;
  }
  merge_axes(m);
  out.push_back(std::move(m));
  return out;
}

Result<std::vector<Move>> moves_of(const Problem& problem) {
  PLANISH_ASSIGN_OR_RETURN(std::vector<Move> moves, read_moves(problem));
  PLANISH_RETURN_IF_ERROR(check_moves(problem, moves));
  return moves;
}

class MoveLaunchable : public kernel::Launchable {
 public:
  explicit MoveLaunchable(std::vector<Move> moves) : moves_(std::move(moves)) {}
  Status run(const RunArgs& args) const override {
    for (const Move& m : moves_) {
      if (m.fills) {
        auto* to = static_cast<uint32_t*>(args.results[size_t(m.result)].data);
        std::fill(to, to + m.fill_count, m.fill);
      }
      if (std::find(m.sizes.begin(), m.sizes.end(), 0) != m.sizes.end()) continue;
      run_move(m, static_cast<const std::byte*>(args.operands[size_t(m.operand)].data),
               static_cast<std::byte*>(args.results[size_t(m.result)].data), *args.team);
    }
    return ok_status();
  }

 private:
  std::vector<Move> moves_;
};

class MovementKernel : public kernel::KernelDef {
 public:
  std::string name() const override { return "cpu.move"; }
  std::string device_kind() const override { return "cpu"; }
  Status supports(const Problem& problem, const kernel::DeviceInfo&) const override {
    return moves_of(problem).status();
  }
  double predict_us(const Problem& problem, const kernel::Tactic&,
                    const kernel::DeviceInfo& device) const override {
    return 1 + 2 * double(kernel::bytes_moved(problem)) / (device.memory_gbps * 1e3);
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    PLANISH_ASSIGN_OR_RETURN(auto moves, moves_of(*args.problem));
    return std::unique_ptr<kernel::Launchable>(std::make_unique<MoveLaunchable>(std::move(moves)));
  }
};

}  // namespace

void register_movement_kernels(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<MovementKernel>());
}

}  // namespace planish::cpu
