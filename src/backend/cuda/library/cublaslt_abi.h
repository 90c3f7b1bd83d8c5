// The part of cuBLASLt's C interface that is used, declared here so that building needs none of its
// headers. Names and numbers are those of NVIDIA's cuBLAS library documentation, chapter "Using the
// cuBLASLt API", versions 12 and 13; enumerations of theirs are plain numbers here.
#pragma once
#include <cstddef>
#include <cstdint>

namespace planish::cuda::cublaslt {

using Handle = void*;
using Descriptor = void*;  // matmul operation, matrix layout, preference

// Opaque 64 bytes that say which kernel runs how; good for the library version that made them.
struct Algo {
  uint64_t data[8];
};
struct HeuristicResult {
  Algo algo;
  size_t workspace_bytes;
  int state;  // 0: usable
  float waves;
  int reserved[4];
};

enum : int { kSuccess = 0, kAllocFailed = 3 };
enum : int { kF32 = 0, kF16 = 2, kBF16 = 14 };                // cudaDataType_t
enum : int { kCompute32F = 68, kCompute32FFastTf32 = 77 };    // cublasComputeType_t
enum : int { kNoTranspose = 0, kTranspose = 1 };
enum : int { kEpilogueDefault = 1, kEpilogueRelu = 2, kEpilogueBias = 4 };  // may be joined by |
// cublasLtMatmulDescAttributes_t
enum : int { kDescTransA = 3, kDescTransB = 4, kDescEpilogue = 7, kDescBiasPointer = 8, kDescBiasType = 26 };
enum : int { kLayoutBatchCount = 5, kLayoutBatchOffset = 6 };  // cublasLtMatrixLayoutAttribute_t
// cublasLtMatmulPreferenceAttributes_t
enum : int { kPreferenceWorkspace = 1, kPreferenceReduction = 3, kPreferenceAlignA = 5, kPreferenceAlignB = 6,
             kPreferenceAlignC = 7, kPreferenceAlignD = 8 };
// cublasLtMatmulAlgoCapAttributes_t: what the kernel computes with, and its masks.
enum : int { kCapNumericalFlags = 15 };
inline constexpr uint64_t kTensorCoreMask = 0xfe;       // instructions other than plain multiply-adds
inline constexpr uint64_t kAccumulatorMask = 0xff00;
inline constexpr uint64_t kAccumulator32F = 0x0200;

// name in the library, type of the member, parameters; all return a status but for the version.
#define PLANISH_CUBLASLT_FUNCTIONS(X)                                                                     \
  X(cublasLtGetVersion, size_t, ())                                                                       \
  X(cublasLtCreate, int, (Handle*))                                                                       \
  X(cublasLtGetStatusString, const char*, (int))                                                          \
  X(cublasLtMatmul, int,                                                                                  \
    (Handle, Descriptor op, const void* alpha, const void* a, Descriptor a_layout, const void* b,         \
     Descriptor b_layout, const void* beta, const void* c, Descriptor c_layout, void* d,                  \
     Descriptor d_layout, const Algo*, void* workspace, size_t workspace_bytes, void* stream))            \
  X(cublasLtMatmulDescCreate, int, (Descriptor*, int compute_type, int scale_type))                       \
  X(cublasLtMatmulDescDestroy, int, (Descriptor))                                                         \
  X(cublasLtMatmulDescSetAttribute, int, (Descriptor, int attribute, const void* value, size_t bytes))    \
  X(cublasLtMatrixLayoutCreate, int, (Descriptor*, int type, uint64_t rows, uint64_t columns, int64_t ld)) \
  X(cublasLtMatrixLayoutDestroy, int, (Descriptor))                                                       \
  X(cublasLtMatrixLayoutSetAttribute, int, (Descriptor, int attribute, const void* value, size_t bytes))  \
  X(cublasLtMatmulPreferenceCreate, int, (Descriptor*))                                                   \
  X(cublasLtMatmulPreferenceDestroy, int, (Descriptor))                                                   \
  X(cublasLtMatmulPreferenceSetAttribute, int,                                                            \
    (Descriptor, int attribute, const void* value, size_t bytes))                                         \
  X(cublasLtMatmulAlgoGetHeuristic, int,                                                                  \
    (Handle, Descriptor op, Descriptor a, Descriptor b, Descriptor c, Descriptor d, Descriptor preference, \
     int wanted, HeuristicResult*, int* count))                                                           \
  X(cublasLtMatmulAlgoCheck, int,                                                                         \
    (Handle, Descriptor op, Descriptor a, Descriptor b, Descriptor c, Descriptor d, const Algo*,          \
     HeuristicResult*))                                                                                   \
  X(cublasLtMatmulAlgoCapGetAttribute, int,                                                               \
    (const Algo*, int attribute, void* value, size_t bytes, size_t* written))

}  // namespace planish::cuda::cublaslt
