#include "backend/cuda/families/cublaslt/matmul.h"

#include <algorithm>

#include "base/text.h"

namespace planish::cuda::cublaslt {
namespace {

constexpr uint64_t kMostWorkspace = 32 << 20;
// Operands may be members of larger buffers.
constexpr uint32_t kAlignment = 16;
// Partial sums of a split product are added in f32, never in the result's type.
constexpr uint32_t kReductionInF32 = 2;

int type_of(ir::DataType type) {
  return type == ir::DataType::kF16 ? kF16 : type == ir::DataType::kBF16 ? kBF16 : kF32;
}

// Elements between an operand's matrices of consecutive batches.
Result<int64_t> step_of(const MatrixOperand& operand, const std::vector<int64_t>& dims, int64_t elements) {
  bool dense = true, one = true;
  int64_t expected = 1;
  for (size_t i = dims.size(); i-- > 0;) {
    const int64_t step = i < operand.steps.size() ? operand.steps[i] : 0;
    if (dims[i] > 1) {
      dense &= step == expected;
      one &= step == 0;
    }
    expected *= dims[i];
  }
  if (one) return 0;
  if (dense) return elements;
  return unsupported("batches that repeat some of their matrices");
}

// Rows of `channels` elements that follow each other without gaps.
bool is_dense(const Access& access, const std::vector<int64_t>& row_dims, int64_t channels) {
  int64_t expected = channels;
  for (size_t i = row_dims.size(); i-- > 0;) {
    if (row_dims[i] > 1 && access.row_steps[i] != expected) return false;
    expected *= row_dims[i];
  }
  return access.channel_step == 1 || channels == 1;
}

}  // namespace

Result<Shape> shape_of(const kernel::Problem& problem) {
  Shape s;
  PLANISH_ASSIGN_OR_RETURN(s.fused, fused_product_of(problem));
  const Product& p = s.fused.product;
  if (p.is_conv && (!p.conv.is_pointwise() || p.batches > 1))
    return unsupported("a convolution that is no matrix product");
  if (s.fused.high != std::numeric_limits<double>::infinity())
    return unsupported("a ReLU with an upper end");
  const bool gaps = !is_dense(p.epilogue.results[0], p.epilogue.row_dims, p.channels);
  if (gaps) return unsupported("a result whose rows do not follow each other");
  s.batches = p.batches;
  const auto matrix = [&](const MatrixOperand& operand, int64_t lines) -> Result<Matrix> {
    Matrix m{operand.depth_inner ? p.depth : lines, operand.depth_inner ? lines : p.depth, 0, false};
    if (p.batches > 1) {
      PLANISH_ASSIGN_OR_RETURN(m.step, step_of(operand, p.batch_dims, p.depth * lines));
    }
    return m;
  };
  PLANISH_ASSIGN_OR_RETURN(s.a, matrix(p.right, p.channels));
  PLANISH_ASSIGN_OR_RETURN(s.b, matrix(p.left, p.rows));
  s.a.transposed = p.right.depth_inner;
  s.b.transposed = !p.left.depth_inner;
  s.d = {p.channels, p.rows, p.batches > 1 ? p.rows * p.channels : 0, false};
  return s;
}

Result<Matmul> Matmul::make(const CublasLt& library, Handle handle, Shape shape, bool tf32) {
  Matmul made(library, handle, std::move(shape), tf32);
  for (const Matrix* matrix : {&made.shape_.a, &made.shape_.b, &made.shape_.d}) {
    PLANISH_ASSIGN_OR_RETURN(Owned layout, made.layout(*matrix));
    made.layouts_.push_back(std::move(layout));
  }
  return made;
}

Result<Matmul::Owned> Matmul::layout(const Matrix& matrix) const {
  Descriptor descriptor = nullptr;
  PLANISH_RETURN_IF_ERROR(library_->status(
      library_->cublasLtMatrixLayoutCreate(&descriptor, type_of(shape_.fused.product.type), uint64_t(matrix.rows),
                                           uint64_t(matrix.columns), matrix.rows),
      "cublasLtMatrixLayoutCreate"));
  Owned owned(descriptor, Destroy{library_->cublasLtMatrixLayoutDestroy});
  const auto batches = int32_t(shape_.batches);
  const auto set = [&](int attribute, const auto& value) {
    return library_->status(
        library_->cublasLtMatrixLayoutSetAttribute(descriptor, attribute, &value, sizeof(value)),
        "cublasLtMatrixLayoutSetAttribute");
  };
  if (batches > 1) {
    PLANISH_RETURN_IF_ERROR(set(kLayoutBatchCount, batches));
    PLANISH_RETURN_IF_ERROR(set(kLayoutBatchOffset, matrix.step));
  }
  return owned;
}

Result<Matmul::Owned> Matmul::operation(const void* bias) const {
  Descriptor descriptor = nullptr;
  const int compute = tf32_ ? kCompute32FFastTf32 : kCompute32F;
  PLANISH_RETURN_IF_ERROR(library_->status(library_->cublasLtMatmulDescCreate(&descriptor, compute, kF32),
                                           "cublasLtMatmulDescCreate"));
  Owned owned(descriptor, Destroy{library_->cublasLtMatmulDescDestroy});
  const auto set = [&](int attribute, const auto& value) {
    return library_->status(
        library_->cublasLtMatmulDescSetAttribute(descriptor, attribute, &value, sizeof(value)),
        "cublasLtMatmulDescSetAttribute");
  };
  const FusedProduct& f = shape_.fused;
  PLANISH_RETURN_IF_ERROR(set(kDescTransA, int32_t(shape_.a.transposed ? kTranspose : kNoTranspose)));
  PLANISH_RETURN_IF_ERROR(set(kDescTransB, int32_t(shape_.b.transposed ? kTranspose : kNoTranspose)));
  int32_t epilogue = f.relu ? kEpilogueRelu : 0;
  if (f.bias >= 0) epilogue |= kEpilogueBias;
  PLANISH_RETURN_IF_ERROR(set(kDescEpilogue, epilogue ? epilogue : int32_t(kEpilogueDefault)));
  if (f.bias >= 0) {
    PLANISH_RETURN_IF_ERROR(set(kDescBiasPointer, bias));
    PLANISH_RETURN_IF_ERROR(set(kDescBiasType, int32_t(type_of(f.product.type))));
  }
  return owned;
}

Result<std::vector<Proposal>> Matmul::proposals(int most) const {
  PLANISH_ASSIGN_OR_RETURN(const Owned op, operation(reinterpret_cast<const void*>(uintptr_t(kAlignment))));
  Descriptor created = nullptr;
  PLANISH_RETURN_IF_ERROR(library_->status(library_->cublasLtMatmulPreferenceCreate(&created),
                                           "cublasLtMatmulPreferenceCreate"));
  const Owned preference(created, Destroy{library_->cublasLtMatmulPreferenceDestroy});
  const auto set = [&](int attribute, const auto& value) {
    return library_->status(
        library_->cublasLtMatmulPreferenceSetAttribute(created, attribute, &value, sizeof(value)),
        "cublasLtMatmulPreferenceSetAttribute");
  };
  PLANISH_RETURN_IF_ERROR(set(kPreferenceWorkspace, kMostWorkspace));
  PLANISH_RETURN_IF_ERROR(set(kPreferenceReduction, kReductionInF32));
  for (const int which : {kPreferenceAlignA, kPreferenceAlignB, kPreferenceAlignC, kPreferenceAlignD})
    PLANISH_RETURN_IF_ERROR(set(which, kAlignment));
  std::vector<HeuristicResult> found(size_t(std::max(1, most) * 2));
  int count = 0;
  PLANISH_RETURN_IF_ERROR(library_->status(
      library_->cublasLtMatmulAlgoGetHeuristic(handle_, op.get(), layouts_[0].get(), layouts_[1].get(),
                                               layouts_[2].get(), layouts_[2].get(), created, int(found.size()),
                                               found.data(), &count),
      "cublasLtMatmulAlgoGetHeuristic"));
  std::vector<Proposal> out;
  for (int i = 0; i < count && int(out.size()) < most; ++i) {
    if (found[size_t(i)].state != kSuccess) continue;
    const Algo& algo = found[size_t(i)].algo;
    auto tensor_cores = uses_tensor_cores(algo);
    if (!tensor_cores.ok()) continue;
    if (*tensor_cores && shape_.fused.product.type == ir::DataType::kF32 && !tf32_) continue;
    out.push_back({algo, *tensor_cores});
  }
  return out;
}

Result<bool> Matmul::uses_tensor_cores(const Algo& algo) const {
  uint64_t flags = 0;
  size_t written = 0;
  PLANISH_RETURN_IF_ERROR(library_->status(
      library_->cublasLtMatmulAlgoCapGetAttribute(&algo, kCapNumericalFlags, &flags, sizeof(flags), &written),
      "cublasLtMatmulAlgoCapGetAttribute"));
  if ((flags & kAccumulatorMask) != kAccumulator32F) return unsupported("an algorithm that does not sum in f32");
  return (flags & kTensorCoreMask) != 0;
}

Result<int64_t> Matmul::workspace_bytes(const Algo& algo) const {
  PLANISH_ASSIGN_OR_RETURN(const Owned op, operation(reinterpret_cast<const void*>(uintptr_t(kAlignment))));
  HeuristicResult result{};
  PLANISH_RETURN_IF_ERROR(library_->status(
      library_->cublasLtMatmulAlgoCheck(handle_, op.get(), layouts_[0].get(), layouts_[1].get(),
                                        layouts_[2].get(), layouts_[2].get(), &algo, &result),
      "cublasLtMatmulAlgoCheck"));
  if (result.workspace_bytes > kMostWorkspace)
    return unsupported(cat("an algorithm that takes ", result.workspace_bytes, " bytes of workspace"));
  return int64_t(result.workspace_bytes);
}

Status Matmul::run(const Algo& algo, const kernel::RunArgs& args, void* workspace, size_t workspace_bytes) const {
  const FusedProduct& f = shape_.fused;
  const auto operand = [&](int index) { return args.operands[size_t(index)].data; };
  PLANISH_ASSIGN_OR_RETURN(const Owned op, operation(f.bias >= 0 ? operand(f.bias) : nullptr));
  const auto alpha = float(f.scale);
  const float beta = f.residual >= 0 ? 1 : 0;
  void* result = args.results[0].data;
  return library_->status(
      library_->cublasLtMatmul(handle_, op.get(), &alpha, operand(f.product.right.value), layouts_[0].get(),
                               operand(f.product.left.value), layouts_[1].get(), &beta,
                               f.residual >= 0 ? operand(f.residual) : result, layouts_[2].get(), result,
                               layouts_[2].get(), &algo, workspace, workspace_bytes, args.stream),
      "cublasLtMatmul");
}

}  // namespace planish::cuda::cublaslt
