// Matmul: a fused product as cuBLASLt sees it, column by column.
//
// Our row-major [row][channel] is its column-major channels x rows, so that its A is our right operand
// and its B our left one; a bias per row of its result is our bias per channel. Descriptors of layouts are
// made once; the operation's, which holds the bias's address, with each launch.
#pragma once
#include <memory>
#include <vector>

#include "backend/cuda/library/cublaslt.h"
#include "backend/cuda/library/fused_product.h"

namespace planish::cuda::cublaslt {

// One matrix of an operand, and how far its matrices lie apart (elements; 0: there is one).
struct Matrix {
  int64_t rows = 0, columns = 0, step = 0;
  bool transposed = false;
};

struct Shape {
  FusedProduct fused;
  Matrix a, b, d;
  int64_t batches = 1;
};

// kUnsupported: what of the problem is no matrix product of cuBLASLt's.
Result<Shape> shape_of(const kernel::Problem& problem);

struct Proposal {
  Algo algo;
  bool tensor_cores = false;
};

class Matmul {
 public:
  // `tf32`: f32 operands may be rounded to it.
  static Result<Matmul> make(const CublasLt& library, Handle handle, Shape shape, bool tf32);
  Matmul(Matmul&&) = default;

  // The library's proposals, best first, that sum in f32 and use tensor cores for f32 only when `tf32`.
  Result<std::vector<Proposal>> proposals(int most) const;
  // Scratch bytes of an algorithm; kUnsupported when it is none for this product here.
  Result<int64_t> workspace_bytes(const Algo& algo) const;
  Result<bool> uses_tensor_cores(const Algo& algo) const;
  Status run(const Algo& algo, const kernel::RunArgs& args, void* workspace, size_t workspace_bytes) const;

 private:
  struct Destroy {
    int (*destroy)(Descriptor);
    void operator()(void* descriptor) const { destroy(descriptor); }
  };
  using Owned = std::unique_ptr<void, Destroy>;

  Matmul(const CublasLt& library, Handle handle, Shape shape, bool tf32)
      : library_(&library), handle_(handle), shape_(std::move(shape)), tf32_(tf32) {}
  Result<Owned> layout(const Matrix& matrix) const;
  Result<Owned> operation(const void* bias) const;

  const CublasLt* library_;
  Handle handle_;
  Shape shape_;
  bool tf32_;
  std::vector<Owned> layouts_;  // of A, B, and of C and D
};

}  // namespace planish::cuda::cublaslt
