// The block interpreter of expressions: pointwise regions and the epilogues that no kernel has in
// registers.
//
// An Expr is run node by node over blocks of kPointwiseBlock elements that stay in L1. Floating values
// and bool (0 or 1) live in float registers, integers in int64 registers; f16 and bf16 are widened on
// load and rounded on store and at their nodes. Arguments that are dense like the output are read in
// place, all others are spread into a block first: broadcast costs a copy, never a branch per element,
// and a block that holds what the last one held is not filled again. The last node writes straight
// into the output.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/cpu/kernels/isa.h"
#include "base/status.h"
#include "kernel/expr.h"

namespace planish {
class ThreadTeam;
}

namespace planish::cpu {

constexpr int kPointwiseBlock = 512;
constexpr int kMaxPointwiseAxes = 8;

// Physical axes of the output, outermost first, and each argument's step along them (elements).
struct PointwiseShape {
  std::vector<int64_t> sizes;
  std::vector<std::vector<int64_t>> arg_steps;  // [arg][axis]; 0 where it broadcasts
};

// Merges neighbouring axes along which every argument moves evenly.
PointwiseShape merged_axes(const PointwiseShape& shape);

// Empty when the interpreter takes the expression, else why not.
std::string_view pointwise_refusal(const kernel::Expr& expr, std::span<const ir::DataType> args,
                                   std::span<const ir::DataType> outputs);

// One expression for one shape. Immutable; run() is thread-safe.
class PointwiseProgram {
 public:
  PointwiseProgram(kernel::Expr expr, std::vector<ir::DataType> args,
                   std::vector<ir::DataType> outputs, const PointwiseShape& shape, Isa isa);

  // args and outputs: data pointers in order. Outputs are dense; an output may be an argument's
  // memory when that argument is dense.
  void run(std::span<const void* const> args, std::span<void* const> outputs,
           ThreadTeam& team) const;
  // Elements [begin, end) on the calling thread.
  void run_range(std::span<const void* const> args, std::span<void* const> outputs, int64_t begin,
                 int64_t end) const;
  int64_t count() const { return count_; }

 private:
  enum class Load : uint8_t { kDense, kSpread };
  // Inside each `run` elements the values repeat every `period`; period 0: they do not.
  struct Repeat {
    int64_t period = 0, run = 1;
  };
  // The expression with products and the sums that alone read them as one fma.
  static kernel::Expr contracted(const kernel::Expr& expr);
  // An immediate that is no NaN.
  bool is_number(int32_t node) const;
  static Repeat repeat_of(const PointwiseShape& shape, int arg);
  // Elements [at, at + n) of an argument, padded to whole vectors: where they lie, or a register.
  const float* load(const kernel::ExprNode& node, const void* data, int64_t at, int64_t n, float* f,
                    int64_t* i, int64_t& held_run, int64_t& held_count) const;
  void spread(int arg, const void* data, int64_t begin, int64_t n, float* f, int64_t* i) const;

  kernel::Expr expr_;
  std::vector<ir::DataType> arg_types_, output_types_;
  PointwiseShape shape_;
  std::vector<Load> loads_;
  std::vector<Repeat> repeats_;  // by argument
  int64_t shortest_run_ = int64_t(1) << 62;  // of the repeats worth aligning blocks with
  int direct_output_ = -1;       // the output that the last node alone makes
  std::vector<int> slot_;        // per node: its register in its file
  int float_slots_ = 0, int_slots_ = 0;
  int64_t count_ = 0;
  Isa isa_;
};

// Loops over one block. n is a multiple of 16; registers are padded.
struct PointwiseKernels {
  void (*unary)(kernel::ScalarOp op, const float* a, float* out, int64_t n);
  void (*binary)(kernel::ScalarOp op, const float* a, const float* b, float* out, int64_t n);
  // a * b + c, rounded once where the set has it.
  void (*fma)(const float* a, const float* b, const float* c, float* out, int64_t n);
  // Maximum and minimum with numbers that are not NaN: NaN where x is.
  void (*max_with)(const float* number, const float* x, float* out, int64_t n);
  void (*min_with)(const float* number, const float* x, float* out, int64_t n);
  void (*select)(const float* c, const float* a, const float* b, float* out, int64_t n);
  void (*select_int)(const float* c, const int64_t* a, const int64_t* b, int64_t* out, int64_t n);
  void (*binary_int)(kernel::ScalarOp op, const int64_t* a, const int64_t* b, int64_t* out,
                     int64_t n);
  void (*compare_int)(kernel::ScalarOp op, const int64_t* a, const int64_t* b, float* out,
                      int64_t n);
};
const PointwiseKernels& pointwise_kernels(Isa isa);
const PointwiseKernels& pointwise_kernels_portable();
const PointwiseKernels& pointwise_kernels_avx2();
const PointwiseKernels& pointwise_kernels_avx512();

}  // namespace planish::cpu
