// Copies: "Copy" keeps the layout (members of a concat that could not be written in place, parts of
// a slice), "LayoutConvert" changes it. fp32 activations go through the fast reorders, everything
// else element by element.
#include <cstring>

#include "backend/cpu/defs/limits.h"
#include "backend/cpu/defs/refusal.h"
#include "backend/cpu/defs/register_kernels.h"
#include "backend/cpu/kernels/reorder/reorder.h"
#include "base/text.h"
#include "base/thread_team.h"

namespace planish::cpu {
namespace {

using ir::Layout;
using kernel::Problem;

struct CopyShapeInfo {
  std::vector<int64_t> dims;
  Layout from, to;
  int64_t element_bytes = 4;
};

CopyShapeInfo info_of(const Problem& problem) {
  const ir::TensorType& from = problem.operands[0].type;
  const ir::TensorType& to = problem.result_type(0);
  return {ir::to_dims(from.shape), from.layout, to.layout, ir::bits_of(from.dtype) / 8};
}

bool is_copy(const Problem& problem) {
  return problem.root_op() == "Copy" || problem.root_op() == "LayoutConvert";
}

// Physical index of a logical one; the outermost dim steps by `outer` elements when it is not 0.
int64_t physical_index(const std::vector<int64_t>& index, const CopyShapeInfo& info,
                       const Layout& layout, int64_t outer) {
  int64_t at = 0, inner = 0, base = 0;
  for (size_t i = 0; i < info.dims.size(); ++i) {
    const size_t d = layout.perm.empty() ? i : size_t(layout.perm[i]);
    int64_t size = info.dims[d], value = index[d];
    if (int(d) == layout.block_dim) {
      size = (size + layout.block - 1) / layout.block;
      inner = value % layout.block;
      value /= layout.block;
    }
    if (i == 0 && d == 0 && outer) {
      base = value * outer;
      continue;
    }
    at = at * size + value;
  }
  if (layout.block_dim >= 0) at = at * layout.block + inner;
  return base + at;
}

// Same layout on both sides: dense slices of the outermost dim.
class PlainCopy : public kernel::Launchable {
 public:
  explicit PlainCopy(CopyShapeInfo info) : info_(std::move(info)) {
    slice_bytes_ = ir::physical_element_count(info_.dims, info_.from) * info_.element_bytes;
    if (!info_.dims.empty() && info_.dims[0] > 0) {
      outer_ = info_.dims[0];
      slice_bytes_ /= outer_;
    }
  }
  Status run(const kernel::RunArgs& args) const override {
    const auto* from = static_cast<const std::byte*>(args.operands[0].data);
    auto* to = static_cast<std::byte*>(args.results[0].data);
    const int64_t from_stride =
        args.operands[0].outer_stride_bytes ? args.operands[0].outer_stride_bytes : slice_bytes_;
    const int64_t to_stride =
        args.results[0].outer_stride_bytes ? args.results[0].outer_stride_bytes : slice_bytes_;
    constexpr int64_t kPiece = 64 << 10;
    const int64_t pieces = (slice_bytes_ + kPiece - 1) / kPiece;
    args.team->parallel_for(outer_ * pieces, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t n = i / pieces, at = i % pieces * kPiece;
        std::memcpy(to + n * to_stride + at, from + n * from_stride + at,
                    size_t(std::min(kPiece, slice_bytes_ - at)));
      }
    });
    return ok_status();
  }

 private:
  CopyShapeInfo info_;
  int64_t slice_bytes_ = 0, outer_ = 1;
};

// Any layout to any layout.
class ElementCopy : public kernel::Launchable {
 public:
  explicit ElementCopy(CopyShapeInfo info) : info_(std::move(info)) {}
  Status run(const kernel::RunArgs& args) const override {
    const auto* from = static_cast<const std::byte*>(args.operands[0].data);
    auto* to = static_cast<std::byte*>(args.results[0].data);
    const int64_t from_outer = args.operands[0].outer_stride_bytes / info_.element_bytes;
    const int64_t to_outer = args.results[0].outer_stride_bytes / info_.element_bytes;
    const int64_t size = info_.element_bytes;
    if (info_.to.block_dim >= 0)  // the padding of the blocked dim is zero
      clear(to, args.results[0].outer_stride_bytes);
    std::vector<int64_t> index(info_.dims.size(), 0);
    const int64_t count = ir::element_count(info_.dims);
    for (int64_t i = 0; i < count; ++i) {
      std::memcpy(to + physical_index(index, info_, info_.to, to_outer) * size,
                  from + physical_index(index, info_, info_.from, from_outer) * size,
                  size_t(size));
      for (size_t d = index.size(); d-- > 0;) {
        if (++index[d] < info_.dims[d]) break;
        index[d] = 0;
      }
    }
    return ok_status();
  }

 private:
  void clear(std::byte* to, int64_t stride) const {
    const int64_t outer = info_.dims.empty() || !stride ? 1 : info_.dims[0];
    const int64_t bytes =
        ir::physical_element_count(info_.dims, info_.to) * info_.element_bytes / std::max<int64_t>(outer, 1);
    for (int64_t n = 0; n < outer; ++n) std::memset(to + n * stride, 0, size_t(bytes));
  }
  CopyShapeInfo info_;
};

// fp32 activations between row-major, channels-last and blocked channels.
class ReorderLaunchable : public kernel::Launchable {
 public:
  using Fn = void (*)(const float*, float*, const ReorderShape&, Isa, ThreadTeam&);
  ReorderLaunchable(Fn fn, ReorderShape shape, bool blocked_result, Isa isa)
      : fn_(fn), shape_(shape), blocked_result_(blocked_result), isa_(isa) {}
  Status run(const kernel::RunArgs& args) const override {
    ReorderShape shape = shape_;
    const auto& blocked = blocked_result_ ? args.results[0] : args.operands[0];
    shape.blocked_batch_stride = blocked.outer_stride_bytes / int64_t(sizeof(float));
    fn_(static_cast<const float*>(args.operands[0].data), static_cast<float*>(args.results[0].data),
        shape, isa_, *args.team);
    return ok_status();
  }

 private:
  Fn fn_;
  ReorderShape shape_;
  bool blocked_result_;
  Isa isa_;
};

bool is_channel_blocked(const Layout& layout, Isa isa) {
  return layout == Layout::blocked(1, vector_width(isa));
}

std::unique_ptr<kernel::Launchable> bind_reorder(const Problem& problem, const CopyShapeInfo& info,
                                                 Isa isa) {
  const int rank = int(info.dims.size());
  if (problem.operands[0].type.dtype != ir::DataType::kF32 || rank < 3) return nullptr;
  ReorderShape shape;
  shape.batch = info.dims[0];
  shape.channels = info.dims[1];
  shape.pixels = 1;
  for (int d = 2; d < rank; ++d) shape.pixels *= info.dims[size_t(d)];
  const Layout last = Layout::channels_last(rank);
  ReorderLaunchable::Fn fn = nullptr;
  const bool to_blocked = is_channel_blocked(info.to, isa);
  if (to_blocked && info.from.is_row_major()) fn = reorder_nchw_to_blocked;
  else if (to_blocked && info.from == last) fn = reorder_nhwc_to_blocked;
  else if (is_channel_blocked(info.from, isa) && info.to.is_row_major()) fn = reorder_blocked_to_nchw;
  else if (is_channel_blocked(info.from, isa) && info.to == last) fn = reorder_blocked_to_nhwc;
  if (!fn) return nullptr;
  return std::make_unique<ReorderLaunchable>(fn, shape, to_blocked, isa);
}

class CopyKernel : public kernel::KernelDef {
 public:
  std::string name() const override { return "cpu.copy"; }
  std::string device_kind() const override { return "cpu"; }
  Status supports(const Problem& problem, const kernel::DeviceInfo&) const override {
    if (!is_copy(problem) || problem.stages.size() != 1) return other_family();
    PLANISH_RETURN_IF_ERROR(reads_in_order(problem.stages[0]));
    const ir::TensorType& type = problem.operands[0].type;
    if (ir::bits_of(type.dtype) < 8 && !(type.layout == problem.result_type(0).layout))
      return unsupported(cat("elements of ", ir::name_of(type.dtype), " cannot be moved singly"));
    return ok_status();
  }
  // Any to any: what the problem says.
  std::vector<kernel::LayoutChoice> layouts(const Problem& problem,
                                            const kernel::DeviceInfo&) const override {
    return {{{problem.operands[0].type.layout}, {problem.result_type(0).layout}}};
  }
  double predict_us(const Problem& problem, const kernel::Tactic&,
                    const kernel::DeviceInfo& device) const override {
    const ir::TensorType& type = problem.operands[0].type;
    if (!ir::is_constant(type.shape)) return 1;
    const double bytes = double(ir::bytes_of(
        type.dtype, ir::physical_element_count(ir::to_dims(type.shape), type.layout)));
    return 0.5 + 2 * bytes / (device.memory_gbps * 1e3);
  }
  bool takes_strided(const Problem& problem, bool result, int) const override {
    // A reorder has one strided side, the blocked one.
    const Layout& from = problem.operands[0].type.layout;
    const Layout& to = problem.result_type(0).layout;
    return from == to || (result ? to : from).block_dim >= 0;
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    CopyShapeInfo info = info_of(*args.problem);
    if (info.from == info.to) {
      if (info.element_bytes == 0) info.element_bytes = 1;  // packed: bytes are what is copied
      if (ir::bits_of(args.problem->operands[0].type.dtype) < 8) {
        info.dims = {ir::bytes_of(args.problem->operands[0].type.dtype,
                                  ir::element_count(info.dims))};
        info.from = info.to = Layout{};
      }
      return std::unique_ptr<kernel::Launchable>(std::make_unique<PlainCopy>(std::move(info)));
    }
    if (auto fast = bind_reorder(*args.problem, info, best_isa())) return fast;
    return std::unique_ptr<kernel::Launchable>(std::make_unique<ElementCopy>(std::move(info)));
  }
};

}  // namespace

void register_copy_kernels(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<CopyKernel>());
}

}  // namespace planish::cpu
