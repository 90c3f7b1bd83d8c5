// Reading a problem as a plain product: C[b, q, p] = sum over k of A[b, q or p, k] B[b, k, p or q].
//
// Convolutions (any group count, rank and dilation), transposed convolutions, MatMul and Gemm. `p`
// is the side that lies innermost in the result's memory, so that threads write neighbours:
// channels of a channels-last convolution, positions of a row-major one. Each side's number splits
// into axes.
#pragma once
#include <string>
#include <vector>

#include "backend/cuda/families/element/element_emitter.h"
#include "kernel/window.h"

namespace planish::cuda {

enum class ProductKind : uint8_t { kConv, kConvTranspose, kMatMul, kGemm };

struct ProductView {
  ProductKind kind = ProductKind::kMatMul;
  int root = 0;  // stage number
  // Sizes of the axes of the batch (groups, or the batch dims), the rows (positions), the columns
  // (channels) and the sum, outermost first.
  std::vector<int64_t> batch, rows, columns, depth;
  bool columns_inner = true;   // p is the columns
  bool depth_inner_a = true;   // neighbours along the sum lie together in A (else along the rows)
  bool depth_inner_b = false;  // the same of B (else along the columns)
  kernel::Window window;       // of convolutions
  std::vector<int64_t> in;     // spatial dims of the input
  int64_t in_channels = 1, out_channels = 1;  // of one group
  bool channels_last = false;                 // depth is (taps, channels), else (channels, taps)
  // A transposed convolution whose kernels do not overlap: columns are (channels, taps), rows input
  // positions.
  bool disjoint = false;

  static int64_t count(const std::vector<int64_t>& sizes);
};

// kUnimplemented when the problem has no such root.
Result<ProductView> product_view(const kernel::Problem& problem);

// Coordinates from those of the view's axes. `tests` collects what must hold for the element to
// exist.
Coords operand_a(ElementEmitter& e, const ProductView& view, const Coords& batch, const Coords& row,
                 const Coords& depth, std::vector<std::string>& tests);
Coords operand_b(ElementEmitter& e, const ProductView& view, const Coords& batch,
                 const Coords& depth, const Coords& column);
Coords result_coords(ElementEmitter& e, const ProductView& view, const Coords& batch,
                     const Coords& row, const Coords& column);

}  // namespace planish::cuda
