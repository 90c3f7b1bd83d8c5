#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/families/plain/tile.h"
#include "base/text.h"

namespace planish::cuda::plain {
namespace {

// Where the elements of both operands lie. A Row is what stays the same along the depth.
std::string address_text(const Product& p, const Tile& t) {
  const std::string type(memory_type(p.type));
  std::string out = cat("typedef ", type, " Element;\nstruct Row { const Element* base; int y, x; bool inside; };\n");
  if (p.is_conv) {
    const ConvGeometry& g = p.conv;
    out += cat("DEV Row left_row(const Element* left, int batch, int row) {\n  const int n = row / ", g.out_height * g.out_width,
               ", at = row % ", g.out_height * g.out_width, ";\n  return {left + (u64)n * ", g.height * g.width * g.channels,
               "u + batch * ", p.batches > 1 ? p.depth : 0, ", at / ", g.out_width, " * ", g.stride_y, " - ", g.top, ", at % ",
               g.out_width, " * ", g.stride_x, " - ", g.left, ", row < kRows};\n}\n",
               "DEV const Element* left_at(const Row& r, int k) {\n  const int tap = k / ", p.depth, ", c = k % ", p.depth,
               ", y = r.y + tap / ", g.taps_x, " * ", g.dilation_y, ", x = r.x + tap % ", g.taps_x, " * ", g.dilation_x,
               ";\n  if ((u32)y >= ", g.height, "u || (u32)x >= ", g.width, "u) return nullptr;\n  return r.base + ((u64)y * ",
               g.width, "u + x) * ", g.channels, "u + c;\n}\n");
  } else {
    out += batch_index_text("left_matrix", p.left, p.batch_dims);
    out += cat("DEV Row left_row(const Element* left, int batch, int row) {\n  return {left + (u64)left_matrix(batch) * ",
               p.rows * p.depth, "u + (u64)row * ", p.left.depth_inner ? p.depth : 1, "u, 0, 0, row < kRows};\n}\n",
               "DEV const Element* left_at(const Row& r, int k) { return r.base + (u64)k * ", p.left.depth_inner ? 1 : p.rows, "u; }\n");
  }
  const PackedRight packed = packed_right(p, t);
  const int64_t all = p.depth * p.taps();
  int64_t matrix = p.channels * all, channel = p.right.depth_inner ? all : 1, depth = p.right.depth_inner ? 1 : p.channels;
  if (p.right_constant) {
    matrix = (packed.depth_inner ? p.channels : all) * packed.pitch;
    channel = packed.depth_inner ? packed.pitch : 1;
    depth = packed.depth_inner ? 1 : packed.pitch;
    out += "DEV int right_matrix(int batch) { return batch; }\n";
  } else {
    out += batch_index_text("right_matrix", p.right, p.batch_dims);
  }
  return out + cat("DEV const Element* right_at(const Element* right, int batch, int channel, int k) {\n  return right + (u64)right_matrix(batch) * ",
                   matrix, "u + (u64)channel * ", channel, "u + (u64)k * ", depth, "u;\n}\n");
}

bool right_depth_inner(const Product& p, const Tile& t) {
  return p.right_constant ? packed_right(p, t).depth_inner : p.right.depth_inner;
}

std::string constants_text(const Product& p, const Tile& t) {
  const bool left_inner = p.is_conv || p.left.depth_inner, right_inner = right_depth_inner(p, t);
  const int64_t row_tiles = (p.rows + t.rows - 1) / t.rows, channel_tiles = (p.channels + t.channels - 1) / t.channels;
  const int64_t limit = right_inner && p.right_constant ? packed_right(p, t).pitch : p.depth * p.taps();
  const std::pair<const char*, int64_t> values[] = {
      {"kRows", p.rows}, {"kChannels", p.channels}, {"kDepth", p.depth * p.taps()}, {"kRightDepth", limit},
      {"kRowTile", t.rows}, {"kChannelTile", t.channels}, {"kSlice", t.depth}, {"kSlices", t.slices}, {"kSlab", t.slab()},
      {"kThreadRows", t.thread_rows}, {"kThreadChannels", t.thread_channels}, {"kThreads", t.threads()},
      {"kRowTiles", row_tiles}, {"kChannelTiles", channel_tiles}, {"kLeftVector", left_vector(p)},
      {"kRightVector", right_vector(p, t)}, {"kLeftInner", left_inner}, {"kRightInner", right_inner}};
  std::string out;
  for (const auto& [name, value] : values) out += cat("constexpr int ", name, " = ", value, ";\n");
  return out;
}

// Slabs from memory into registers, a vector a time.
constexpr std::string_view kFetchText = R"CUDA(
template <int kN> struct alignas(kN * sizeof(Element)) Vector { Element v[kN]; };
constexpr int kLeftLoads = (kRowTile * kSlab / kLeftVector + kThreads - 1) / kThreads;
constexpr int kRightLoads = (kChannelTile * kSlab / kRightVector + kThreads - 1) / kThreads;
// Place of a vector in the slab: threads follow what lies together in memory.
struct Spot { int outer, depth; };
DEV Spot left_spot(int i) {
  return kLeftInner ? Spot{i / (kSlab / kLeftVector), i % (kSlab / kLeftVector) * kLeftVector} : Spot{i % kRowTile, i / kRowTile};
}
DEV Spot right_spot(int i) {
  if (kRightInner) return {i / (kSlab / kRightVector), i % (kSlab / kRightVector) * kRightVector};
  return {i % (kChannelTile / kRightVector) * kRightVector, i / (kChannelTile / kRightVector)};
}
struct Slabs { Vector<kLeftVector> left[kLeftLoads]; Vector<kRightVector> right[kRightLoads]; };
DEV void fetch(Slabs& s, const Row (&rows)[kLeftLoads], const Element* right, int batch, int channel0, int k0) {
#pragma unroll
  for (int j = 0; j < kLeftLoads; ++j) {
    const int i = threadIdx.x + j * kThreads, k = k0 + left_spot(i).depth;
    const Element* p = i * kLeftVector < kRowTile * kSlab && rows[j].inside && k < kDepth ? left_at(rows[j], k) : nullptr;
    if (p) s.left[j] = *(const Vector<kLeftVector>*)p;
    else {
#pragma unroll
      for (int e = 0; e < kLeftVector; ++e) s.left[j].v[e] = 0;
    }
  }
#pragma unroll
  for (int j = 0; j < kRightLoads; ++j) {
    const int i = threadIdx.x + j * kThreads, k = k0 + right_spot(i).depth, channel = channel0 + right_spot(i).outer;
    const bool inside = i * kRightVector < kChannelTile * kSlab && k < (kRightInner ? kRightDepth : kDepth) && channel < kChannels;
    if (inside) s.right[j] = *(const Vector<kRightVector>*)right_at(right, batch, channel, k);
    else {
#pragma unroll
      for (int e = 0; e < kRightVector; ++e) s.right[j].v[e] = 0;
    }
  }
}
)CUDA";

// Multiply-add from f32 slabs [depth][rows] and [depth][channels].
constexpr std::string_view kMultiplyAddText = R"CUDA(
typedef float Word;
constexpr int kLeftPitch = kRowTile + 4, kRightPitch = kChannelTile + 4;
constexpr int kLeftWords = kSlab * kLeftPitch, kRightWords = kSlab * kRightPitch;
constexpr int kTilesAcross = kChannelTile / kThreadChannels, kPerSlice = kThreads / kSlices;
typedef float Sums[kThreadRows][kThreadChannels];
DEV void put_slabs(const Slabs& s, Word* left, Word* right) {
#pragma unroll
  for (int j = 0; j < kLeftLoads; ++j) {
    const int i = threadIdx.x + j * kThreads;
    if (i * kLeftVector < kRowTile * kSlab)
#pragma unroll
      for (int e = 0; e < kLeftVector; ++e) left[(left_spot(i).depth + e) * kLeftPitch + left_spot(i).outer] = TO_FLOAT(s.left[j].v[e]);
  }
#pragma unroll
  for (int j = 0; j < kRightLoads; ++j) {
    const int i = threadIdx.x + j * kThreads;
    if (i * kRightVector < kChannelTile * kSlab)
#pragma unroll
      for (int e = 0; e < kRightVector; ++e)
        right[(right_spot(i).depth + (kRightInner ? e : 0)) * kRightPitch + right_spot(i).outer + (kRightInner ? 0 : e)] = TO_FLOAT(s.right[j].v[e]);
  }
}
// Rows and channels of a thread come in runs of four, spread over the tile so that a warp reads all banks.
DEV int row_of(int i) { const int t = threadIdx.x % kPerSlice; return t / kTilesAcross * 4 + i / 4 * (kRowTile / (kThreadRows / 4)) + i % 4; }
DEV int channel_of(int j) { const int t = threadIdx.x % kPerSlice; return t % kTilesAcross * 4 + j / 4 * (kChannelTile / (kThreadChannels / 4)) + j % 4; }
DEV void multiply(Sums& sum, const Word* left, const Word* right) {
  const int from = threadIdx.x / kPerSlice * kSlice;
#pragma unroll
  for (int k = 0; k < kSlice; ++k) {
    float a[kThreadRows], b[kThreadChannels];
#pragma unroll
    for (int i = 0; i < kThreadRows; i += 4) {
      const float4 v = *(const float4*)(left + (from + k) * kLeftPitch + row_of(i));
      a[i] = v.x; a[i + 1] = v.y; a[i + 2] = v.z; a[i + 3] = v.w;
    }
#pragma unroll
    for (int j = 0; j < kThreadChannels; j += 4) {
      const float4 v = *(const float4*)(right + (from + k) * kRightPitch + channel_of(j));
      b[j] = v.x; b[j + 1] = v.y; b[j + 2] = v.z; b[j + 3] = v.w;
    }
#pragma unroll
    for (int i = 0; i < kThreadRows; ++i)
#pragma unroll
      for (int j = 0; j < kThreadChannels; ++j) sum[i][j] = fmaf(a[i], b[j], sum[i][j]);
  }
}
constexpr int kLanes = 4, kUnits = kThreadRows * kThreadChannels / 4;
DEV int unit_row(int u) { return row_of(u / (kThreadChannels / 4)); }
DEV int unit_channel(int u) { return channel_of(u % (kThreadChannels / 4) * 4); }
DEV float& unit_sum(Sums& sum, int u, int l) { return sum[u / (kThreadChannels / 4)][u % (kThreadChannels / 4) * 4 + l]; }
)CUDA";

// mma.sync m16n8k16 from slabs of 16-bit elements.
constexpr std::string_view kMmaText = R"CUDA(
typedef u16 Word;
// Slabs lie as they come: depth innermost, or depth outermost and turned by ldmatrix.
constexpr int kLeftPitch = (kLeftInner ? kSlab : kRowTile) + 8, kRightPitch = (kRightInner ? kSlab : kChannelTile) + 8;
constexpr int kLeftWords = (kLeftInner ? kRowTile : kSlab) * kLeftPitch, kRightWords = (kRightInner ? kChannelTile : kSlab) * kRightPitch;
constexpr int kTilesAcross = kChannelTile / kThreadChannels, kPerSlice = kThreads / kSlices;
constexpr int kHigh = kThreadRows / 16, kWide = kThreadChannels / 8;
typedef float Sums[kHigh][kWide][4];
DEV void put_slabs(const Slabs& s, Word* left, Word* right) {
#pragma unroll
  for (int j = 0; j < kLeftLoads; ++j) {
    const int i = threadIdx.x + j * kThreads; const Spot p = left_spot(i);
    if (i * kLeftVector < kRowTile * kSlab) *(Vector<kLeftVector>*)(left + (kLeftInner ? p.outer * kLeftPitch + p.depth : p.depth * kLeftPitch + p.outer)) = s.left[j];
  }
#pragma unroll
  for (int j = 0; j < kRightLoads; ++j) {
    const int i = threadIdx.x + j * kThreads; const Spot p = right_spot(i);
    if (i * kRightVector < kChannelTile * kSlab) *(Vector<kRightVector>*)(right + (kRightInner ? p.outer * kRightPitch + p.depth : p.depth * kRightPitch + p.outer)) = s.right[j];
  }
}
DEV u32 shared_at(const void* p) { return (u32)__cvta_generic_to_shared(p); }
DEV void load_four(u32 (&d)[4], u32 p) { asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]) : "r"(p) : "memory"); }
DEV void load_four_turned(u32 (&d)[4], u32 p) { asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]) : "r"(p) : "memory"); }
DEV void multiply_16x8(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.TYPE.TYPE.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
DEV int warp_in_slice() { return (int)(threadIdx.x % kPerSlice) / 32; }
DEV int warp_row() { return warp_in_slice() / kTilesAcross * kThreadRows; }
DEV int warp_channel() { return warp_in_slice() % kTilesAcross * kThreadChannels; }
DEV void multiply(Sums& sum, const Word* left, const Word* right) {
  const int from = threadIdx.x / kPerSlice * kSlice, lane = threadIdx.x & 31;
#pragma unroll
  for (int k = 0; k < kSlice; k += 16) {
    u32 a[kHigh][4];
#pragma unroll
    for (int i = 0; i < kHigh; ++i) {
      if (kLeftInner) load_four(a[i], shared_at(left + (warp_row() + 16 * i + lane % 16) * kLeftPitch + from + k + lane / 16 * 8));
      else load_four_turned(a[i], shared_at(left + (from + k + lane % 8 + lane / 16 * 8) * kLeftPitch + warp_row() + 16 * i + lane / 8 % 2 * 8));
    }
#pragma unroll
    for (int j = 0; j < kWide; j += 2) {  // 16 channels a time
      u32 b[4];
      if (kRightInner) load_four(b, shared_at(right + (warp_channel() + 8 * j + lane % 8 + lane / 16 * 8) * kRightPitch + from + k + lane / 8 % 2 * 8));
      else load_four_turned(b, shared_at(right + (from + k + lane % 16) * kRightPitch + warp_channel() + 8 * j + lane / 16 * 8));
#pragma unroll
      for (int i = 0; i < kHigh; ++i) {
        multiply_16x8(sum[i][j], a[i], b[0], b[1]);
        multiply_16x8(sum[i][j + 1], a[i], b[2], b[3]);
      }
    }
  }
}
constexpr int kLanes = 2, kUnits = kHigh * kWide * 2;
DEV int unit_row(int u) { return warp_row() + u / (2 * kWide) * 16 + u % 2 * 8 + (threadIdx.x & 31) / 4; }
DEV int unit_channel(int u) { return warp_channel() + u / 2 % kWide * 8 + (threadIdx.x & 3) * 2; }
DEV float& unit_sum(Sums& sum, int u, int l) { return sum[u / (2 * kWide)][u / 2 % kWide][u % 2 * 2 + l]; }
)CUDA";

constexpr std::string_view kBodyText = R"CUDA(
constexpr int kBufferBytes = (kLeftWords + kRightWords) * (int)sizeof(Word);
constexpr int kReduceBytes = kSlices > 1 ? (kSlices - 1) * kPerSlice * kUnits * kLanes * 4 : 0;
constexpr int kSharedBytes = 2 * kBufferBytes > kReduceBytes ? 2 * kBufferBytes : kReduceBytes;
static_assert(kSharedBytes <= 48 * 1024);
extern "C" __global__ void __launch_bounds__(kThreads) ENTRY(const Element* left, const Element* right PARAMETERS) {
  __shared__ __align__(16) unsigned char shared[kSharedBytes];
  const int tile = blockIdx.x % (kRowTiles * kChannelTiles), batch = blockIdx.x / (kRowTiles * kChannelTiles);
  const int row0 = tile / kChannelTiles * kRowTile, channel0 = tile % kChannelTiles * kChannelTile;
  MAKE_EPILOGUE
  grid_wait();
  Row rows[kLeftLoads];
#pragma unroll
  for (int j = 0; j < kLeftLoads; ++j) rows[j] = left_row(left, batch, row0 + left_spot(threadIdx.x + j * kThreads).outer);
  Sums sum = {};
  Slabs slabs;
  fetch(slabs, rows, right, batch, channel0, 0);
#pragma unroll 1
  for (int k = 0, buffer = 0; k < kDepth; k += kSlab, buffer ^= 1) {
    Word* to = (Word*)(shared + buffer * kBufferBytes);
    put_slabs(slabs, to, to + kLeftWords);
    __syncthreads();
    if (k + kSlab < kDepth) fetch(slabs, rows, right, batch, channel0, k + kSlab);
    multiply(sum, to, to + kLeftWords);
  }
  grid_launch();
  if (kSlices > 1) {  // all slices' sums into the first one's
    __syncthreads();
    float* parts = (float*)shared;
    const int slice = threadIdx.x / kPerSlice, at = threadIdx.x % kPerSlice;
    if (slice > 0)
#pragma unroll
      for (int u = 0; u < kUnits; ++u)
#pragma unroll
        for (int l = 0; l < kLanes; ++l) parts[((slice - 1) * kUnits * kLanes + u * kLanes + l) * kPerSlice + at] = unit_sum(sum, u, l);
    __syncthreads();
    if (slice > 0) return;
#pragma unroll
    for (int s = 1; s < kSlices; ++s)
#pragma unroll
      for (int u = 0; u < kUnits; ++u)
#pragma unroll
        for (int l = 0; l < kLanes; ++l) unit_sum(sum, u, l) += parts[((s - 1) * kUnits * kLanes + u * kLanes + l) * kPerSlice + at];
  }
  const u32 row_base = ROW_BASE;
  const int channel_base = CHANNEL_BASE;
#pragma unroll
  for (int u = 0; u < kUnits; ++u) {
    const int row = row0 + unit_row(u), channel = channel0 + unit_channel(u);
    if (row >= kRows || channel >= kChannels) continue;
    float part[kLanes];
#pragma unroll
    for (int l = 0; l < kLanes; ++l) part[l] = unit_sum(sum, u, l);
    Fixed fixed; Near near;
    load_fixed(e, fixed, channel_base + channel, channel_base + kChannels);
    load_near(e, near, row_base + row, channel_base + channel, channel_base + kChannels);
    finish(e, part, fixed, near, row_base + row, channel_base + channel, channel_base + kChannels);
  }
}
)CUDA";

}  // namespace

std::string kernel_text(const Product& p, const Tile& t, const EpilogueText& epilogue,
                        const std::string& entry) {
  std::string core(t.mma ? kMmaText : kMultiplyAddText), body(kBodyText);
  replace_all(core, "TYPE", p.type == ir::DataType::kBF16 ? "bf16" : "f16");
  replace_all(core, "TO_FLOAT", p.type == ir::DataType::kF32   ? ""
                                : p.type == ir::DataType::kF16 ? "f16_to_f32"
                                                               : "bf16_to_f32");
  replace_all(body, "ENTRY", entry);
  replace_all(body, "PARAMETERS", epilogue.parameters);
  replace_all(body, "MAKE_EPILOGUE", epilogue.make);
  replace_all(body, "ROW_BASE", row_base_text(p, "batch"));
  replace_all(body, "CHANNEL_BASE", channel_base_text(p, "batch"));
  return cat(kPrelude, constants_text(p, t), address_text(p, t), kFetchText, core, epilogue.functions, body);
}

}  // namespace planish::cuda::plain
