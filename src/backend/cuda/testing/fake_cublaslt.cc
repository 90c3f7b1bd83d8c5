// A cuBLASLt without a GPU, as a shared object for tests: products are computed on the host, in the order
// of the fake driver's streams. $FAKE_CUBLASLT=version=130200 makes it another version than 13.1.
//
// It proposes four algorithms: 0 without workspace; 1 with 4 KB of it, every byte of which it overwrites;
// 2 that computes on tensor cores whatever the types are; 3 that sums in f16. A caller must leave out the
// last one, and 2 for f32.
#include "backend/cuda/library/cublaslt_abi.h"
#include "backend/cuda/testing/fake_library.h"

namespace {

using namespace planish::cuda::cublaslt;
using planish::ir::DataType;

enum : int { kInvalidValue = 7, kNotSupported = 15 };
constexpr uint64_t kMagic = 0x454B4146;

struct Operation {
  int compute = 0, trans_a = 0, trans_b = 0, epilogue = kEpilogueDefault, bias_type = 0;
  const void* bias = nullptr;
};
struct Layout {
  int type = 0;
  int64_t rows = 0, columns = 0, ld = 0, batches = 1, offset = 0;
};

DataType type_of(int type) {
  return type == kF16 ? DataType::kF16 : type == kBF16 ? DataType::kBF16 : DataType::kF32;
}
uint64_t version() { return uint64_t(planish_fake::version_setting("FAKE_CUBLASLT", 130100)); }

template <class T>
int read(T& to, const void* value, size_t bytes) {
  if (bytes != sizeof(T)) return kInvalidValue;
  std::memcpy(&to, value, bytes);
  return kSuccess;
}

bool fits(const Operation& op, const Layout& a, const Layout& b, const Layout& d) {
  const int64_t depth = op.trans_a ? a.rows : a.columns;
  return (op.trans_a ? a.columns : a.rows) == d.rows && (op.trans_b ? b.rows : b.columns) == d.columns &&
         (op.trans_b ? b.columns : b.rows) == depth && a.type == d.type && b.type == d.type;
}

Algo algorithm(uint64_t index, const Operation& op, int type) {
  return {{kMagic, index, version(), uint64_t(type == kF32 && op.compute == kCompute32F), 0, 0, 0, 0}};
}

void multiply(const Operation& op, float alpha, const void* a, const Layout& al, const void* b, const Layout& bl,
              float beta, const void* c, void* d, const Layout& dl) {
  const DataType type = type_of(dl.type);
  const int64_t depth = op.trans_a ? al.rows : al.columns;
  for (int64_t batch = 0; batch < dl.batches; ++batch)
    for (int64_t column = 0; column < dl.columns; ++column)
      for (int64_t row = 0; row < dl.rows; ++row) {
        double sum = 0;
        for (int64_t k = 0; k < depth; ++k)
          sum += planish_fake::load(type, a, batch * al.offset + (op.trans_a ? row * al.ld + k : k * al.ld + row)) *
                 planish_fake::load(type, b, batch * bl.offset + (op.trans_b ? k * bl.ld + column : column * bl.ld + k));
        const int64_t at = batch * dl.offset + column * dl.ld + row;
        double value = alpha * sum;
        if (beta != 0) value += beta * planish_fake::load(type, c, at);
        if (op.epilogue & kEpilogueBias) value += planish_fake::load(type, op.bias, row);
        if (op.epilogue & kEpilogueRelu && value < 0) value = 0;
        planish_fake::store(type, d, at, value);
      }
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT size_t cublasLtGetVersion() { return version(); }
EXPORT int cublasLtCreate(Handle* handle) { return *handle = new int(0), kSuccess; }
EXPORT const char* cublasLtGetStatusString(int status) {
  return status == kSuccess ? "success" : status == kInvalidValue ? "fake: invalid value" : "fake: not supported";
}
EXPORT int cublasLtMatmulDescCreate(Descriptor* out, int compute, int) {
  auto* op = new Operation();
  op->compute = compute;
  return *out = op, kSuccess;
}
EXPORT int cublasLtMatmulDescDestroy(Descriptor op) { return delete static_cast<Operation*>(op), kSuccess; }
EXPORT int cublasLtMatmulDescSetAttribute(Descriptor at, int attribute, const void* value, size_t bytes) {
  auto& op = *static_cast<Operation*>(at);
  switch (attribute) {
    case kDescTransA: return read(op.trans_a, value, bytes);
    case kDescTransB: return read(op.trans_b, value, bytes);
    case kDescEpilogue: return read(op.epilogue, value, bytes);
    case kDescBiasPointer: return read(op.bias, value, bytes);
    case kDescBiasType: return read(op.bias_type, value, bytes);
    default: return kInvalidValue;
  }
}
EXPORT int cublasLtMatrixLayoutCreate(Descriptor* out, int type, uint64_t rows, uint64_t columns, int64_t ld) {
  return *out = new Layout{type, int64_t(rows), int64_t(columns), ld}, kSuccess;
}
EXPORT int cublasLtMatrixLayoutDestroy(Descriptor layout) { return delete static_cast<Layout*>(layout), kSuccess; }
EXPORT int cublasLtMatrixLayoutSetAttribute(Descriptor at, int attribute, const void* value, size_t bytes) {
  auto& layout = *static_cast<Layout*>(at);
  int32_t batches = 0;
  if (attribute == kLayoutBatchOffset) return read(layout.offset, value, bytes);
  if (attribute != kLayoutBatchCount || read(batches, value, bytes) != kSuccess) return kInvalidValue;
  return layout.batches = batches, kSuccess;
}
EXPORT int cublasLtMatmulPreferenceCreate(Descriptor* out) { return *out = new int(0), kSuccess; }
EXPORT int cublasLtMatmulPreferenceDestroy(Descriptor at) { return delete static_cast<int*>(at), kSuccess; }
EXPORT int cublasLtMatmulPreferenceSetAttribute(Descriptor, int attribute, const void*, size_t bytes) {
  const bool wide = attribute == kPreferenceWorkspace;
  return bytes == (wide ? sizeof(uint64_t) : sizeof(uint32_t)) ? int(kSuccess) : int(kInvalidValue);
}
EXPORT int cublasLtMatmulAlgoGetHeuristic(Handle, Descriptor op, Descriptor a, Descriptor b, Descriptor, Descriptor d,
                                          Descriptor, int wanted, HeuristicResult* results, int* count) {
  const auto& operation = *static_cast<Operation*>(op);
  const auto& result = *static_cast<Layout*>(d);
  if (!fits(operation, *static_cast<Layout*>(a), *static_cast<Layout*>(b), result)) return kNotSupported;
  for (*count = 0; *count < wanted && *count < 4; ++*count)
    results[*count] = {algorithm(uint64_t(*count), operation, result.type), *count == 1 ? planish_fake::kWorkspace : 0,
                       kSuccess, 1.0f, {}};
  return kSuccess;
}
EXPORT int cublasLtMatmulAlgoCheck(Handle, Descriptor op, Descriptor a, Descriptor b, Descriptor, Descriptor d,
                                   const Algo* algo, HeuristicResult* result) {
  if (algo->data[0] != kMagic || algo->data[2] != version() ||
      !fits(*static_cast<Operation*>(op), *static_cast<Layout*>(a), *static_cast<Layout*>(b), *static_cast<Layout*>(d)))
    return kNotSupported;
  *result = {*algo, algo->data[1] == 1 ? planish_fake::kWorkspace : 0, kSuccess, 1.0f, {}};
  return kSuccess;
}
EXPORT int cublasLtMatmulAlgoCapGetAttribute(const Algo* algo, int attribute, void* value, size_t bytes,
                                             size_t* written) {
  if (attribute != kCapNumericalFlags || bytes != sizeof(uint64_t)) return kInvalidValue;
  const bool plain = algo->data[3] && algo->data[1] != 2;
  const uint64_t flags = (plain ? 0x01 : 0x02) | (algo->data[1] == 3 ? 0x0100 : kAccumulator32F);
  std::memcpy(value, &flags, bytes);
  return *written = bytes, kSuccess;
}
EXPORT int cublasLtMatmul(Handle, Descriptor op, const void* alpha, const void* a, Descriptor a_layout, const void* b,
                          Descriptor b_layout, const void* beta, const void* c, Descriptor, void* d,
                          Descriptor d_layout, const Algo* algo, void* workspace, size_t workspace_bytes,
                          void* stream) {
  const bool scratch = algo->data[1] == 1;
  if (algo->data[0] != kMagic || algo->data[2] != version()) return kNotSupported;
  if (scratch && (workspace_bytes < planish_fake::kWorkspace || !planish_fake::is_aligned(workspace, 256)))
    return kInvalidValue;
  planish_fake::enqueue(stream, [=, operation = *static_cast<Operation*>(op), al = *static_cast<Layout*>(a_layout),
                                 bl = *static_cast<Layout*>(b_layout), dl = *static_cast<Layout*>(d_layout),
                                 scale = *static_cast<const float*>(alpha), add = *static_cast<const float*>(beta)] {
    if (scratch) std::memset(workspace, 0xff, planish_fake::kWorkspace);
    multiply(operation, scale, a, al, b, bl, add, c, d, dl);
  });
  return kSuccess;
}
