// Attention on Hopper's tensor cores (sm_90a, f16 and bf16, heads of 64 or 128): a warpgroup takes 64
// queries of one head. Keys and values come in tiles of 128 by TMA, two in flight; scores stay in
// registers, the softmax runs along with the tiles, and the probabilities are the register operand of
// the second product, whose values lie as they came (depth outermost).
#include <algorithm>
#include <cmath>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/families/wgmma/device_text.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using ir::DataType;
using kernel::DeviceInfo;
using kernel::Problem;
using kernel::Tactic;

constexpr int64_t kKeyTile = 128, kSlab = 64;  // keys of a tile; columns of a swizzled box

// Where queries, keys or values lie: an operand, or columns of one whose Split stands before.
struct Place {
  int operand = -1;
  int64_t first_column = 0, pitch = 0;  // elements; a pitch of 0: dense
};

struct View {
  DataType type = DataType::kF16;
  Place q, k, v;
  int mask = -1;
  bool flat = false;  // [batch, sequence, heads * size], else [batch, heads, sequence, size]
  int64_t batch = 1, heads = 1, kv_heads = 1, queries = 1, keys = 1, size = 64;
  double scale = 1;
  bool causal = false;
  std::vector<int64_t> mask_steps;  // elements along batch, head, query; keys are dense

  int64_t slabs() const { return size / kSlab; }
  int64_t key_tiles() const { return (keys + kKeyTile - 1) / kKeyTile; }
  int64_t stages() const { return std::min<int64_t>(key_tiles(), 2); }
  int64_t query_tiles(int groups) const { return (queries + 64 * groups - 1) / (64 * groups); }
  int64_t shared_bytes(int groups) const {
    return slabs() * 8192 * groups + stages() * slabs() * 2 * kKeyTile * 128 + 64;
  }
};

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

TensorMapSpec map_of(const View& view, const Place& place, int64_t heads, int64_t rows, uint32_t box_rows) {
  TensorMapSpec map;
  map.place = {BufferKind::kOperand, place.operand, place.first_column * 2};
  map.dtype = view.type;
  const uint64_t inner = uint64_t(view.flat ? heads * view.size : view.size);
  const uint64_t pitch = place.pitch ? uint64_t(place.pitch) : inner;
  map.dims = {inner, uint64_t(rows), uint64_t(view.flat ? view.batch : view.batch * heads)};
  map.byte_strides = {pitch * 2, pitch * 2 * uint64_t(rows)};
  map.box = {uint32_t(kSlab), box_rows, 1};
  return map;
}

constexpr std::string_view kBodyText = R"CUDA(
constexpr int kQueryBytes = kSlabs * 8192, kTileBytes = kSlabs * 128 * 128;  // of a group; of keys or values
// Where a head's rows start in a map: column and matrix.
DEV int column_of(int head) { return kFlat ? head * kSlabs * 64 : 0; }
DEV int matrix_of(int image, int head, int heads) { return kFlat ? image : image * heads + head; }

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

extern "C" __global__ void __launch_bounds__(kGroups * 128, kResidents)
ENTRY(const __grid_constant__ TensorMap q, const __grid_constant__ TensorMap k, const __grid_constant__ TensorMap v,
      MASK_PARAMETER u16* __restrict__ out) {
  extern __shared__ __align__(1024) unsigned char shared[];
  const u32 thread = threadIdx.x, group = thread >> 7, warp = thread >> 5 & 3, lane = thread & 31;
  const u32 queries = shared_address(shared), keys = queries + kGroups * kQueryBytes, values = keys + kStages * kTileBytes;
  const u32 query_full = values + kStages * kTileBytes, key_full = query_full + 8, value_full = key_full + 8 * kStages;
  const int tile = blockIdx.x % kQueryTiles, head = blockIdx.x / kQueryTiles % kHeads, image = blockIdx.x / (kQueryTiles * kHeads);
  const int shared_head = head / (kHeads / kKvHeads), first_query = tile * 64 * kGroups;
  const int tiles = kCausal ? min(kKeyTiles, (first_query + 64 * kGroups + 127) / 128) : kKeyTiles;
  const auto bring = [&](int t) {
    const int stage = t % kStages, x = column_of(shared_head), z = matrix_of(image, shared_head, kKvHeads);
    barrier_expect(key_full + 8 * stage, kTileBytes);
    for (int s = 0; s < kSlabs; ++s) load_box(keys + stage * kTileBytes + s * 16384, &k, key_full + 8 * stage, x + 64 * s, t * 128, z);
    barrier_expect(value_full + 8 * stage, kTileBytes);
    for (int s = 0; s < kSlabs; ++s) load_box(values + stage * kTileBytes + s * 16384, &v, value_full + 8 * stage, x + 64 * s, t * 128, z);
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
    barrier_expect(query_full, kGroups * kQueryBytes);
    for (int g = 0; g < kGroups; ++g)
      for (int s = 0; s < kSlabs; ++s)
        load_box(queries + g * kQueryBytes + s * 8192, &q, query_full, column_of(head) + 64 * s, first_query + 64 * g, matrix_of(image, head, kHeads));
    for (int t = 0; t < kStages && t < tiles; ++t) bring(t);
    if (tiles <= kStages) grid_launch();
  }
  __syncthreads();
  const int row = first_query + 64 * group + 16 * warp + (lane >> 2);  // and row + 8
  float sum[kSlabs][32], top[2] = {-INFINITY_, -INFINITY_}, total[2] = {0, 0};
  barrier_wait(query_full, 0);
#pragma unroll 1
  for (int t = 0; t < tiles; ++t) {
    const int stage = t % kStages, parity = t / kStages & 1;
    float score[64];
    BRING_MASK
    barrier_wait(key_full + 8 * stage, parity);
    wgmma_begin();
#pragma unroll
    for (int s = 0; s < kSlabs; ++s)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        multiply_keys(score, matrix(queries + group * kQueryBytes + s * 8192, 1, 16, 1024) + 2 * i,
                      matrix(keys + stage * kTileBytes + s * 16384, 1, 16, 1024) + 2 * i, s + i > 0);
    wgmma_commit();
    wgmma_wait<0>();
    float now[2] = {top[0], top[1]};
#pragma unroll
    for (int j = 0; j < 16; ++j)
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        const int key = t * 128 + 8 * j + 2 * (lane & 3) + c;
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          float& x = score[4 * j + 2 * h + c];
          x *= kScale;
          MASK
          if (key >= kKeys || (kCausal && key > row + 8 * h)) x = -INFINITY_;
          now[h] = fmaxf(now[h], x);
        }
      }
    u32 weight[8][4];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      now[h] = fmaxf(now[h], __shfl_xor_sync(~0u, now[h], 1));
      now[h] = fmaxf(now[h], __shfl_xor_sync(~0u, now[h], 2));
      const float base = now[h] == -INFINITY_ ? 0.0f : now[h], shrink = exp2_fast(top[h] - base);
      float part = 0;
#pragma unroll
      for (int j = 0; j < 16; ++j) {
        const float a = exp2_fast(score[4 * j + 2 * h] - base), b = exp2_fast(score[4 * j + 2 * h + 1] - base);
        part += a + b;
        weight[j >> 1][(j & 1) * 2 + h] = PACK(a, b);
      }
      total[h] = total[h] * shrink + part;
      top[h] = now[h];
      if (t > 0)
#pragma unroll
        for (int s = 0; s < kSlabs; ++s)
#pragma unroll
          for (int i = 0; i < 8; ++i) { sum[s][4 * i + 2 * h] *= shrink; sum[s][4 * i + 2 * h + 1] *= shrink; }
    }
    barrier_wait(value_full + 8 * stage, parity);
    wgmma_begin();
#pragma unroll
    for (int s = 0; s < kSlabs; ++s)
#pragma unroll
      for (int i = 0; i < 8; ++i)
        multiply_values(sum[s], weight[i], matrix(values + stage * kTileBytes + s * 16384, 1, 16384, 1024) + 128 * i, t > 0 || i > 0);
    wgmma_commit();
    wgmma_wait<0>();
    if (t + kStages < tiles) {  // the stage is free when every warp is done with it
      __syncthreads();
      if (thread == 0) bring(t + kStages);
    }
  }
  if (tiles > kStages) grid_launch();
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    total[h] += __shfl_xor_sync(~0u, total[h], 1);
    total[h] += __shfl_xor_sync(~0u, total[h], 2);
    const float share = 1.0f / total[h];
    const int query = row + 8 * h;
    u16* to = out + (kFlat ? ((u64)image * kQueries + query) * (kHeads * kSlabs * 64) + head * kSlabs * 64
                           : ((u64)(image * kHeads + head) * kQueries + query) * (kSlabs * 64));
#pragma unroll
    for (int s = 0; s < kSlabs; ++s)
#pragma unroll
      for (int i = 0; i < 8; i += 4) {
        u32 d[4];
#pragma unroll
        for (int k = 0; k < 4; ++k) d[k] = PACK(sum[s][4 * (i + k) + 2 * h] * share, sum[s][4 * (i + k) + 2 * h + 1] * share);
        turn(d, lane);
        if (query < kQueries) *(V4*)(to + 64 * s + 8 * (i + (lane & 3))) = {d[0], d[1], d[2], d[3]};
      }
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
std::string bring_mask_text(const Problem& problem, const View& view) {
  if (!brings_mask(problem, view)) return "";
  return cat("u32 hidden[16];\n#pragma unroll\n    for (int j = 0; j < 16; ++j) {\n"
             "      const int pair = t * 128 + 8 * j + 2 * (lane & 3);\n"
             "      hidden[j] = pair < kKeys ? *(const u32*)(mask + (u64)image * ", view.mask_steps[0], "u + (u64)head * ",
             view.mask_steps[1], "u + pair) : 0;\n    }");
}

// Adds the mask's element, or drops the key where it is false. In units of log2.
std::string mask_text(const Problem& problem, const View& view) {
  if (view.mask < 0) return "";
  const DataType type = problem.type_of(view.mask).dtype;
  if (brings_mask(problem, view)) {
    const std::string_view half = type == DataType::kF16 ? "f16" : "bf16";
    return cat("x = fmaf(c ? ", half, "_high(hidden[j]) : ", half, "_low(hidden[j]), 1.44269504f, x);");
  }
  const std::string at = cat("mask[(u64)image * ", view.mask_steps[0], "u + (u64)head * ", view.mask_steps[1],
                             "u + (u64)(row + 8 * h) * ", view.mask_steps[2], "u + key]");
  const std::string inside = cat("key < kKeys", view.mask_steps[2] ? " && row + 8 * h < kQueries" : "");
  if (type == DataType::kBool) return cat("if (", inside, " && !", at, ") x = -INFINITY_;");
  return cat("if (", inside, ") x += (float)", load_text(type, at), " * 1.44269504f;");
}

std::string source_of(const Problem& problem, const View& view, int groups, int residents, const std::string& entry) {
  const std::pair<const char*, int64_t> constants[] = {
      {"kGroups", groups}, {"kSlabs", view.slabs()}, {"kStages", view.stages()}, {"kHeads", view.heads},
      {"kKvHeads", view.kv_heads}, {"kQueries", view.queries}, {"kKeys", view.keys}, {"kKeyTiles", view.key_tiles()},
      {"kQueryTiles", view.query_tiles(groups)}, {"kFlat", view.flat}, {"kCausal", view.causal},
      {"kResidents", residents}};
  std::string out = cat(kPrelude, wgmma::async_text());
  for (const auto& [name, value] : constants) out += cat("constexpr int ", name, " = ", value, ";\n");
  out += cat("constexpr float kScale = ", to_text(double(float(view.scale * 1.4426950408889634))), "f;\n",
             "#define INFINITY_ __uint_as_float(0x7f800000u)\n",
             "DEV float exp2_fast(float x) { float r; asm(\"ex2.approx.ftz.f32 %0, %1;\" : \"=f\"(r) : \"f\"(x)); return r; }\n");
  out += wgmma::instruction_text("multiply_keys", view.type, int(kKeyTile), wgmma::Operand::kSharedKMajor, false);
  out += wgmma::instruction_text("multiply_values", view.type, int(kSlab), wgmma::Operand::kRegisters, true);
  std::string body(kBodyText);
  replace(body, "MASK_PARAMETER", view.mask < 0 ? std::string()
                                                : cat("const ", memory_type(problem.type_of(view.mask).dtype), "* mask,"));
  replace(body, "BRING_MASK", bring_mask_text(problem, view));
  replace(body, "MASK", mask_text(problem, view));
  replace(body, "PACK", view.type == DataType::kF16 ? "pack_f16x2" : "pack_bf16x2");
  replace(body, "ENTRY", entry);
  return out + body;
}

class AttentionWgmma : public EmittedKernelDef {
 public:
  std::string name() const override { return "cuda.attention_wgmma"; }
  Status supports(const Problem& problem, const DeviceInfo& device) const override {
    PLANISH_ASSIGN_OR_RETURN(View view, view_of(problem));
    if (sm_version(device) != 90) return unsupported(cat("the device is ", device.isa, ", expected sm_90a"));
    if (view.batch * view.heads * view.query_tiles(1) > INT32_MAX) return unsupported("too many tiles");
    return ok_status();
  }
  std::vector<Tactic> tactics(const Problem& problem, const DeviceInfo&) const override {
    // One group with registers to spare, with as many CTAs as shared memory holds, and two groups.
    std::vector<Tactic> out = {{{{"g", 1}}}};
    auto view = view_of(problem);
    if (!view.ok()) return out;
    if (view->size == 64 && view->key_tiles() == 1) {
      out.push_back({{{"g", 1}, {"occ", 4}}});
      out.push_back({{{"g", 1}, {"occ", 5}}});
    }
    if (view->queries > 64) out.push_back({{{"g", 2}}});
    return out;
  }
  double predict_us(const Problem& problem, const Tactic& tactic, const DeviceInfo& device) const override {
    auto view = view_of(problem);
    if (!view.ok()) return 1e12;
    const View& v = *view;
    const int64_t groups = tactic.get("g", 1);
    const double tiles = double(v.batch * v.heads * v.query_tiles(int(groups)));
    const double per_tile = double(v.key_tiles()) * (1100 + 300.0 * double(v.slabs())) * (v.causal ? 0.6 : 1);
    const double waves = std::ceil(tiles / (sm_count(device) * (groups == 1 ? 3.0 : 1.5)));
    const double bytes = 2.0 * double(v.batch * v.size) * double(2 * v.heads * v.queries + 2 * v.kv_heads * v.keys);
    return std::max((1200 + waves * per_tile) / 1700, memory_us(device, bytes) - kLaunchUs) + kLaunchUs;
  }
  Result<EmittedStep> emit(const Problem& problem, const Tactic& tactic, const DeviceInfo&) const override {
    PLANISH_ASSIGN_OR_RETURN(View view, view_of(problem));
    const int groups = int(tactic.get("g", 1));
    const int residents = int(tactic.get("occ", groups > 1 ? 1 : view.size == 64 ? 3 : 2));
    EmittedKernel kernel;
    kernel.entry = cat("attention_", ir::name_of(view.type), "_d", view.size, "_q", 64 * groups, "_k128_sm90");
    kernel.source = source_of(problem, view, groups, residents, kernel.entry);
    kernel.grid.x = uint32_t(view.batch * view.heads * view.query_tiles(groups));
    kernel.block.x = uint32_t(128 * groups);
    kernel.dynamic_shared_bytes = view.shared_bytes(groups);
    kernel.maps = {map_of(view, view.q, view.heads, view.queries, 64),
                   map_of(view, view.k, view.kv_heads, view.keys, uint32_t(kKeyTile)),
                   map_of(view, view.v, view.kv_heads, view.keys, uint32_t(kKeyTile))};
    kernel.args = {KernelArg::tensor_map(0), KernelArg::tensor_map(1), KernelArg::tensor_map(2)};
    if (view.mask >= 0) kernel.args.push_back(KernelArg::operand(view.mask));
    kernel.args.push_back(KernelArg::result(0));
    kernel.programmatic_launch = true;
    EmittedStep step;
    step.kernels.push_back(std::move(kernel));
    return step;
  }
};

}  // namespace

void register_attention_wgmma(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<AttentionWgmma>());
}

}  // namespace planish::cuda
