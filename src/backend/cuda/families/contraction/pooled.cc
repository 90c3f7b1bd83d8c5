#include "backend/cuda/families/contraction/pooled.h"

#include <algorithm>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/families/contraction/kept_epilogue.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using kernel::Problem;
using kernel::ScalarOp;
using kernel::Stage;

constexpr int64_t kMostTaps = 8;  // of a window along one dim

Result<MaxPool> pool_of(const Problem& problem, size_t stage, int value) {
  const Stage& root = problem.stages[stage];
  const int operands = int(problem.operands.size());
  if (root.outputs.size() != 1) return unsupported("indices of the largest elements");
  for (size_t i = stage; i < problem.stages.size(); ++i)
    for (const int input : problem.stages[i].inputs)
      if (input >= operands && input < value && (i > stage || input != root.inputs[0]))
        return unsupported("an epilogue behind the pool that reads what stands before it");
  const std::vector<int64_t> in = ir::to_dims(problem.type_of(root.inputs[0]).shape);
  const std::vector<int64_t> out = ir::to_dims(root.outputs[0].shape);
  if (in.size() != 4) return unsupported(cat("a pool of rank ", in.size(), ", expected 4"));
  MaxPool pool;
  PLANISH_ASSIGN_OR_RETURN(pool.window, kernel::window_of(root.attrs, 2));
  kernel::resolve_pads(pool.window, std::span(in).subspan(2));
  for (size_t d = 0; d < 2; ++d) {
    if (pool.window.dilations[d] != 1) return unsupported("a dilated pool");
    if (pool.window.kernel[d] > kMostTaps)
      return unsupported(cat("a window of ", pool.window.kernel[d], " elements, expected at most ", kMostTaps));
  }
  pool.height = out[2];
  pool.width = out[3];
  PLANISH_ASSIGN_OR_RETURN(pool.behind, make_epilogue(problem, {&root, value, int(stage)}, 1, {}));
  return pool;
}

// The result is the value as it is.
bool is_plain(const Epilogue& epilogue) {
  if (epilogue.results.size() != 1 || !epilogue.inputs.empty()) return false;
  int32_t at = epilogue.expr.outputs[0];
  const auto node = [&] { return epilogue.expr.nodes[size_t(at)]; };
  while (node().op == ScalarOp::kCast && ir::is_float(node().dtype)) at = node().a;
  return node().op == ScalarOp::kArg;
}

// Never smaller for a larger argument 0, so that it may as well be taken of the largest.
bool rises(const kernel::Expr& expr) {
  std::vector<bool> depends, up;
  for (const kernel::ExprNode& n : expr.nodes) {
    const auto dependent = [&](int32_t i) { return i >= 0 && depends[size_t(i)]; };
    const auto rising = [&](int32_t i) { return up[size_t(i)]; };
    const auto positive = [&](int32_t i) { return expr.nodes[size_t(i)].op == ScalarOp::kImm && expr.nodes[size_t(i)].imm > 0; };
    bool ok = false;
    switch (n.op) {
      case ScalarOp::kArg: case ScalarOp::kImm: ok = true; break;
      case ScalarOp::kCast: ok = ir::is_float(n.dtype) && rising(n.a); break;
      case ScalarOp::kAdd: case ScalarOp::kMax: case ScalarOp::kMin: ok = rising(n.a) && rising(n.b); break;
      case ScalarOp::kSub: ok = rising(n.a) && !dependent(n.b); break;
      case ScalarOp::kMul: ok = (rising(n.a) && positive(n.b)) || (rising(n.b) && positive(n.a)); break;
      default: break;
    }
    const bool reads = n.op == ScalarOp::kArg ? n.a == 0 : dependent(n.a) || dependent(n.b) || dependent(n.c);
    depends.push_back(reads);
    up.push_back(ok || !reads);
  }
  return expr.outputs.size() == 1 && up[size_t(expr.outputs[0])];
}

}  // namespace

std::optional<size_t> pool_stage(const Problem& problem) {
  for (size_t i = 0; i < problem.stages.size(); ++i)
    if (problem.stages[i].op == "MaxPool" && problem.stages[i].inputs[0] >= int(problem.operands.size())) return i;
  return std::nullopt;
}

Result<PooledProduct> pooled_product_of(const Problem& problem) {
  PooledProduct out;
  const std::optional<size_t> at = pool_stage(problem);
  if (!at) {
    PLANISH_ASSIGN_OR_RETURN(out.product, product_of(problem));
    return out;
  }
  const int value = problem.stages[*at].inputs[0];
  PLANISH_ASSIGN_OR_RETURN(out.product, product_of(stages_before(problem, *at, value)));
  if (!out.product.is_conv) return other_family();
  PLANISH_RETURN_IF_ERROR(without_moments(out.product));
  if (const ir::DataType type = problem.type_of(value).dtype; type != out.product.type)
    return unsupported(cat("a pool of ", ir::name_of(type), ", expected ", ir::name_of(out.product.type)));
  int first_value = int(problem.operands.size());
  for (size_t i = 0; i < *at; ++i) first_value += int(problem.stages[i].outputs.size());
  PLANISH_ASSIGN_OR_RETURN(out.pool, pool_of(problem, *at, first_value));
  return out;
}

Result<PooledProduct> pooled_product_of_any_size(const Problem& problem) {
  PLANISH_ASSIGN_OR_RETURN(Problem plain, kernel::concrete(problem, [](std::string_view) { return 64; }));
  return pooled_product_of(plain);
}

Result<Epilogue> quads_epilogue(const PooledProduct& problem) {
  const MaxPool& pool = *problem.pool;
  const ConvGeometry& g = problem.product.conv;
  const kernel::Window& w = pool.window;
  for (size_t d = 0; d < 2; ++d) {
    if (w.kernel[d] != 2 || w.strides[d] != 2 || w.pads_begin[d] != 0)
      return unsupported(cat("a pool of ", w.kernel[0], " x ", w.kernel[1], ", expected windows of 2 x 2 side by side"));
    const int64_t size = d == 0 ? g.out_height : g.out_width, pooled = d == 0 ? pool.height : pool.width;
    if (2 * pooled > size) return unsupported("a window beyond the image");
  }
  if (problem.product.channels % 32)
    return unsupported(cat(problem.product.channels, " filters before a pool, expected a multiple of 32"));
  if (!is_plain(pool.behind) || pool.behind.results[0].type != problem.product.type) return unsupported("an expression behind the pool");
  Epilogue out = problem.product.epilogue;
  if (!rises(out.expr)) return unsupported("an epilogue before the pool that may fall");
  for (Access& a : out.inputs) {
    if (!a.constant || std::any_of(a.row_steps.begin(), a.row_steps.end(), [](int64_t step) { return step != 0; }))
      return unsupported("an epilogue before the pool that reads what lies beside a pixel");
    a.row_steps.assign(pool.behind.row_dims.size(), 0);
  }
  out.row_dims = pool.behind.row_dims;
  out.results = pool.behind.results;
  return out;
}

Result<PooledText> print_pooled(const PooledProduct& problem, const EpilogueStyle& style) {
  PooledText out;
  if (!problem.pool) {
    PLANISH_ASSIGN_OR_RETURN(out.first, print_epilogue(problem.product.epilogue, style));
  } else {
    PLANISH_ASSIGN_OR_RETURN(out.first, print_kept_epilogue(problem.product.epilogue, style, false));
    PLANISH_ASSIGN_OR_RETURN(out.behind, print_epilogue(problem.pool->behind, style));
  }
  out.args = out.first.args;
  out.args.insert(out.args.end(), out.behind.args.begin(), out.behind.args.end());
  return out;
}

Result<EpilogueText> print_quads_or_rows(const PooledProduct& problem, int lanes) {
  const int64_t channels = problem.product.channels;
  if (!problem.pool)
    return print_epilogue(problem.product.epilogue,
                          {.lanes = lanes, .group_channels = channels, .channel_tail = channels % lanes != 0});
  PLANISH_ASSIGN_OR_RETURN(const Epilogue epilogue, quads_epilogue(problem));
  return print_epilogue(epilogue, {.lanes = 4, .group_channels = channels, .channel_tail = false});
}

void put_words(std::string& text, std::span<const PooledWord> words, bool pooled) {
  for (const PooledWord& word : words) replace_all(text, word.name, pooled ? word.pooled : word.plain);
}

std::string pairs_text(ir::DataType type) {
  const std::string_view name = type == ir::DataType::kF16 ? "f16" : "bf16";
  return cat("DEV u32 max_two(u32 a, u32 b) { u32 r; asm(\"max.NaN.", name,
             "x2 %0,%1,%2;\" : \"=r\"(r) : \"r\"(a), \"r\"(b)); return r; }\nDEV u32 pack_two(float l, float h) { return pack_", name,
             "x2(l, h); }\nDEV float low_of(u32 v) { return ", name, "_low(v); }\nDEV float high_of(u32 v) { return ", name,
             "_high(v); }\nconstexpr u32 kLeast = ", type == ir::DataType::kF16 ? "0xfc00fc00u" : "0xff80ff80u", ";\n");
}

std::string_view quads_text() {
  return R"CUDA(
DEV void pool_quads(const Epilogue& e, const float (&above)[8], const float (&below)[8], const Fixed& fixed, int row, u32 lane, int channel) {
  float most[8], sum[4];
#pragma unroll
  for (int k = 0; k < 8; ++k) most[k] = max_nan(above[k], below[k]);
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    const float other = __shfl_xor_sync(~0u, lane & 4 ? most[k] : most[k + 4], 4);
    sum[k] = max_nan(lane & 4 ? most[k + 4] : most[k], other);
  }
  if (row < 0) return;
  Near near;
  finish(e, sum, fixed, near, row, channel + (lane & 4), kChannels);
}
)CUDA";
}

}  // namespace planish::cuda
