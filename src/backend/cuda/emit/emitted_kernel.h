// EmittedStep: what a family of CUDA kernels hands over for one problem and one tactic, as plain data.
//
// A family prints include-free CUDA C in which every shape is a literal, and says how it is launched:
// grid, block, cluster, shared memory, arguments in the order of the kernel's parameters, and the
// TMA descriptions its `const __grid_constant__ TensorMap` parameters stand for. Addresses are not
// known when a kernel is emitted: an argument names a buffer of the step (operand 2, the packed
// weights, the workspace) and an offset, and the launcher puts the address in.
//
// What every kernel may rely on:
//  - operands, results and workspace are at least 16-byte aligned (256 for whole values);
//  - the bytes of kPacked are what pack() made, on the device, 256-byte aligned;
//  - results are not zeroed; workspace holds anything.
// With `programmatic_launch` the kernel may start before its predecessor has ended: it must call
// grid_wait() (emit/prelude.h) before it touches any buffer but kPacked, and every one of them must
// call it, or a successor could overtake.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "ir/data_type.h"

namespace planish::cuda {

enum class BufferKind : uint8_t { kOperand, kResult, kPacked, kWorkspace };

// A place in a buffer of the step. `index`: operand or result number of the problem.
struct BufferPlace {
  BufferKind kind = BufferKind::kOperand;
  int32_t index = 0;
  int64_t offset_bytes = 0;
  friend bool operator==(const BufferPlace&, const BufferPlace&) = default;
};

enum class MapMode : uint8_t { kTiled, kIm2col };
enum class Swizzle : uint8_t { kNone, k32, k64, k128 };     // bytes
enum class L2Promotion : uint8_t { kNone, k64, k128, k256 };  // bytes

// One TMA description (cuTensorMapEncodeTiled, cuTensorMapEncodeIm2col). Dims run from the innermost
// outwards; reads beyond them give zeros. `byte_strides` has one entry less: the innermost is dense.
struct TensorMapSpec {
  MapMode mode = MapMode::kTiled;
  BufferPlace place;
  ir::DataType dtype = ir::DataType::kF16;  // f16 bf16 f32 (loaded as they are), i8/u8, i32
  bool tf32 = false;                        // f32 rounded to tf32 on the way in
  std::vector<uint64_t> dims;
  std::vector<uint64_t> byte_strides;
  std::vector<uint32_t> element_strides;    // empty: ones
  std::vector<uint32_t> box;                // kTiled: elements per dim
  // kIm2col: corners of the window's base per spatial dim, innermost (W) first; channels and pixels
  // that one copy brings.
  std::vector<int32_t> lower_corner, upper_corner;
  uint32_t channels_per_pixel = 0, pixels_per_column = 0;
  Swizzle swizzle = Swizzle::k128;
  L2Promotion l2 = L2Promotion::k256;
  // Entry of byte_strides that a strided buffer (BufferRef::outer_stride_bytes) replaces; -1: none.
  int32_t outer_stride = -1;
  friend bool operator==(const TensorMapSpec&, const TensorMapSpec&) = default;
};

struct KernelArg {
  enum class Kind : uint8_t {
    kPointer,      // address of `place`
    kOuterStride,  // i64: bytes between slices of the outermost dim of `place`'s buffer; `integer`
                   // when the buffer is dense
    kTensorMap,    // maps[map], passed by value (128 bytes, __grid_constant__)
    kI32, kI64, kF32,
  };
  Kind kind = Kind::kPointer;
  BufferPlace place;
  int32_t map = 0;
  int64_t integer = 0;
  float real = 0;

  static KernelArg operand(int index, int64_t offset_bytes = 0) {
    return {.place = {BufferKind::kOperand, index, offset_bytes}};
  }
  static KernelArg result(int index, int64_t offset_bytes = 0) {
    return {.place = {BufferKind::kResult, index, offset_bytes}};
  }
  static KernelArg packed(int64_t offset_bytes = 0) {
    return {.place = {BufferKind::kPacked, 0, offset_bytes}};
  }
  static KernelArg workspace(int64_t offset_bytes = 0) {
    return {.place = {BufferKind::kWorkspace, 0, offset_bytes}};
  }
  static KernelArg outer_stride(BufferKind kind, int index, int64_t dense_bytes) {
    return {.kind = Kind::kOuterStride, .place = {kind, index, 0}, .integer = dense_bytes};
  }
  static KernelArg tensor_map(int map) { return {.kind = Kind::kTensorMap, .place = {}, .map = map}; }
  static KernelArg i32(int32_t value) { return {.kind = Kind::kI32, .place = {}, .integer = value}; }
  static KernelArg i64(int64_t value) { return {.kind = Kind::kI64, .place = {}, .integer = value}; }
  static KernelArg f32(float value) { return {.kind = Kind::kF32, .place = {}, .real = value}; }
  friend bool operator==(const KernelArg&, const KernelArg&) = default;
};

struct Dim3 {
  uint32_t x = 1, y = 1, z = 1;
  uint64_t count() const { return uint64_t(x) * y * z; }
  friend bool operator==(const Dim3&, const Dim3&) = default;
};

struct EmittedKernel {
  std::string entry;   // name of the extern "C" __global__ function; appears in profiles
  std::string source;  // complete, without includes (kPrelude in front where it is used)
  Dim3 grid, block, cluster;
  // A kernel that loops over tiles: grid.x is the most blocks that have work, and the launcher takes
  // as many as are resident at once, in whole clusters. It reads its share from gridDim.x.
  bool persistent = false;
  int64_t dynamic_shared_bytes = 0;
  std::vector<KernelArg> args;
  std::vector<TensorMapSpec> maps;
  bool programmatic_launch = false;
  friend bool operator==(const EmittedKernel&, const EmittedKernel&) = default;
};

// One step of the program: normally one launch. Kernels run in order on the step's stream.
struct EmittedStep {
  std::vector<EmittedKernel> kernels;
  int64_t workspace_bytes = 0;
  friend bool operator==(const EmittedStep&, const EmittedStep&) = default;
};

}  // namespace planish::cuda
