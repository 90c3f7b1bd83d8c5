// A convolution and the max pool behind it as one problem: what a kernel reads that makes both.
//
// Between them stands the convolution's own epilogue, whose result nobody else reads; behind the pool
// stands any Epilogue over pooled pixels. Problems without a pool are read, too, so that a family of
// convolutions asks once. The pool takes the values as they would lie in memory: rounded.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "backend/cuda/families/contraction/product.h"
#include "kernel/window.h"

namespace planish::cuda {

struct MaxPool {
  kernel::Window window;           // two dims, pads resolved, no dilation
  int64_t height = 1, width = 1;   // pooled pixels
  Epilogue behind;
};

struct PooledProduct {
  PooledProduct() = default;
  PooledProduct(Product alone) : product(std::move(alone)) {}  // without a pool

  Product product;           // with a pool, its epilogue's result is no result of the problem
  std::optional<MaxPool> pool;

  // Of what leaves the kernel.
  const Epilogue& last() const { return pool ? pool->behind : product.epilogue; }
};

// The stage of a max pool that reads what another stage gives.
std::optional<size_t> pool_stage(const kernel::Problem& problem);
// As product_of(), which takes problems without a pool.
Result<PooledProduct> pooled_product_of(const kernel::Problem& problem);
Result<PooledProduct> pooled_product_of_any_size(const kernel::Problem& problem);

// Where windows are 2 x 2, side by side and whole, and nothing stands behind the pool, and the convolution's
// epilogue neither falls anywhere nor reads what lies beside a pixel: that epilogue, of the largest sum of
// a window, in rows of pooled pixels. Channels are whole runs of 32.
Result<Epilogue> quads_epilogue(const PooledProduct& problem);

// The convolution's epilogue, kept where a pool follows, what stands behind the pool, and the arguments of
// both in order.
struct PooledText {
  EpilogueText first, behind;
  std::vector<KernelArg> args;
};
Result<PooledText> print_pooled(const PooledProduct& problem, const EpilogueStyle& style);

// The epilogue of a kernel that takes quads, or of one without a pool, `lanes` channels at a time there.
Result<EpilogueText> print_quads_or_rows(const PooledProduct& problem, int lanes);

// A word in a kernel's text, and what stands for it without a pool and with one.
struct PooledWord {
  std::string_view name, plain, pooled;
};
void put_words(std::string& text, std::span<const PooledWord> words, bool pooled);

// CUDA text: "DEV u32 max_two(u32, u32)" of pairs of 16-bit floats, NaN where one is NaN; "kLeast", a
// pair of minus infinities; "DEV u32 pack_two(float, float)", "DEV float low_of(u32)", "high_of".
std::string pairs_text(ir::DataType type);

// CUDA text of a 2 x 2 pool where an m64 block is 8 lines of 8 pixels, so that of a window one thread has the
// sums above each other and the next pixel's thread the others; each of the two finishes 4 of 8 channels:
//   pool_quads(e, above, below, fixed, row, lane, channel)
// by a warp together. `row`: the pooled pixel, -1: none; `fixed`: of channel + (lane & 4). The epilogue is
// printed for 4 lanes.
std::string_view quads_text();

}  // namespace planish::cuda
