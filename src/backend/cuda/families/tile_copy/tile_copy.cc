// The family "cuda.tile_copy": LayoutConvert and Transpose that turn the innermost dim around.
// Tiles of 32 x 32 pass through shared memory, so that both the reads and the writes of a warp are
// neighbours. Dims that both sides walk evenly are one: the positions of an image, whatever its
// width.
#include <algorithm>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/emit/index_text.h"
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/emit/thread_text.h"
#include "backend/cuda/families/register_families.h"
#include "base/text.h"
#include "kernel/cost.h"

namespace planish::cuda {
namespace {

using ir::Layout;
using kernel::DeviceInfo;
using kernel::LayoutChoice;
using kernel::Problem;
using kernel::Stage;

constexpr int64_t kTile = 32, kRows = 8;  // a block has kTile x kRows threads

// The result's merged dims, outermost first, with their steps in both memories. The last one is the
// result's innermost, `inner` the operand's.
struct TileView {
  std::vector<int64_t> sizes, from, to;
  size_t inner = 0;
  int64_t tiles() const {
    int64_t count = (sizes.back() + kTile - 1) / kTile;
    for (size_t d = 0; d + 1 < sizes.size(); ++d)
      count *= d == inner ? (sizes[d] + kTile - 1) / kTile : sizes[d];
    return count;
  }
};

// Steps of the operand along every dim of the result.
std::vector<int64_t> operand_steps(const Problem& problem, const Stage& stage) {
  const std::vector<int64_t> own = memory_steps(problem.type_of(stage.inputs[0]));
  if (stage.op != "Transpose") return own;
  std::vector<int64_t> steps;
  for (int64_t p : std::get<std::vector<int64_t>>(stage.attrs.find("perm")->second))
    steps.push_back(own[size_t(p)]);
  return steps;
}

Result<TileView> tile_view(const Problem& problem) {
  const std::string_view op = problem.root_op();
  if (problem.stages.size() != 1 || (op != "LayoutConvert" && op != "Transpose"))
    return other_family();
  const Stage& stage = problem.stages[0];
  const ir::TensorType &from = problem.type_of(stage.inputs[0]), &to = problem.result_type(0);
  if (!is_loadable(from.dtype)) return unsupported(cat("elements of ", ir::name_of(from.dtype)));
  if (from.layout.block_dim >= 0 || to.layout.block_dim >= 0)
    return unsupported("a blocked layout");
  const std::vector<int64_t> in_steps = operand_steps(problem, stage), out_steps = memory_steps(to);
  TileView v;
  for (int d : memory_order(to)) {
    const int64_t size = to.shape[size_t(d)].value();
    if (size == 1) continue;
    const int64_t in = in_steps[size_t(d)], out = out_steps[size_t(d)];
    if (!v.sizes.empty() && v.from.back() == in * size && v.to.back() == out * size) {
      v.sizes.back() *= size;
      v.from.back() = in;
      v.to.back() = out;
    } else {
      v.sizes.push_back(size);
      v.from.push_back(in);
      v.to.push_back(out);
    }
  }
  const auto inner = std::find(v.from.begin(), v.from.end(), 1);
  if (v.sizes.size() < 2 || inner == v.from.end() || inner + 1 == v.from.end())
    return unsupported("the innermost dim stays");
  v.inner = size_t(inner - v.from.begin());
  if (std::min(v.sizes[v.inner], v.sizes.back()) < 8)
    return unsupported("one of the innermost dims has less than 8 elements");
  if (v.tiles() >= int64_t(1) << 31) return unsupported("too many tiles");
  return v;
}

std::string body(const TileView& v, std::string_view memory) {
  std::string text = cat("  __shared__ ", memory, " tile[", kTile, "][", kTile + 1,
                         "];\n  const int x = threadIdx.x, y = threadIdx.y;\n",
                         "  int rest = blockIdx.x;\n  i64 from = 0, to = 0;\n");
  for (size_t d = v.sizes.size(); d-- > 0;) {
    const bool tiled = d == v.inner || d + 1 == v.sizes.size();
    const int64_t count = tiled ? (v.sizes[d] + kTile - 1) / kTile : v.sizes[d];
    text += cat("  const int c", d, " = rest % ", count, tiled ? cat(" * ", kTile) : "",
                ";\n  rest /= ", count, ";\n  from += (i64)c", d, " * ", v.from[d],
                ";\n  to += (i64)c", d, " * ", v.to[d], ";\n");
  }
  const size_t p = v.sizes.size() - 1, q = v.inner;
  const auto loop = [&](const std::string& statement, const std::string& along_q,
                        const std::string& along_p) {
    return cat("  #pragma unroll\n  for (int r = 0; r < ", kTile, "; r += ", kRows, ")\n    if (c",
               q, " + ", along_q, " < ", v.sizes[q], " && c", p, " + ", along_p, " < ", v.sizes[p],
               ")\n      ", statement, ";\n");
  };
  text += "  grid_wait();\n  grid_launch();\n";
  text += loop(cat("tile[y + r][x] = x0[from + (i64)(y + r) * ", v.from[p], " + x]"), "x", "y + r");
  text += "  __syncthreads();\n";
  text += loop(cat("y0[to + (i64)(y + r) * ", v.to[q], " + x] = tile[x][y + r]"), "y + r", "x");
  return text;
}

class TileCopy : public EmittedKernelDef {
 public:
  std::string name() const override { return "cuda.tile_copy"; }

  // Asked before layouts are known: a Transpose is judged as it would be in row-major order.
  Status supports(const Problem& problem, const DeviceInfo&) const override {
    return tile_view(problem).status();
  }
  // A conversion's layouts are its question.
  std::vector<kernel::LayoutChoice> layouts(const Problem& problem,
                                            const DeviceInfo& device) const override {
    if (problem.root_op() != "LayoutConvert") return KernelDef::layouts(problem, device);
    return {{{problem.operands[0].type.layout}, {problem.result_type(0).layout}}};
  }
  double predict_us(const Problem& problem, const kernel::Tactic&,
                    const DeviceInfo& device) const override {
    return memory_us(device, 1.2 * double(kernel::bytes_moved(problem)));
  }
  Result<EmittedStep> emit(const Problem& problem, const kernel::Tactic&,
                           const DeviceInfo&) const override {
    PLANISH_ASSIGN_OR_RETURN(TileView v, tile_view(problem));
    const ir::DataType dtype = problem.result_type(0).dtype;
    const std::string_view memory = memory_type(dtype);
    EmittedKernel kernel;
    kernel.entry = cat("tile_copy_", ir::name_of(dtype));
    kernel.args = {KernelArg::operand(problem.stages[0].inputs[0]), KernelArg::result(0)};
    kernel.block = {uint32_t(kTile), uint32_t(kRows), 1};
    kernel.grid.x = uint32_t(v.tiles());
    kernel.programmatic_launch = true;
    kernel.source =
        cat(kPrelude, "extern \"C\" __global__ void __launch_bounds__(", kTile * kRows, ") ",
            kernel.entry, "(const ", memory, "* x0, ", memory, "* y0) {\n", body(v, memory), "}\n");
    EmittedStep step;
    step.kernels.push_back(std::move(kernel));
    return step;
  }
};

}  // namespace

void register_tile_copy(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<TileCopy>());
}

}  // namespace planish::cuda
