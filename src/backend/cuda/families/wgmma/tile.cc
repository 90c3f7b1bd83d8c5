#include "backend/cuda/families/wgmma/tile.h"

#include <algorithm>

#include "base/text.h"

namespace planish::cuda::wgmma {
namespace {

using ir::DataType;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

Source left_source(const Product& p) {
  if (p.is_conv) return p.conv.is_pointwise() ? Source::kDepthInner : Source::kIm2col;
  return p.left.depth_inner ? Source::kDepthInner : Source::kDepthOuter;
}
Source right_source(const Product& p) {
  if (p.right_constant) return Source::kPacked;
  return p.right.depth_inner ? Source::kDepthInner : Source::kDepthOuter;
}

// Bytes of depth in a ring stage: 64 where 128 would mostly be padding.
int step_bytes_of(const Product& p, int element_bytes, Source left, Source right) {
  if (left == Source::kDepthOuter || right == Source::kDepthOuter) return 128;
  const int64_t bytes = p.depth * element_bytes;
  if (p.is_conv && p.batches > 1 && bytes % 128) return 64;  // a step must stay in its group
  return double(round_up(bytes, 128)) > 1.2 * double(round_up(bytes, 64)) ? 64 : 128;
}

int widest_result(const Product& p) {
  int bytes = 1;
  for (const Access& a : p.epilogue.results) bytes = std::max(bytes, ir::bits_of(a.type) / 8);
  return bytes;
}

Status check_im2col(const ConvGeometry& g) {
  const int64_t upper_x = g.right - (g.taps_x - 1) * g.dilation_x;
  const int64_t upper_y = g.bottom - (g.taps_y - 1) * g.dilation_y;
  for (int64_t corner : {-g.left, -g.top, upper_x, upper_y})
    if (corner < -128 || corner > 127)
      return unsupported(cat("a window corner at ", corner, ", expected -128 to 127"));
  if (g.stride_x > 8 || g.stride_y > 8)
    return unsupported(cat("strides ", g.stride_y, " x ", g.stride_x, ", expected at most 8"));
  if ((g.taps_x - 1) * g.dilation_x > 255 || (g.taps_y - 1) * g.dilation_y > 255)
    return unsupported("a window wider than 255");
  const auto outputs = [](int64_t size, int64_t lower, int64_t upper, int64_t stride) {
    return ceil_div(size + lower + upper, stride);
  };
  if (outputs(g.width, g.left, upper_x, g.stride_x) != g.out_width ||
      outputs(g.height, g.top, upper_y, g.stride_y) != g.out_height)
    return unsupported("an output that is not the window's whole walk");
  return ok_status();
}

// Lanes of a quad have one row's statistics, and make one row's parts of four sums each at a time. Rows on
// the wide side leave theirs in shared memory for all groups, and no parts of a result.
Status check_moments(const Product& p, const Plan& plan) {
  const Tile& t = plan.tile;
  if (p.is_conv || p.batches > 1) return unsupported("moments of images, or of batches");
  if (t.swap && t.ping_pong) return unsupported("moments of rows that the groups do not share");
  if (!p.epilogue.result_moments) return ok_status();
  if (t.swap) return unsupported("moments of a result with its rows on the wide side");
  const int64_t width = p.epilogue.result_moments->width;
  if (width % 16 || t.channel_tile() % width || p.channels % t.channel_tile() || plan.lanes % 4)
    return unsupported(cat("parts of ", width, " of ", p.channels, " channels in a tile of ", t.channel_tile()));
  // Of a split tile each member finishes whole parts.
  if (t.split > 1 && plan.calls() * plan.lanes % (width / 4))
    return unsupported(cat("parts of ", width, " channels that the split cuts"));
  return ok_status();
}

bool too_long(int64_t elements) { return elements > INT32_MAX; }

// Rows in blocks of 8 x 8 pixels.
Status place_boxes(const Product& p, Plan& plan) {
  const ConvGeometry& g = p.conv;
  if (plan.left != Source::kIm2col || g.stride_x * g.stride_y != 1 || p.batches != 1 || plan.tile.swap || plan.tile.share_rows > 1)
    return unsupported("blocks of pixels for strides, groups, one tap, swapped sides or shared rows");
  plan.left = Source::kBoxes;
  plan.boxes_x = ceil_div(g.out_width, 8);
  plan.boxes_y = ceil_div(g.out_height, 8);
  return too_long(g.images * plan.boxes_x * plan.boxes_y * 64) ? unsupported("a dim beyond 2^31") : ok_status();
}

}  // namespace

kernel::Tactic write(const Tile& t) {
  kernel::Tactic out;
  out.params = {{"g", t.groups}, {"b", t.blocks}, {"w", t.width}, {"occ", t.residents}};
  const auto put = [&](const char* key, int value, int usual) {
    if (value != usual) out.params[key] = value;
  };
  put("swap", t.swap, 0);
  put("ping", t.ping_pong, 0);
  put("cm", t.share_weights, 1);
  put("cn", t.share_rows, 1);
  put("split", t.split, 1);
  put("st", t.stages, 0);
  put("box", t.boxes, 0);
  return out;
}

Tile read(const kernel::Tactic& tactic) {
  Tile t;
  t.groups = int(tactic.get("g", 2));
  t.blocks = int(tactic.get("b", 1));
  t.width = int(tactic.get("w", 128));
  t.residents = int(tactic.get("occ", 1));
  t.swap = tactic.get("swap") != 0;
  t.ping_pong = tactic.get("ping") != 0;
  t.share_weights = int(tactic.get("cm", 1));
  t.share_rows = int(tactic.get("cn", 1));
  t.split = int(tactic.get("split", 1));
  t.stages = int(tactic.get("st"));
  t.boxes = tactic.get("box") != 0;
  return t;
}

Status can_take(const Product& p) {
  const int es = ir::bits_of(p.type) / 8;
  const Source left = left_source(p), right = right_source(p);
  if (es == 4 && (left == Source::kDepthOuter || right == Source::kDepthOuter))
    return unsupported("a transposed operand of 32 bits, expected the depth innermost");
  const auto aligned = [&](int64_t inner, std::string_view what) -> Status {
    if (inner * es % 16 == 0) return ok_status();
    return unsupported(cat(what, " of ", inner * es, " bytes, expected a multiple of 16"));
  };
  const int64_t left_inner = left == Source::kDepthOuter ? p.rows : p.is_conv ? p.conv.channels : p.depth;
  PLANISH_RETURN_IF_ERROR(aligned(left_inner, "rows of the left operand"));
  if (right != Source::kPacked)
    PLANISH_RETURN_IF_ERROR(aligned(right == Source::kDepthOuter ? p.channels : p.depth * p.taps(),
                                    "rows of the right operand"));
  if (right == Source::kDepthInner && p.taps() > 1 && p.depth * es % step_bytes_of(p, es, left, right))
    return unsupported(cat("filters computed at run time of ", p.depth, " channels, expected whole steps of ",
                           step_bytes_of(p, es, left, right), " bytes"));
  if (p.is_conv && p.batches > 1 && p.depth * es % 64)
    return unsupported(cat(p.depth, " channels of a group, expected a multiple of ", 64 / es));
  if (left == Source::kIm2col) PLANISH_RETURN_IF_ERROR(check_im2col(p.conv));
  if (too_long(p.rows) || too_long(p.channels) || too_long(p.depth * p.taps()))
    return unsupported("a dim beyond 2^31");
  return ok_status();
}

Result<Plan> plan_of(const PooledProduct& problem, const Tile& t) {
  const Product& p = problem.product;
  PLANISH_RETURN_IF_ERROR(can_take(p));
  Plan plan;
  plan.tile = t;
  plan.left = left_source(p);
  if (t.boxes) PLANISH_RETURN_IF_ERROR(place_boxes(p, plan));
  if (problem.pool) {
    PLANISH_RETURN_IF_ERROR(quads_epilogue(problem).status());
    if (!t.boxes || t.split > 1 || t.width % 32) return unsupported("a tile that does not hold whole windows of the pool");
  }
  plan.right = right_source(p);
  plan.element_bytes = ir::bits_of(p.type) / 8;
  plan.step_bytes = step_bytes_of(p, plan.element_bytes, plan.left, plan.right);
  plan.step_depth = plan.step_bytes / plan.element_bytes;
  plan.chunks = int(ceil_div(p.depth, plan.step_depth));
  plan.steps = int(plan.chunks * p.taps());
  if (t.groups < 1 || t.groups > 3 || t.blocks < 1 || t.blocks > 4 || t.width % 8 || t.width < 8 ||
      t.width > 256)
    return invalid_argument("no such tile");
  if (t.swap && plan.right != Source::kPacked)
    return unsupported("swapped sides need packed weights");
  if (t.ping_pong && (t.groups != 2 || t.split > 1))
    return unsupported("ping-pong takes two groups and no split");
  if (plan.left == Source::kDepthOuter && t.row_tile() % 64)
    return unsupported("rows of a transposed operand come in 64s");
  if (plan.right == Source::kDepthOuter && (t.channel_tile() % 64 || t.share_weights > 1))
    return unsupported("channels of a transposed operand come in 64s and are not multicast");
  if (plan.left == Source::kDepthOuter && t.share_rows > 1)
    return unsupported("a transposed operand is not multicast");
  if (t.split > plan.steps || (t.split > 1 && t.share_rows * t.share_weights > 1) ||
      (t.share_rows > 1 && t.share_weights > 1) || t.cluster() > 8)
    return unsupported("no such cluster");
  if (t.high() > 256) return unsupported("a tile higher than a TMA box");
  if (t.row_tile() / t.share_rows % 8 || t.channel_tile() / t.share_weights % 8)
    return unsupported("a multicast part of no 8 rows");

  plan.row_tiles = ceil_div(t.boxes ? p.conv.images * plan.boxes_x * plan.boxes_y * 64 : p.rows, t.row_tile());
  plan.channel_tiles = ceil_div(p.channels, t.channel_tile());
  if (plan.channel_tiles % t.share_rows)
    return unsupported("a cluster along the channels with an idle member");
  plan.cluster_tiles = p.batches * ceil_div(plan.row_tiles, t.share_weights) *
                       (plan.channel_tiles / t.share_rows);
  if (plan.cluster_tiles * t.cluster() > INT32_MAX) return unsupported("too many tiles");

  if (t.swap) {
    plan.permuted = 2 * t.blocks;
    plan.lanes = plan.permuted;
  } else {
    const int most = plan.right != Source::kPacked ? 2 : widest_result(p) > 2 ? 4 : 8;
    plan.permuted = t.width % 32 == 0 ? most : t.width % 16 == 0 ? std::min(most, 4) : 2;
    plan.lanes = t.split > 1 ? std::min(plan.permuted, 4) : plan.permuted;
  }
  if (problem.pool && plan.lanes != 8) return unsupported("sums of fewer than 8 channels before a pool");
  if (plan.sums() / plan.lanes % t.split) return unsupported("sums that do not split");
  if (p.epilogue.has_moments()) PLANISH_RETURN_IF_ERROR(check_moments(p, plan));
  plan.packed_channels = round_up(p.channels, t.swap ? 64 * t.blocks : 4 * plan.permuted);

  plan.stage_bytes = plan.left_bytes() + plan.right_bytes();
  plan.reduce_bytes = t.split > 1 ? t.row_tile() * t.channel_tile() * 4 : 0;
  if (t.swap) plan.rows_bytes = t.width * int(p.epilogue.moments.size()) * 8;
  const int overhead = 512 + plan.rows_bytes + (t.residents > 1 ? 1024 : 0);
  const int fit = (kMaxSharedBytes / t.residents - plan.reduce_bytes - overhead) / plan.stage_bytes;
  plan.stages = t.stages ? t.stages : std::min(fit, 10);
  if (plan.stages < 2 || plan.stages > fit)
    return unsupported(cat("a ring of ", plan.stages, " stages, ", fit, " fit"));
  plan.shared_bytes = plan.stages * plan.stage_bytes + plan.reduce_bytes + 16 * plan.stages + 16 + plan.rows_bytes;
  plan.producer_warps = plan.sums() >= 96 && t.groups > 1 ? 4 : 1;
  plan.consumer_registers = t.groups == 3 ? 160 : 240;
  plan.producer_registers = t.groups == 3 ? 32 : 24;
  if (plan.sums() > 200) return unsupported("more sums than registers");
  // Groups that finish together hold their addresses beside the sums.
  if (problem.pool && !t.ping_pong && plan.sums() > 112) return unsupported("more sums than registers beside a pool");
  if (plan.producer_warps == 4 && t.residents > 1)
    return unsupported("two CTAs of warpgroups with moved registers");
  return plan;
}

// Each quarter of an SM has 16384 for its warps of 32.
int register_cap(const Plan& plan) {
  const int warps = (plan.threads() / 32 * plan.tile.residents + 3) / 4;
  const bool moved = plan.producer_warps == 4;
  return moved ? plan.consumer_registers : std::min(255, 16384 / (32 * warps) / 8 * 8);
}

Gangs gangs_of(const Plan& plan, int near) {
  Gangs gangs;
  if (near == 0) return gangs;
  const bool moved = plan.producer_warps == 4;
  const int budget = std::clamp(register_cap(plan) - plan.sums() - (moved ? 40 : 48), 4, 48);
  gangs.buffers = 2 * near <= budget && plan.calls() > 1 ? 2 : 1;
  while (plan.calls() % (2 * gangs.size) == 0 && 2 * gangs.size * near * gangs.buffers <= budget)
    gangs.size *= 2;
  return gangs;
}

int64_t channel_of_packed_row(const Plan& plan, int64_t row) {
  if (plan.tile.swap) {
    // Row 64 i + 16 warp + 8 h + l of a group's blocks is channel 2 blocks (8 warp + l) + 2 i + h.
    const int64_t high = 64 * plan.tile.blocks, in = row % high;
    const int64_t i = in / 64, warp = in % 64 / 16, h = in % 16 / 8, l = in % 8;
    return row - in + 2 * plan.tile.blocks * (8 * warp + l) + 2 * i + h;
  }
  // Column 8 j + 2 t + e of a set of 4 * permuted is channel permuted * t + 2 j + e.
  const int64_t set = 4 * plan.permuted, in = row % set;
  const int64_t j = in / 8, t = in % 8 / 2, e = in % 2;
  return row - in + plan.permuted * t + 2 * j + e;
}

}  // namespace planish::cuda::wgmma
