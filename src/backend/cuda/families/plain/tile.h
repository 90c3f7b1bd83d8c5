// Contractions of every type on GPUs from sm_80 on: f32 by multiply-add, f16 and bf16 by mma.sync. What
// the Hopper family refuses (exact f32, rows that TMA cannot address, small groups) and what other GPUs
// run lands here; before sm_80 the families simt and element take it.
//
// A CTA makes a tile of rows x channels. It brings a slab of depth of both operands through registers
// into one of two buffers in shared memory while it computes from the other. With `slices` > 1 the
// slab is that many times deeper, groups of threads take a part of it each, and their sums are added
// through shared memory: parallelism for products of few outputs and much depth.
#pragma once
#include "backend/cuda/families/contraction/product.h"

namespace planish::cuda::plain {

struct Tile {
  int rows = 64, channels = 64, depth = 16;  // depth: of one slice
  int thread_rows = 4, thread_channels = 4;  // outputs of a thread; with mma: of a warp
  int slices = 1;
  bool mma = false;

  int threads() const {
    return slices * (rows / thread_rows) * (channels / thread_channels) * (mma ? 32 : 1);
  }
  int slab() const { return depth * slices; }
};

kernel::Tactic write(const Tile& tile);
Tile read(const kernel::Tactic& tactic);
std::vector<Tile> candidates(const Product& product, int sm_version, int sm_count);
double predict_us(const Product& product, const Tile& tile, const kernel::DeviceInfo& device);

// Elements of one load: along the depth (or the channels of a depth-outer right operand).
int left_vector(const Product& product);
int right_vector(const Product& product, const Tile& tile);

// Packed weights: [batch][tap and depth][channels, padded] for multiply-add, [batch][channel][tap and
// depth, padded] for mma.
struct PackedRight {
  bool depth_inner = false;
  int64_t pitch = 0;
};
PackedRight packed_right(const Product& product, const Tile& tile);
kernel::Blob pack_weights(const Product& product, const Tile& tile, const ir::Tensor& weights);

// Source of the kernel; parameters: left, right, then the epilogue's.
std::string kernel_text(const Product& product, const Tile& tile, const EpilogueText& epilogue,
                        const std::string& entry);
// Lanes of an epilogue call.
int lanes_of(const Tile& tile);

}  // namespace planish::cuda::plain
