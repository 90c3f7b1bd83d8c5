#include "backend/cuda/families/attention_wgmma/kernel_text.h"

#include <algorithm>

#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/families/wgmma/device_text.h"
#include "base/text.h"

namespace planish::cuda::attention {
namespace {

using ir::DataType;
using kernel::Problem;

// Of a stage: the mask of a tile of keys.
int64_t hidden_bytes(const Schedule& schedule) { return schedule.carries_mask ? kKeyTile * 2 : 0; }

int64_t key_stages(const View& view, const Schedule& schedule) {
  return schedule.ring ? schedule.ring : std::min<int64_t>(view.key_tiles(), 2);
}

// What both ways of walking share: one tile of keys against a group's queries, and the result's rows.
constexpr std::string_view kTileText = R"CUDA(
constexpr int kQueryBytes = kSlabs * 8192, kTileBytes = kSlabs * 128 * 128;  // of a group; of keys or values
struct Place { int tile, head, image; };
// The last image first: of operands larger than L2 that is what is still there.
DEV Place place_of(int item) {
  return {item % kQueryTiles, item / kQueryTiles % kHeads, kItems / (kQueryTiles * kHeads) - 1 - item / (kQueryTiles * kHeads)};
}
DEV int tiles_of(const Place& p) { return kCausal ? min(kKeyTiles, ((p.tile + 1) * 64 * kGroups + 127) / 128) : kKeyTiles; }
// Where a head's rows start in a map: column and matrix.
DEV int column_of(int head) { return kFlat ? head * kSlabs * 64 : 0; }
DEV int matrix_of(int image, int head, int heads) { return kFlat ? image : image * heads + head; }

DEV void bring_queries(const TensorMap* q, const Place& p, u32 to, u32 full) {
  barrier_expect(full, kGroups * kQueryBytes);
  for (int g = 0; g < kGroups; ++g)
    for (int s = 0; s < kSlabs; ++s)
      load_box(to + g * kQueryBytes + s * 8192, q, full, column_of(p.head) + 64 * s, (p.tile * kGroups + g) * 64,
               matrix_of(p.image, p.head, kHeads));
}
// A tile of keys, or of values; `more` bytes come to the same barrier.
DEV void bring_tile(const TensorMap* map, const Place& p, int t, u32 to, u32 full, u32 more = 0) {
  const int head = p.head / (kHeads / kKvHeads);
  barrier_expect(full, kTileBytes + more);
  for (int s = 0; s < kSlabs; ++s)
    load_box(to + s * 16384, map, full, column_of(head) + 64 * s, t * 128, matrix_of(p.image, head, kKvHeads));
}
CARRIED_MASK

// Lane q of a quad has words q of four rows of 16 bytes and gets the four words of row q.
DEV void turn(u32 (&d)[4], u32 lane) {
#pragma unroll
  for (int bit = 1; bit <= 2; bit *= 2) {
    const bool upper = lane & bit;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (i & bit) continue;
      const u32 got = __shfl_xor_sync(~0u, upper ? d[i] : d[i + bit], bit);
      if (upper) d[i] = got;
      else d[i + bit] = got;
    }
  }
}

// A thread's part of a group's result: rows `row` and `row` + 8. Maxima are in units of 1 / kUnit of log2.
struct Sums { float sum[kSlabs][32], top[2], total[2]; };
DEV void clear(Sums& r) { r.top[0] = r.top[1] = -INFINITY_; r.total[0] = r.total[1] = 0; }

// One tile of keys: scores, weights, and their share of the result. The caller has waited for the keys.
DEV void attend(Sums& r, u32 queries, u32 keys, u32 values, u32 value_full, u32 parity, const Place& p, int t, int row,
                u32 lane SEEN_PARAMETER) {
  float score[64];
  BRING_MASK
  wgmma_begin();
#pragma unroll
  for (int s = 0; s < kSlabs; ++s)
#pragma unroll
    for (int i = 0; i < 4; ++i)
      multiply_keys(score, matrix(queries + s * 8192, 1, 16, 1024) + 2 * i, matrix(keys + s * 16384, 1, 16, 1024) + 2 * i, s + i > 0);
  wgmma_commit();
  SCORES
  u32 weight[8][4];
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    now[h] = fmaxf(now[h], __shfl_xor_sync(~0u, now[h], 1));
    now[h] = fmaxf(now[h], __shfl_xor_sync(~0u, now[h], 2));
    const float base = now[h] == -INFINITY_ ? 0.0f : now[h] * kUnit, shrink = exp2_fast(fmaf(r.top[h], kUnit, -base));
    float part = 0;
#pragma unroll
    for (int j = 0; j < 16; ++j) {
      const float a = exp2_fast(fmaf(score[4 * j + 2 * h], UNIT, -base)), b = exp2_fast(fmaf(score[4 * j + 2 * h + 1], UNIT, -base));
      part += a + b;
      weight[j >> 1][(j & 1) * 2 + h] = PACK(a, b);
    }
    r.total[h] = r.total[h] * shrink + part;
    r.top[h] = now[h];
    if (t > 0)
#pragma unroll
      for (int s = 0; s < kSlabs; ++s)
#pragma unroll
        for (int i = 0; i < 8; ++i) { r.sum[s][4 * i + 2 * h] *= shrink; r.sum[s][4 * i + 2 * h + 1] *= shrink; }
  }
  barrier_wait(value_full, parity);
  wgmma_begin();
#pragma unroll
  for (int s = 0; s < kSlabs; ++s)
#pragma unroll
    for (int i = 0; i < 8; ++i)
      multiply_values(r.sum[s], weight[i], matrix(values + s * 16384, 1, 16384, 1024) + 128 * i, t > 0 || i > 0);
  wgmma_commit();
  wgmma_wait<0>();
}

DEV void put_rows(Sums& r, const Place& p, int row, u32 lane, u16* out) {
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    r.total[h] += __shfl_xor_sync(~0u, r.total[h], 1);
    r.total[h] += __shfl_xor_sync(~0u, r.total[h], 2);
    const float share = 1.0f / r.total[h];
    const int query = row + 8 * h;
    u16* to = out + (kFlat ? ((u64)p.image * kQueries + query) * (kHeads * kSlabs * 64) + p.head * kSlabs * 64
                           : ((u64)(p.image * kHeads + p.head) * kQueries + query) * (kSlabs * 64));
#pragma unroll
    for (int s = 0; s < kSlabs; ++s)
#pragma unroll
      for (int i = 0; i < 8; i += 4) {
        u32 d[4];
#pragma unroll
        for (int k = 0; k < 4; ++k) d[k] = PACK(r.sum[s][4 * (i + k) + 2 * h] * share, r.sum[s][4 * (i + k) + 2 * h + 1] * share);
        turn(d, lane);
        if (query < kQueries) *(V4*)(to + 64 * s + 8 * (i + (lane & 3))) = {d[0], d[1], d[2], d[3]};
      }
  }
}
)CUDA";

// Behind the start of the scores' products: their ends, and the maxima of rows so far.
constexpr std::string_view kScoresText = R"CUDA(wgmma_wait<0>();
  float now[2] = {r.top[0], r.top[1]};
#pragma unroll
  for (int j = 0; j < 16; ++j)
#pragma unroll
    for (int c = 0; c < 2; ++c) {
      const int key = t * 128 + 8 * j + 2 * (lane & 3) + c;
      MASK_OF_KEY
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        float& x = score[4 * j + 2 * h + c];
        SCALE
        if (key >= kKeys || (kCausal && key > row + 8 * h)) x = -INFINITY_;
        now[h] = fmaxf(now[h], x);
      }
    })CUDA";

// A tile of the mask, which all queries of a head share, comes with the keys.
constexpr std::string_view kCarriedMaskText = R"CUDA(
DEV void bring_keys(const TensorMap* map, const u16* mask, const Place& p, int t, u32 to, u32 hidden, u32 full) {
  const u32 bytes = min(128, kKeys - t * 128) * 2;
  bring_tile(map, p, t, to, full, bytes);
  load_bytes(hidden, mask + (u64)p.image * kMaskOfImage + (u64)p.head * kMaskOfHead + t * 128, bytes, full);
}
// Of the warp: whether a tile of the mask is anything but zeros.
DEV bool hides_any(u32 hidden, int t, u32 lane) {
  u32 d[4] = {0, 0, 0, 0};
  if (lane < 16 && t * 128 + 8 * lane < kKeys)
    asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]) : "r"(hidden + 16 * lane) : "memory");
  return __any_sync(~0u, ((d[0] | d[1] | d[2] | d[3]) & 0x7fff7fff) != 0);
}
DEV u32 hidden_pair(u32 at) { u32 d; asm volatile("ld.shared.u32 %0, [%1];" : "=r"(d) : "r"(at) : "memory"); return d; }
)CUDA";
constexpr std::string_view kCarriedScoresText = R"CUDA(// Many tiles hide nothing: their scores stay as they are, and the exponent scales them.
  const bool hides = hides_any(hidden, t, lane);
  const float unit = hides ? kUnit : kScale;
  wgmma_wait<0>();
  float now[2] = {-INFINITY_, -INFINITY_};
  if (hides) {
#pragma unroll
    for (int j = 0; j < 16; ++j) {
      const u32 pair = hidden_pair(hidden + 16 * j + 4 * (lane & 3));
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        const int key = t * 128 + 8 * j + 2 * (lane & 3) + c;
        const float add = c ? HALF_high(pair) : HALF_low(pair);
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          float& x = score[4 * j + 2 * h + c];
          x = fmaf(x, kPlainScale, add);
          if (key >= kKeys || (kCausal && key > row + 8 * h)) x = -INFINITY_;
          now[h] = fmaxf(now[h], x);
        }
      }
    }
  } else {
#pragma unroll
    for (int j = 0; j < 16; ++j)
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        const int key = t * 128 + 8 * j + 2 * (lane & 3) + c;
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          float& x = score[4 * j + 2 * h + c];
          if (key >= kKeys || (kCausal && key > row + 8 * h)) x = -INFINITY_;
          now[h] = fmaxf(now[h], x);
        }
      }
  }
#pragma unroll
  for (int h = 0; h < 2; ++h) now[h] = fmaxf(r.top[h], hides ? now[h] : now[h] * kPlainScale);)CUDA";

constexpr std::string_view kSingleText = R"CUDA(
extern "C" __global__ void __launch_bounds__(kGroups * 128, kResidents)
ENTRY(const __grid_constant__ TensorMap q, const __grid_constant__ TensorMap k, const __grid_constant__ TensorMap v MASK_PARAMETER,
      u16* __restrict__ out) {
  extern __shared__ __align__(1024) unsigned char shared[];
  const u32 thread = threadIdx.x, group = thread >> 7, warp = thread >> 5 & 3, lane = thread & 31;
  const u32 queries = shared_address(shared), keys = queries + kGroups * kQueryBytes, values = keys + kStages * kTileBytes;
  const u32 hidden = values + kStages * kTileBytes, query_full = hidden + kStages * kHiddenBytes, key_full = query_full + 8, value_full = key_full + 8 * kStages;
  const Place p = place_of(blockIdx.x);
  const int tiles = tiles_of(p);
  const auto bring = [&](int t) {
    const int stage = t % kStages;
    BRING_KEYS(stage)
    bring_tile(&v, p, t, values + stage * kTileBytes, value_full + 8 * stage);
  };
  if (thread == 0) {
    if (queries & 1023) __trap();
    barrier_init(query_full, 1);
    for (int i = 0; i < kStages; ++i) { barrier_init(key_full + 8 * i, 1); barrier_init(value_full + 8 * i, 1); }
    barrier_init_fence();
    prefetch_map(&q); prefetch_map(&k); prefetch_map(&v);
  }
  grid_wait();
  if (thread == 0) {
    bring_queries(&q, p, queries, query_full);
    for (int t = 0; t < kStages && t < tiles; ++t) bring(t);
    if (tiles <= kStages) grid_launch();
  }
  __syncthreads();
  const int row = (p.tile * kGroups + (int)group) * 64 + 16 * warp + (lane >> 2);
  Sums r;
  clear(r);
  barrier_wait(query_full, 0);
#pragma unroll 1
  for (int t = 0; t < tiles; ++t) {
    const int stage = t % kStages, parity = t / kStages & 1;
    barrier_wait(key_full + 8 * stage, parity);
    attend(r, queries + group * kQueryBytes, keys + stage * kTileBytes, values + stage * kTileBytes, value_full + 8 * stage, parity,
           p, t, row, lane SEEN_ARGUMENT(stage));
    if (t + kStages < tiles) {  // the stage is free when every warp is done with it
      __syncthreads();
      if (thread == 0) bring(t + kStages);
    }
  }
  if (tiles > kStages) grid_launch();
  put_rows(r, p, row, lane, out);
}
)CUDA";

constexpr std::string_view kRingText = R"CUDA(
// Position in a ring, and the parity of the phase that a reader waits for there.
struct Turn {
  u32 stage, parity;
  __device__ __forceinline__ void next(u32 stages) { if (++stage == stages) { stage = 0; parity ^= 1; } }
};

extern "C" __global__ void __launch_bounds__(kTeams * kGroups * 128 + kProducerWarps * 32, kResidents)
ENTRY(const __grid_constant__ TensorMap q, const __grid_constant__ TensorMap k, const __grid_constant__ TensorMap v MASK_PARAMETER,
      u16* __restrict__ out) {
  extern __shared__ __align__(1024) unsigned char shared[];
  const u32 thread = threadIdx.x, warp = __shfl_sync(~0u, thread >> 5, 0), lane = thread & 31;
  constexpr int kConsumerWarps = kTeams * kGroups * 4, kTeamBytes = kStages * (kGroups * kQueryBytes + 2 * kTileBytes);
  const u32 team = warp < kConsumerWarps ? warp / (4 * kGroups) : (warp - kConsumerWarps) % kTeams;
  const u32 queries = shared_address(shared) + team * kTeamBytes, keys = queries + kStages * kGroups * kQueryBytes;
  const u32 values = keys + kStages * kTileBytes;
  const u32 hidden = shared_address(shared) + kTeams * kTeamBytes + team * kStages * kHiddenBytes;
  const u32 query_full = shared_address(shared) + kTeams * (kTeamBytes + kStages * kHiddenBytes) + team * 40 * kStages;
  const u32 query_empty = query_full + 8 * kStages, key_full = query_empty + 8 * kStages, value_full = key_full + 8 * kStages, empty = value_full + 8 * kStages;
  const int first = blockIdx.x * kTeams + team, stride = gridDim.x * kTeams;
  if (warp >= kConsumerWarps && warp < kConsumerWarps + kTeams && lane == 0) {
    if (queries & 1023) __trap();
    for (int i = 0; i < kStages; ++i) {
      barrier_init(query_full + 8 * i, 1); barrier_init(key_full + 8 * i, 1); barrier_init(value_full + 8 * i, 1);
      barrier_init(query_empty + 8 * i, 4 * kGroups); barrier_init(empty + 8 * i, 4 * kGroups);
    }
    barrier_init_fence();
  }
  __syncthreads();
  if (warp >= kConsumerWarps) {  // ---- producers
    if (kProducerWarps == 4) fewer_registers<24>();
    if (warp < kConsumerWarps + kTeams && lane == 0) {
      prefetch_map(&q); prefetch_map(&k); prefetch_map(&v);
      grid_wait();
      Turn head = {0, 1}, tile = {0, 1};
      for (int item = first; item < kItems; item += stride) {
        const Place p = place_of(item);
        const int tiles = tiles_of(p);
        barrier_wait(query_empty + 8 * head.stage, head.parity);
        bring_queries(&q, p, queries + head.stage * kGroups * kQueryBytes, query_full + 8 * head.stage);
        head.next(kStages);
        for (int t = 0; t < tiles; ++t) {
          barrier_wait(empty + 8 * tile.stage, tile.parity);
          BRING_KEYS(tile.stage)
          bring_tile(&v, p, t, values + tile.stage * kTileBytes, value_full + 8 * tile.stage);
          tile.next(kStages);
        }
      }
      grid_launch();
    }
    return;
  }
  if (kProducerWarps == 4) more_registers<kConsumerRegisters>();
  grid_wait();
  const u32 group = warp / 4 % kGroups;
  Turn head = {0, 0}, tile = {0, 0};
#pragma unroll 1
  for (int item = first; item < kItems; item += stride) {
    const Place p = place_of(item);
    const int tiles = tiles_of(p), row = (p.tile * kGroups + (int)group) * 64 + 16 * (warp & 3) + (lane >> 2);
    Sums r;
    clear(r);
    barrier_wait(query_full + 8 * head.stage, head.parity);
#pragma unroll 1
    for (int t = 0; t < tiles; ++t) {
      barrier_wait(key_full + 8 * tile.stage, tile.parity);
      attend(r, queries + (head.stage * kGroups + group) * kQueryBytes, keys + tile.stage * kTileBytes,
             values + tile.stage * kTileBytes, value_full + 8 * tile.stage, tile.parity, p, t, row, lane SEEN_ARGUMENT(tile.stage));
      if (lane == 0) barrier_arrive(empty + 8 * tile.stage);
      tile.next(kStages);
    }
    if (lane == 0) barrier_arrive(query_empty + 8 * head.stage);
    head.next(kStages);
    put_rows(r, p, row, lane, out);
  }
}
)CUDA";

void replace(std::string& text, std::string_view what, std::string_view with) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
}

// A mask of 16-bit pairs that all queries of a head share is read a tile at a time, ahead of the scores.
bool brings_mask(const Problem& problem, const View& view) {
  if (view.mask < 0) return false;
  const DataType type = problem.type_of(view.mask).dtype;
  return (type == DataType::kF16 || type == DataType::kBF16) && view.mask_steps[2] == 0 && view.keys % 2 == 0 &&
         view.mask_steps[0] % 2 == 0 && view.mask_steps[1] % 2 == 0;
}
std::string_view half_of(const Problem& problem, const View& view) {
  return problem.type_of(view.mask).dtype == DataType::kF16 ? "f16" : "bf16";
}
std::string bring_mask_text(const Problem& problem, const View& view) {
  if (!brings_mask(problem, view)) return "";
  return cat("u32 hidden[16];\n#pragma unroll\n  for (int j = 0; j < 16; ++j) {\n"
             "    const int pair = t * 128 + 8 * j + 2 * (lane & 3);\n"
             "    hidden[j] = pair < kKeys ? *(const u32*)(mask + (u64)p.image * ", view.mask_steps[0], "u + (u64)p.head * ",
             view.mask_steps[1], "u + pair) : 0;\n  }");
}
std::string mask_of_key_text(const Problem& problem, const View& view) {
  if (!brings_mask(problem, view)) return "";
  const std::string_view half = half_of(problem, view);
  return cat("const float add = (c ? ", half, "_high(hidden[j]) : ", half, "_low(hidden[j])) * 1.44269504f;");
}

// Scores to units of log2; adds the mask's element, or drops the key where it is false.
std::string scale_text(const Problem& problem, const View& view) {
  if (view.mask < 0) return view.scale > 0 ? "" : "x *= kScale;";
  if (brings_mask(problem, view)) return "x = fmaf(x, kScale, add);";
  const DataType type = problem.type_of(view.mask).dtype;
  const std::string at = cat("mask[(u64)p.image * ", view.mask_steps[0], "u + (u64)p.head * ", view.mask_steps[1],
                             "u + (u64)(row + 8 * h) * ", view.mask_steps[2], "u + key]");
  const std::string inside = cat("key < kKeys", view.mask_steps[2] ? " && row + 8 * h < kQueries" : "");
  if (type == DataType::kBool) return cat("x *= kScale;\n        if (", inside, " && !", at, ") x = -INFINITY_;");
  return cat("x *= kScale;\n        if (", inside, ") x += (float)", load_text(type, at), " * 1.44269504f;");
}

std::string constants_text(const View& view, const Schedule& schedule) {
  const std::pair<const char*, int64_t> constants[] = {
      {"kGroups", schedule.groups}, {"kSlabs", view.slabs()}, {"kStages", key_stages(view, schedule)},
      {"kHeads", view.heads}, {"kKvHeads", view.kv_heads}, {"kQueries", view.queries}, {"kKeys", view.keys},
      {"kKeyTiles", view.key_tiles()}, {"kQueryTiles", view.query_tiles(schedule.groups)},
      {"kItems", view.items(schedule.groups)}, {"kFlat", view.flat}, {"kCausal", view.causal},
      {"kResidents", schedule.residents}, {"kProducerWarps", schedule.producer_warps()},
      {"kTeams", schedule.teams}, {"kHiddenBytes", hidden_bytes(schedule)},
      {"kConsumerRegisters", schedule.consumer_registers()}};
  std::string out;
  for (const auto& [name, value] : constants) out += cat("constexpr int ", name, " = ", value, ";\n");
  // Without a mask the exponent takes the scale in; that of a maximum needs a positive one. With one that is
  // carried maxima are as the operator has them.
  return cat(out, "constexpr float kScale = ", to_text(double(float(view.scale * 1.4426950408889634))),
             "f;\nconstexpr float kUnit = ", schedule.carries_mask ? "1.44269504f" : view.mask < 0 && view.scale > 0 ? "kScale" : "1", ";\n",
             schedule.carries_mask ? cat("constexpr float kPlainScale = ", to_text(double(float(view.scale))), "f;\n") : std::string(),
             "#define INFINITY_ __uint_as_float(0x7f800000u)\n",
             "DEV float exp2_fast(float x) { float r; asm(\"ex2.approx.ftz.f32 %0, %1;\" : \"=f\"(r) : \"f\"(x)); return r; }\n");
}

}  // namespace

int64_t shared_bytes(const View& view, const Schedule& schedule) {
  const int64_t queries = view.slabs() * 8192 * schedule.groups, tile = view.slabs() * kKeyTile * 128;
  if (schedule.ring) return schedule.teams * schedule.ring * (queries + 2 * tile + hidden_bytes(schedule) + 40);
  return queries + key_stages(view, schedule) * (2 * tile + hidden_bytes(schedule)) + 64;
}

bool can_carry_mask(const kernel::Problem& problem, const View& view) {
  return brings_mask(problem, view) && view.scale > 0 && view.keys % 8 == 0 && view.mask_steps[0] % 8 == 0 &&
         view.mask_steps[1] % 8 == 0;
}

std::string kernel_text(const kernel::Problem& problem, const View& view, const Schedule& schedule,
                        const std::string& entry) {
  const bool carried = schedule.carries_mask;
  std::string body = cat(kTileText, schedule.ring ? kRingText : kSingleText);
  const std::string parameter =
      view.mask < 0 ? std::string() : cat(", const ", memory_type(problem.type_of(view.mask).dtype), "* mask");
  replace(body, "MASK_PARAMETER", parameter);
  replace(body, "SEEN_PARAMETER", carried ? ", u32 hidden" : parameter);
  for (const std::string_view stage : {"stage", "tile.stage"}) {
    replace(body, cat("SEEN_ARGUMENT(", stage, ")"),
            carried ? cat(", hidden + ", stage, " * kHiddenBytes") : std::string(view.mask < 0 ? "" : ", mask"));
    replace(body, cat("BRING_KEYS(", stage, ")"),
            carried ? cat("bring_keys(&k, mask, p, t, keys + ", stage, " * kTileBytes, hidden + ", stage,
                          " * kHiddenBytes, key_full + 8 * ", stage, ");")
                    : cat("bring_tile(&k, p, t, keys + ", stage, " * kTileBytes, key_full + 8 * ", stage, ");"));
  }
  replace(body, "CARRIED_MASK", carried ? cat("constexpr int kMaskOfImage = ", view.mask_steps[0], ", kMaskOfHead = ",
                                              view.mask_steps[1], ";", kCarriedMaskText)
                                        : std::string());
  replace(body, "SCORES", carried ? kCarriedScoresText : kScoresText);
  replace(body, "UNIT", carried ? "unit" : "kUnit");
  if (carried) replace(body, "HALF", half_of(problem, view));
  replace(body, "BRING_MASK", carried ? std::string() : bring_mask_text(problem, view));
  replace(body, "MASK_OF_KEY", mask_of_key_text(problem, view));
  replace(body, "SCALE", scale_text(problem, view));
  replace(body, "PACK", view.type == DataType::kF16 ? "pack_f16x2" : "pack_bf16x2");
  replace(body, "ENTRY", entry);
  return cat(kPrelude, wgmma::async_text(), constants_text(view, schedule),
             wgmma::instruction_text("multiply_keys", view.type, int(kKeyTile), wgmma::Operand::kSharedKMajor, false),
             wgmma::instruction_text("multiply_values", view.type, int(kSlab), wgmma::Operand::kRegisters, true), body);
}

}  // namespace planish::cuda::attention
