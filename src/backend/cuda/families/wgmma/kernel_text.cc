#include "backend/cuda/families/wgmma/kernel_text.h"

#include <algorithm>

#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/families/wgmma/device_text.h"
#include "base/text.h"

namespace planish::cuda::wgmma {
namespace {

class Constants {
 public:
  Constants& operator()(std::string_view name, int64_t value) {
    text_ += cat("constexpr int ", name, " = ", value, ";\n");
    return *this;
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

// Sums of a small product stay beside what its epilogue reads, which then is loaded early. Around
// moments that is more, and worth more registers.
bool loads_early(const Plan& plan, const EpilogueText& epilogue) {
  if (plan.tile.ping_pong || plan.sums() > 64) return false;
  const int loaded = plan.calls() * (epilogue.near_registers + epilogue.fixed_registers);
  const bool moments = epilogue.has_rows || epilogue.keeps;
  return loaded <= (moments ? std::max(32, register_cap(plan) - plan.sums() - 60) : 32);
}

// What reads more than it writes begins with what the kernel in front, which wrote more than it read, left
// last: of an input larger than a part of L2 only that is still there.
bool walks_backwards(const Product& p, const Plan& plan) {
  constexpr int64_t kPartOfL2 = 16 << 20;
  const int64_t input = (p.is_conv ? p.conv.images * p.conv.height * p.conv.width * p.conv.channels
                                   : p.left.matrices * p.rows * p.depth) * plan.element_bytes;
  int64_t written = 0;
  for (const Access& result : p.epilogue.results)
    written += p.batches * p.rows * p.channels * ir::bits_of(result.type) / 8;
  return input > kPartOfL2 && input > written;
}

std::string constants_text(const Product& p, const Plan& plan, const EpilogueText& epilogue) {
  const bool early = loads_early(plan, epilogue);
  const Gangs gangs = gangs_of(plan, epilogue.near_registers);
  const Tile& t = plan.tile;
  Constants c;
  c("kGroups", t.groups)("kBlocks", t.blocks)("kWide", t.width)("kSums", t.width / 2);
  c("kSwap", t.swap)("kPingPong", t.ping_pong)("kResidents", t.residents);
  c("kShareWeights", t.share_weights)("kShareRows", t.share_rows)("kSplit", t.split);
  c("kCluster", t.cluster())("kStages", plan.stages)("kStepBytes", plan.step_bytes);
  c("kStepDepth", plan.step_depth)("kSteps", plan.steps)("kChunks", plan.chunks);
  c("kRowTile", t.row_tile())("kChannelTile", t.channel_tile());
  c("kRowTiles", plan.row_tiles)("kChannelTiles", plan.channel_tiles);
  c("kTiles", plan.cluster_tiles)("kRows", p.rows)("kChannels", p.channels);
  c("kLeftBytes", plan.left_bytes())("kRightBytes", plan.right_bytes());
  c("kStageBytes", plan.stage_bytes)("kReduceBytes", plan.reduce_bytes);
  c("kProducerWarps", plan.producer_warps)("kConsumerRegisters", plan.consumer_registers);
  c("kProducerRegisters", plan.producer_registers)("kThreads", plan.threads());
  c("kLanes", plan.lanes)("kPermuted", plan.permuted)("kEarly", early);
  c("kBoxes", t.boxes)("kGang", gangs.size)("kBuffers", gangs.buffers);
  c("kPrefetch", epilogue.near_registers > 0 && !plan.tile.swap && !plan.tile.boxes && plan.tile.row_tile() >= 128);
  c("kLeftDepthOuter", plan.left == Source::kDepthOuter);
  c("kRightDepthOuter", plan.right == Source::kDepthOuter);
  c("kSwizzle", plan.step_bytes == 128 ? 1 : 2)("kElementBytes", plan.element_bytes);
  const int64_t columns = plan.channel_tiles / t.share_rows;
  c("kRaster", columns < 8 ? columns : 8)("kBackwards", walks_backwards(p, plan));
  if (const auto& moments = p.epilogue.result_moments)
    c("kPartFours", moments->width / 16)("kParts", moments->parts)("kPartWidth", moments->width);
  return c.take();
}

// Blocks of 8 x 8 pixels, one behind the other; where a row's pixel lies, kRows for none.
std::string boxes_text(const Product& p, const Plan& plan) {
  const ConvGeometry& g = p.conv;
  const auto block = [&](std::string_view name) {
    return cat("  const int bx = ", name, " % ", plan.boxes_x, " * 8, by = ", name, " / ", plan.boxes_x, " % ", plan.boxes_y,
               " * 8, image = ", name, " / ", plan.boxes_x * plan.boxes_y, ";\n");
  };
  return cat(
      "DEV void load_left(u32 to, const TensorMap* map, u32 barrier, int batch, int step, int row) {\n"
      "  const int chunk = step % kChunks, tap = step / kChunks, tx = tap % ", g.taps_x, ", ty = tap / ", g.taps_x, ";\n"
      "#pragma unroll\n  for (int i = 0; i < kRowTile / 64; ++i) {\n    const int block = row / 64 + i;\n", block("block"),
      "    asm volatile(\"cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], [%2];\"\n"
      "      ::\"r\"(to + i * 64 * kStepBytes), \"l\"(map), \"r\"(barrier), \"r\"(chunk * kStepDepth), \"r\"(bx + tx * ", g.dilation_x, " - ", g.left,
      "), \"r\"(by + ty * ", g.dilation_y, " - ", g.top, "), \"r\"(image) : \"memory\");\n  }\n}\n"
      "DEV int pixel_of(int row) {\n  const int block = row / 64;\n", block("block"),
      "  const int y = by + row % 64 / 8, x = bx + row % 8;\n  return image < ", g.images, " && y < ", g.out_height, " && x < ", g.out_width,
      " ? (image * ", g.out_height, " + y) * ", g.out_width, " + x : kRows;\n}\n");
}

// The pooled pixel of a thread in a block, or -1.
std::string pool_text(const PooledProduct& problem, const Plan& plan) {
  const MaxPool& pool = *problem.pool;
  return cat("DEV int pooled_row_of(int block, u32 quad, u32 lane) {\n  const int y = block / ", plan.boxes_x, " % ", plan.boxes_y,
             " * 4 + quad, x = block % ", plan.boxes_x, " * 4 + (lane >> 3), image = block / ", plan.boxes_x * plan.boxes_y,
             ";\n  return image < ", problem.product.conv.images, " && y < ", pool.height, " && x < ", pool.width, " ? (image * ", pool.height,
             " + y) * ", pool.width, " + x : -1;\n}\n");
}

std::string left_text(const Product& p, const Plan& plan) {
  const bool multicast = plan.tile.share_rows > 1;
  if (plan.left == Source::kIm2col) {
    const ConvGeometry& g = p.conv;
    return cat(
        "DEV void load_left(u32 to, const TensorMap* map, u32 barrier, int batch, int step, int row) {\n"
        "  const int chunk = step % kChunks, tap = step / kChunks, tx = tap % ", g.taps_x, ", ty = tap / ", g.taps_x,
        ";\n  const int image = row / ", g.out_height * g.out_width, ", at = row % ", g.out_height * g.out_width,
        ";\n  const int h = at / ", g.out_width, " * ", g.stride_y, " - ", g.top, ", w = at % ", g.out_width, " * ",
        g.stride_x, " - ", g.left, ";\n  load_pixels", multicast ? "_multicast" : "",
        "(to, map, barrier, batch * ", p.batches > 1 ? p.depth : 0, " + chunk * kStepDepth, w, h, image, (u16)(tx * ",
        g.dilation_x, "), (u16)(ty * ", g.dilation_y, ")",
        multicast ? ", (u16)((1 << kCluster) - 1)" : "", ");\n}\n");
  }
  if (plan.left == Source::kBoxes) return boxes_text(p, plan);
  std::string out = p.is_conv ? std::string() : batch_index_text("left_matrix", p.left, p.batch_dims);
  out += "DEV void load_left(u32 to, const TensorMap* map, u32 barrier, int batch, int step, int row) {\n";
  if (plan.left == Source::kDepthOuter)
    out += "#pragma unroll\n  for (int i = 0; i < kRowTile / 64; ++i)\n"
           "    load_box(to + i * kStepDepth * 128, map, barrier, row + 64 * i, step * kStepDepth, left_matrix(batch));\n";
  else
    out += cat("  load_box", multicast ? "_multicast" : "", "(to, map, barrier, ",
               p.is_conv ? cat("batch * ", p.batches > 1 ? p.depth : 0, " + step * kStepDepth, row, 0")
                         : std::string("step * kStepDepth, row, left_matrix(batch)"),
               multicast ? ", (u16)((1 << kCluster) - 1)" : "", ");\n");
  return out + "}\n";
}

std::string right_text(const Product& p, const Plan& plan) {
  const bool multicast = plan.tile.share_weights > 1;
  std::string out;
  const bool packed = plan.right == Source::kPacked;
  if (!packed) out += batch_index_text("right_matrix", p.right, p.batch_dims);
  out += "DEV void load_right(u32 to, const TensorMap* map, u32 barrier, int batch, int step, int channel) {\n";
  if (plan.right == Source::kDepthOuter)
    out += "#pragma unroll\n  for (int i = 0; i < kChannelTile / 64; ++i)\n"
           "    load_box(to + i * kStepDepth * 128, map, barrier, channel + 64 * i, step * kStepDepth, right_matrix(batch));\n";
  else
    out += cat("  load_box", multicast ? "_multicast" : "", "(to, map, barrier, ",
               packed ? "0, channel, batch * kSteps + step" : "step * kStepDepth, channel, right_matrix(batch)",
               multicast ? ", (u16)((1 << kCluster) - 1)" : "", ");\n");
  return out + "}\n";
}

// Descriptors of both sides at a stage, and one step of products.
constexpr std::string_view kStepText = R"CUDA(
// Distance in a descriptor (16-byte units) of the next 32 bytes of depth.
constexpr int kLeftNext = kLeftDepthOuter ? 128 * (32 / kElementBytes) / 16 : 2;
constexpr int kRightNext = kRightDepthOuter ? 128 * (32 / kElementBytes) / 16 : 2;
DEV u64 left_matrix_at(u32 tile, int row) {
  if (kLeftDepthOuter) return matrix(tile + row / 64 * kStepDepth * 128, 1, kStepDepth * 128, 1024);
  return matrix(tile + row * kStepBytes, kSwizzle, 16, 8 * kStepBytes);
}
DEV u64 right_matrix_at(u32 tile, int channel) {
  if (kRightDepthOuter) return matrix(tile + channel / 64 * kStepDepth * 128, 1, kStepDepth * 128, 1024);
  return matrix(tile + channel * kStepBytes, kSwizzle, 16, 8 * kStepBytes);
}
DEV void multiply_step(float (&sum)[kBlocks][kSums], u32 stage, int high, bool add) {
  const u64 wide = kSwap ? left_matrix_at(stage, 0) : right_matrix_at(stage + kLeftBytes, 0);
  wgmma_begin();
#pragma unroll
  for (int i = 0; i < kBlocks; ++i) {
    const u64 tall = kSwap ? right_matrix_at(stage + kLeftBytes, high + 64 * i) : left_matrix_at(stage, high + 64 * i);
#pragma unroll
    for (int k = 0; k < kStepBytes / 32; ++k)
      multiply(sum[i], tall + k * (kSwap ? kRightNext : kLeftNext), wide + k * (kSwap ? kLeftNext : kRightNext), add || k > 0);
  }
  wgmma_commit();
}
)CUDA";

// Which sums of a thread one call of finish() takes, and where they belong.
constexpr std::string_view kUnitText = R"CUDA(
constexpr int kUnits = kBlocks * kSums / kLanes;       // calls of finish() for a thread's sums
constexpr int kQuarters = kPermuted / kLanes;          // calls that share a thread's run of channels
constexpr int kSets = kSwap ? 1 : kWide / (4 * kPermuted);
struct Unit { int block, half, set, quarter, column; };
// Units that share channels follow each other.
DEV Unit unit_of(int u) {
  if (kSwap) return {0, 0, 0, 0, u};
ROW_BY_ROW  return {u / 2 % kBlocks, u % 2, u / (2 * kBlocks * kQuarters), u / (2 * kBlocks) % kQuarters, 0};
}
DEV void gather(const float (&sum)[kBlocks][kSums], const Unit& u, float (&out)[kLanes]) {
#pragma unroll
  for (int l = 0; l < kLanes; ++l)
    out[l] = kSwap ? sum[l / 2 % kBlocks][4 * (u.column / 2) + 2 * (l % 2) + u.column % 2]
                   : sum[u.block][(u.set * (kPermuted / 2) + u.quarter * (kLanes / 2) + l / 2) * 4 + 2 * u.half + l % 2];
}
// Row and first channel inside the tile: a thread's first, and what a unit adds; `high`: first row of the
// thread's group on the high side.
DEV int first_row(int high, u32 warp, u32 lane) { return kSwap ? 2 * (lane & 3) : high + 16 * warp + (lane >> 2); }
DEV int first_channel(int high, u32 warp, u32 lane) { return kSwap ? high + 2 * kBlocks * (8 * warp + (lane >> 2)) : (lane & 3) * kPermuted; }
DEV int plus_row(const Unit& u) { return kSwap ? 8 * (u.column / 2) + u.column % 2 : 64 * u.block + 8 * u.half; }
DEV int plus_channel(const Unit& u) { return kSwap ? 0 : u.set * 4 * kPermuted + u.quarter * kLanes; }
)CUDA";

// Moments of a result's rows: a thread gathers them over fours of its sums, a quad joins and writes a
// part when it is whole.
constexpr std::string_view kMomentsText = R"CUDA(
struct Gathered { float mean, square; };
DEV void gather_four(Gathered& g, int fours, const float* x) {  // so many fours were gathered before
  const float mean = (x[0] + x[1] + x[2] + x[3]) * 0.25f;
  float square = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) square = fmaf(x[i] - mean, x[i] - mean, square);
  if (fours == 0) { g.mean = mean; g.square = square; return; }
  const float d = mean - g.mean;
  g.mean = fmaf(d, 1.0f / (fours + 1), g.mean);
  g.square += fmaf(d * d, 4.0f * fours / (fours + 1), square);
}
DEV void join_lanes(Gathered& g) {
#pragma unroll
  for (int i = 1; i < 4; i *= 2) {
    const float mean = __shfl_xor_sync(~0u, g.mean, i), square = __shfl_xor_sync(~0u, g.square, i), d = mean - g.mean;
    g.mean = fmaf(d, 0.5f, g.mean);
    g.square = fmaf(d * d, i * kPartFours * 2.0f, g.square + square);
  }
}
// `position`: the unit's among those of its row that this thread finishes; `in_tile`: among all of the row.
DEV void gather_unit(const Epilogue& e, Gathered& g, const float (&x)[kLanes], int position, int in_tile, int first_part,
                     u32 row, bool live, u32 lane) {
#pragma unroll
  for (int f = 0; f < kLanes / 4; ++f) {
    gather_four(g, (position * (kLanes / 4) + f) % kPartFours, x + 4 * f);
    if ((position * (kLanes / 4) + f + 1) % kPartFours == 0) {
      join_lanes(g);
      if (live && (lane & 3) == 0) {
        const u32 d[2] = {__float_as_uint(g.mean), __float_as_uint(g.square)};
        put(e.moments + ((u64)row * kParts + first_part + (in_tile * (kLanes / 4) + f) / kPartFours) * 2, d);
      }
    }
  }
}
)CUDA";

constexpr std::string_view kFinishText = R"CUDA(        if (is_inside(row, channel))
          finish(e, part, fixed[kEarly ? v : 0], near[kEarly ? 0 : gang % kBuffers][kEarly ? v : v % kGang], ROWS_ARGUMENTROW_FROM,
                 channel_base + channel_from, channel_base + kChannelsKEPT_ARGUMENT, ROW_PLUS, plus_channel(u));
)CUDA";
// Two units that follow each other are the lines of a block above each other.
constexpr std::string_view kPoolText = R"CUDA(        if (v % 2 == 0) {
#pragma unroll
          for (int l = 0; l < kLanes; ++l) above[l] = part[l];
        } else if (kWholeChannels || channel < kChannels) {
          pool_quads(e, above, part, fixed[kEarly ? v : 0], pooled_row_of((row0 + high) / 64 + u.block, quad, lane), lane, channel);
        }
)CUDA";

constexpr std::string_view kBodyText = R"CUDA(
// Where tiles are whole there is nothing to ask, and nothing stands between one call of finish() and the next.
constexpr bool kWholeRows = !kBoxes && kRows % (kRowTile * kShareWeights) == 0;
constexpr bool kWholeChannels = kChannels % kChannelTile == 0;
DEV bool is_inside(int row, int channel) { return (kWholeRows || row < kRows) && (kWholeChannels || channel < kChannels); }
constexpr int kColumns = kChannelTiles / kShareRows, kBands = (kRowTiles + kShareWeights - 1) / kShareWeights;
struct Place { int batch, row_tile, channel_tile; };
// Tiles go down the rows in strips of up to kRaster channel tiles, so that a wave reads few operands;
// backwards where L2 holds the end of the input, not its beginning.
DEV Place place_of(int tile, u32 rank) {
  if (kBackwards) tile = kTiles - 1 - tile;
  const int batch = tile / (kBands * kColumns), at = tile % (kBands * kColumns);
  const int strip = at / (kRaster * kBands), in = at - strip * kRaster * kBands;
  const int wide = min(kRaster, kColumns - strip * kRaster);
  return {batch, in / wide * kShareWeights + (kShareWeights > 1 ? (int)rank : 0),
          (strip * kRaster + in % wide) * kShareRows + (kShareRows > 1 ? (int)rank : 0)};
}
struct Ring {
  u32 stage, parity;
  __device__ __forceinline__ void next() { if (++stage == kStages) { stage = 0; parity ^= 1; } }
  __device__ __forceinline__ void skip(int steps) {
    stage += steps % kStages; parity ^= steps / kStages & 1;
    if (stage >= kStages) { stage -= kStages; parity ^= 1; }
  }
};
DEV void consumers_meet() { asm volatile("bar.sync 1, %0;" ::"n"(kGroups * 128) : "memory"); }
DEV void release(u32 barrier, u32 lane) {
  if (kCluster / kSplit > 1) { if (lane < kCluster) barrier_arrive_at(barrier, lane); }
  else if (lane == 0) barrier_arrive(barrier);
}
// Partial sums into a CTA of the cluster, which a barrier of its counts, and out of one's own.
template <int kN> DEV void give(u32 to, u32 barrier, const float (&x)[kN]) {
#pragma unroll
  for (int i = 0; i < kN; i += kN % 4 ? 2 : 4)
    if (kN % 4) asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.f32 [%0], {%1, %2}, [%3];" ::"r"(to + 4 * i), "f"(x[i]), "f"(x[i + 1]), "r"(barrier) : "memory");
    else asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%0], {%1, %2, %3, %4}, [%5];" ::"r"(to + 4 * i), "f"(x[i]), "f"(x[i + 1]), "f"(x[(i + 2) % kN]), "f"(x[(i + 3) % kN]), "r"(barrier) : "memory");
}
template <int kN> DEV void take(u32 from, float (&x)[kN]) {
#pragma unroll
  for (int i = 0; i < kN; i += 2) {
    float a, b;
    asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(a), "=f"(b) : "r"(from + 4 * i) : "memory");
    x[i] += a; x[i + 1] += b;
  }
}

extern "C" __global__ void __launch_bounds__(kThreads, kResidents)
ENTRY(const __grid_constant__ TensorMap left, const __grid_constant__ TensorMap right PARAMETERS) {
  extern __shared__ __align__(1024) unsigned char shared[];
  const u32 thread = threadIdx.x, warp = __shfl_sync(~0u, thread >> 5, 0), lane = thread & 31;
  const u32 ring = shared_address(shared), reduce = ring + kStages * kStageBytes;
  const u32 full = reduce + kReduceBytes, empty = full + 8 * kStages, turn = empty + 8 * kStages, joined = turn;
  const u32 rank = kCluster > 1 ? cluster_rank() : 0;
  const int first = blockIdx.x / kCluster, stride = gridDim.x / kCluster;
  const int begin = kSplit > 1 ? kSteps * (int)rank / kSplit : 0, end = kSplit > 1 ? kSteps * ((int)rank + 1) / kSplit : kSteps;
  if (thread == 0) {
    if (ring & 1023) __trap();
    for (int i = 0; i < kStages; ++i) {
      barrier_init(full + 8 * i, 1);
      barrier_init(empty + 8 * i, (kPingPong ? 4 : 4 * kGroups) * (kCluster / kSplit));
    }
    if (kPingPong) { barrier_init(turn, 4); barrier_init(turn + 8, 4); }
    if (kSplit > 1) { barrier_init(joined, 1); barrier_expect(joined, kReduceBytes); }
    barrier_init_fence();
  }
  if (kCluster / kSplit > 1) cluster_sync();
  else { __syncthreads(); if (kSplit > 1) cluster_arrive(); }

  if (warp >= 4 * kGroups) {  // ---- producer
    if (kProducerWarps == 4) fewer_registers<kProducerRegisters>();
    if (warp == 4 * kGroups && lane == 0) {
      prefetch_map(&left); prefetch_map(&right);
      const int right_part = rank * (kChannelTile / kShareWeights), left_part = rank * (kRowTile / kShareRows);
      const auto bring_right = [&](const Place& p, int step, u32 stage) {
        const int part = kShareWeights > 1 ? right_part : 0;
        load_right(ring + stage * kStageBytes + kLeftBytes + part * kStepBytes, &right, full + 8 * stage, p.batch, step,
                   p.channel_tile * kChannelTile + part);
      };
      Ring r = {0, 1};
      int ahead = 0;  // stages whose weights were loaded before the producers of the input were done
      if (RIGHT_IS_PACKED && first < kTiles) {
        const Place p = place_of(first, rank);
        ahead = min(kStages, end - begin);
        for (int i = 0; i < ahead; ++i) { barrier_expect(full + 8 * i, kStageBytes); bring_right(p, begin + i, i); }
      }
      grid_wait();
      if (kOneWave) grid_launch();
      for (int tile = first; tile < kTiles; tile += stride) {
        const Place p = place_of(tile, rank);
        const int part = kShareRows > 1 ? left_part : 0;
#pragma unroll 1
        for (int step = begin; step < end; ++step) {
          if (ahead > 0) --ahead;
          else { barrier_wait(empty + 8 * r.stage, r.parity); barrier_expect(full + 8 * r.stage, kStageBytes); bring_right(p, step, r.stage); }
          load_left(ring + r.stage * kStageBytes + part * kStepBytes, &left, full + 8 * r.stage, p.batch, step,
                    p.row_tile * kRowTile + part);
          r.next();
        }
      }
      if (!kOneWave) grid_launch();
    }
    __syncwarp();
    if (kSplit > 1) cluster_wait();
  } else {  // ---- consumers
    if (kProducerWarps == 4) more_registers<kConsumerRegisters>();
    MAKE_EPILOGUE
KEPT_ROWS    const u32 group = warp >> 2, quad = warp & 3;
    const int high = kPingPong ? 0 : group * kBlocks * 64;
    Ring r = {0, 0};
    u32 my_turn = group ^ 1;
    if (kPingPong && group == 1) r.skip(kSteps);
    if (!kEarly) grid_wait();
    for (int tile = first + (kPingPong ? (int)group * stride : 0); tile < kTiles; tile += kPingPong ? 2 * stride : stride) {
      const Place p = place_of(tile, rank);
      const int row0 = p.row_tile * kRowTile, channel0 = p.channel_tile * kChannelTile;
      constexpr int kMine = kUnits / kSplit;
      const int row_from = row0 + first_row(high, quad, lane), channel_from = channel0 + first_channel(high, quad, lane);
      const auto row_at = [&](const Unit& u) { return ROW_AT; };
      const auto channel_at = [&](const Unit& u) { return channel_from + plus_channel(u); };
      const u64 row_base = ROW_BASE;
      const int channel_base = CHANNEL_BASE;
      Fixed fixed[kEarly ? kMine : 1];
      Near near[kEarly ? 1 : kBuffers][kEarly ? kMine : kGang];
      const auto unit_at = [&](int v) { return unit_of(v + (kSplit > 1 ? (int)rank * kMine : 0)); };
      const auto bring_near = [&](int gang, Near* to) {
#pragma unroll
        for (int i = 0; i < kGang; ++i) {
          const Unit u = unit_at(gang * kGang + i);
          if (is_inside(row_at(u), channel_at(u)))
            load_near(e, to[i], ROW_FROM, channel_base + channel_from, channel_base + kChannels, ROW_PLUS, plus_channel(u));
        }
      };
BRING_ROWS      if (kEarly) {
#pragma unroll
        for (int v = 0; v < kMine; ++v)
          if (kWholeChannels || channel_at(unit_at(v)) < kChannels) load_fixed(e, fixed[v], channel_base + channel_at(unit_at(v))OF_LANE, channel_base + kChannels);
        grid_wait();
ROWS_EARLY#pragma unroll
        for (int v = 0; v < kMine; ++v) {
          const Unit u = unit_at(v);
          if (is_inside(row_at(u), channel_at(u)))
            load_near(e, near[0][v], ROW_FROM, channel_base + channel_from, channel_base + kChannels, ROW_PLUS, plus_channel(u));
        }
      } else if (kPrefetch && kSplit == 1) {  // what the epilogue reads moves towards L2 beside the products
#pragma unroll
        for (int i = 0; i < 2 * kBlocks; ++i) {
          const int row = row0 + high + 64 * (i / 2) + 16 * quad + (lane >> 2) + 8 * (i % 2);
          for (int c = (lane & 3) * 64; c < kChannelTile; c += 256)
            if (row < kRows && channel0 + c < kChannels) prefetch_near(e, row_base + row, channel_base + channel0 + c);
        }
      }
ROWS_WIDE      float sum[kBlocks][kSums];
      if (kPingPong) { barrier_wait(turn + 8 * group, my_turn); my_turn ^= 1; }
      u32 previous = 0;
#pragma unroll 1
      for (int step = begin; step < end; ++step) {
        barrier_wait(full + 8 * r.stage, r.parity);
        multiply_step(sum, ring + r.stage * kStageBytes, high, step > begin);
        wgmma_wait<1>();
        if (step > begin) release(empty + 8 * previous, lane);
        previous = r.stage;
        r.next();
      }
      if (kPingPong && lane == 0) barrier_arrive(turn + 8 * (group ^ 1));
      if (!kEarly) bring_near(0, near[0]);
ROWS_LATE      wgmma_wait<0>();
      release(empty + 8 * previous, lane);
      if (kPingPong) r.skip(kSteps);

      if (kSplit > 1) {  // every CTA of the cluster gets its share of all sums
        cluster_wait();
#pragma unroll
        for (int v = 0; v < kUnits; ++v) {
          float part[kLanes];
          gather(sum, unit_of(v), part);
          const u32 to = of_rank(reduce + ((rank * kMine + v % kMine) * kGroups * 128 + thread) * (kLanes * 4), v / kMine);
          give(to, of_rank(joined, v / kMine), part);
        }
        barrier_wait(joined, 0);  // a split tile is the CTA's only one
      }
GATHEREDDECLARE_ABOVE#pragma unroll
      for (int v = 0; v < kMine; ++v) {
        const Unit u = unit_at(v);
        float part[kLanes];
        if constexpr (kSplit > 1) {
#pragma unroll
          for (int l = 0; l < kLanes; ++l) part[l] = 0;
#pragma unroll
          for (int s = 0; s < kSplit; ++s) take(reduce + ((s * kMine + v) * kGroups * 128 + thread) * (kLanes * 4), part);
        } else {
          gather(sum, u, part);
        }
        const int gang = v / kGang;
        if (!kEarly && v % kGang == 0) {
          if (kBuffers == 2 && (gang + 1) * kGang < kMine) bring_near(gang + 1, near[(gang + 1) % kBuffers]);
          if (kBuffers == 1 && gang > 0) bring_near(gang, near[0]);
        }
        const int channel = channel_at(u), row = row_at(u);
        if (!kEarly && (v % (kSwap ? kUnits : 2 * kBlocks) == 0 || kSplit > 1) && (kWholeChannels || channel < kChannels))
          load_fixed(e, fixed[0], channel_base + channelOF_LANE, channel_base + kChannels);
DECLARE_KEPTFINISHGATHER_UNIT      }
    }
  }
  if (kCluster / kSplit > 1) { __syncwarp(); cluster_sync(); }  // nobody leaves while a peer can still write here
}
)CUDA";

}  // namespace

namespace {

// What stands in the body where rows have moments.
void print_moments(std::string& body, const EpilogueText& epilogue, bool swap) {
  const auto put = [&](std::string_view what, bool wanted, std::string_view text) {
    replace_all(body, what, wanted ? text : "");
  };
  const bool rows = epilogue.has_rows, keeps = epilogue.keeps;
  const std::string_view wide = R"(      const auto bring_rows = [&] {  // all of the tile, by all groups
        consumers_meet();  // those of the tile before have been read
#pragma unroll
        for (int i = 0; i < (kWide + 32 * kGroups - 1) / (32 * kGroups); ++i) {
          const int at = 32 * kGroups * i + (int)(thread >> 2);
          Rows rows;
          load_rows(e, rows, row_base + (row0 + at < kRows ? row0 + at : kRows - 1), lane & 3);
          if (at < kWide && (lane & 3) == 0) kept_rows[at] = rows;
        }
        consumers_meet();
      };
)";
  put("ROWS_WIDE", rows && swap, "      if (!kEarly) bring_rows();\n");
  put("KEPT_ROWS", rows && swap, "    Rows* const kept_rows = (Rows*)(shared + (turn + 16 - ring));\n");
  const std::string_view own = R"(      // Which rows a thread finishes: all of its own, or, of a split tile, its member's.
      constexpr int kRowUnits = kSets * kQuarters, kRowsMine = kSplit == 1 ? 2 * kBlocks : kMine > kRowUnits ? kMine / kRowUnits : 1;
      Rows rows[kRowsMine];
      const auto bring_rows = [&] {
#pragma unroll
        for (int i = 0; i < kRowsMine; ++i) {
          const int row = kSplit > 1 ? row_at(unit_at(i * kRowUnits)) : row0 + high + 64 * (i / 2) + 16 * quad + (lane >> 2) + 8 * (i % 2);
          load_rows(e, rows[i], row_base + (row < kRows ? row : kRows - 1), lane & 3);
        }
      };
)";
  put("BRING_ROWS", rows, swap ? wide : own);
  put("ROWS_EARLY", rows, "        bring_rows();\n");
  put("ROWS_LATE", rows && !swap, "      if (!kEarly) bring_rows();\n");
  put("DECLARE_KEPT", keeps, "        float kept[kLanes] = {};\n");
  put("ROWS_ARGUMENT", rows, swap ? "kept_rows[first_row(high, quad, lane) + plus_row(u)], "
                                  : "rows[kSplit > 1 ? v / kRowUnits : 2 * u.block + u.half], ");
  put("KEPT_ARGUMENT", keeps, ", kept");
  put("GATHER_UNIT", keeps, R"(        gather_unit(e, gathered[kSplit > 1 ? 0 : 2 * u.block + u.half], kept, kSplit > 1 ? v : u.set * kQuarters + u.quarter,
                    u.set * kQuarters + u.quarter, channel0 / kPartWidth, row_base + row, is_inside(row, channel), lane);
)");
  put("GATHERED", keeps, "      Gathered gathered[kSplit > 1 ? 1 : 2 * kBlocks];\n");
}

}  // namespace

std::string kernel_text(const PooledProduct& problem, const Plan& plan, const EpilogueText& epilogue,
                        const std::string& entry, bool one_wave) {
  const Product& p = problem.product;
  const Tile& t = plan.tile;
  std::string body(kBodyText);
  replace_all(body, "FINISH", problem.pool ? kPoolText : kFinishText);
  replace_all(body, "DECLARE_ABOVE", problem.pool ? "      float above[kLanes];\n" : "");
  replace_all(body, "OF_LANE", problem.pool ? " + (lane & 4)" : "");
  print_moments(body, epilogue, t.swap);
  // What a member of a split finishes is whole rows, or parts of one that follow each other.
  std::string units(kUnitText);
  replace_all(units, "ROW_BY_ROW", (epilogue.keeps || epilogue.has_rows) && t.split > 1
                                       ? "  return {u / (kSets * kQuarters) / 2, u / (kSets * kQuarters) % 2, "
                                         "u % (kSets * kQuarters) / kQuarters, u % kQuarters, 0};\n"
                                       : "");
  replace_all(body, "ENTRY", entry);
  replace_all(body, "PARAMETERS", epilogue.parameters);
  replace_all(body, "MAKE_EPILOGUE", epilogue.make);
  replace_all(body, "ROW_AT", t.boxes ? "pixel_of(row_from + plus_row(u))" : "row_from + plus_row(u)");
  replace_all(body, "ROW_FROM", t.boxes ? "row_base + row_at(u)" : "row_base + row_from");
  replace_all(body, "ROW_PLUS", t.boxes ? "0" : "plus_row(u)");
  replace_all(body, "RIGHT_IS_PACKED", plan.right == Source::kPacked ? "true" : "false");
  replace_all(body, "ROW_BASE", row_base_text(p, "p.batch"));
  replace_all(body, "CHANNEL_BASE", channel_base_text(p, "p.batch"));
  const bool left_outer = plan.left == Source::kDepthOuter, right_outer = plan.right == Source::kDepthOuter;
  return cat(kPrelude, async_text(), constants_text(p, plan, epilogue), "constexpr bool kOneWave = ", one_wave ? "true" : "false", ";\n",
             instruction_text("multiply", p.type, t.width,
                              (t.swap ? right_outer : left_outer) ? Operand::kSharedMnMajor
                                                                  : Operand::kSharedKMajor,
                              t.swap ? left_outer : right_outer),
             left_text(p, plan), right_text(p, plan), kStepText, epilogue.functions, units,
             p.epilogue.result_moments ? kMomentsText : std::string_view(),
             problem.pool ? cat(quads_text(), pool_text(problem, plan)) : std::string(), body);
}

}  // namespace planish::cuda::wgmma
