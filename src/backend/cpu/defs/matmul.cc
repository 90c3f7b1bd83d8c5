// Matrix products, row-major: MatMul (batched, broadcast) and Gemm, with packed constant weights or
// two computed operands. Bias runs along the columns.
#include <algorithm>

#include "backend/cpu/defs/epilogue.h"
#include "backend/cpu/defs/limits.h"
#include "backend/cpu/defs/refusal.h"
#include "backend/cpu/defs/register_kernels.h"
#include "backend/cpu/kernels/matmul/matmul.h"
#include "base/text.h"
#include "base/thread_team.h"
#include "kernel/cost.h"
#include "kernel/stage_input.h"

namespace planish::cpu {
namespace {

using kernel::Problem;
using kernel::Tactic;

struct MatmulView {
  MatmulProblem matmul;
  int a = 0, b = 1, bias = -1;
  kernel::RootAndEpilogue parts;
};

int64_t product(std::span<const int64_t> dims) {
  int64_t p = 1;
  for (int64_t d : dims) p *= d;
  return p;
}

Result<MatmulView> gemm_view(const Problem& problem, MatmulView view) {
  const kernel::Stage& root = *view.parts.root;
  const auto flag = [&](std::string_view key) {
    return std::get<int64_t>(root.attrs.find(key)->second) != 0;
  };
  if (std::get<double>(root.attrs.find("alpha")->second) != 1)
    return unsupported("alpha is not 1");
  const std::vector<int64_t> out = ir::to_dims(root.outputs[0].shape);
  const std::vector<int64_t> a = ir::to_dims(problem.type_of(view.a).shape);
  MatmulProblem& p = view.matmul;
  p.transpose_a = flag("transA");
  p.transpose_b = flag("transB");
  p.m = out[0];
  p.n = out[1];
  // A constant B is packed before the dims of A are known.
  const std::vector<int64_t> b = ir::to_dims(problem.type_of(view.b).shape);
  p.k = p.packed_b ? b[p.transpose_b ? 1 : 0] : a[p.transpose_a ? 0 : 1];
  if (root.inputs.size() > 2 && root.inputs[2] >= 0) {
    if (std::get<double>(root.attrs.find("beta")->second) != 1)
      return unsupported("beta is not 1");
    view.bias = root.inputs[2];
    const int64_t count =
        ir::element_count(std::span<const int64_t>(ir::to_dims(problem.type_of(view.bias).shape)));
    const std::vector<int64_t> dims = ir::to_dims(problem.type_of(view.bias).shape);
    if (count != 1 && (count != p.n || dims.empty() || dims.back() != p.n))
      return unsupported("C is no bias per column");
  }
  return view;
}

Result<MatmulView> matmul_view(const Problem& problem) {
  const std::string_view op = problem.root_op();
  if (op != "MatMul" && op != "Gemm") return other_family();
  const auto split = kernel::root_and_epilogue(problem);
  if (!split) return unsupported("more than one root with an epilogue");
  MatmulView view;
  view.parts = *split;
  view.a = split->root->inputs[0];
  view.b = split->root->inputs[1];
  if (problem.type_of(view.a).dtype != ir::DataType::kF32)
    return unsupported(cat("operands are ", ir::name_of(problem.type_of(view.a).dtype),
                           ", expected f32"));
  MatmulProblem& p = view.matmul;
  p.packed_b = problem.operands[size_t(view.b)].constant;
  if (op == "Gemm") return gemm_view(problem, std::move(view));
  std::vector<int64_t> a = ir::to_dims(problem.type_of(view.a).shape);
  std::vector<int64_t> b = ir::to_dims(problem.type_of(view.b).shape);
  if (a.size() < 2 || b.size() < 2) return unsupported("a one-dimensional operand");
  p.m = a[a.size() - 2];
  p.k = p.packed_b ? b[b.size() - 2] : a.back();
  p.n = b.back();
  const int64_t a_batch = product(std::span(a).first(a.size() - 2));
  const int64_t b_batch = product(std::span(b).first(b.size() - 2));
  const std::vector<int64_t> out = ir::to_dims(split->root->outputs[0].shape);
  const int64_t batch = product(std::span(out).first(out.size() - 2));
  if (b_batch == 1) {  // one B for all: rows of all matrices are one matrix
    p.m *= a_batch;
    if (a_batch != batch) return unsupported("A broadcasts over an empty batch");
    return view;
  }
  if (p.packed_b) return unsupported("a constant B with a batch");
  p.batch = batch;
  if (a_batch == batch) p.a_batch = p.m * p.k;
  else if (a_batch == 1) p.a_batch = 0;
  else return unsupported("A broadcasts along some of its batch dims");
  if (b_batch == batch) p.b_batch = p.k * p.n;
  else return unsupported("B broadcasts along some of its batch dims");
  return view;
}

// Dims that were symbolic at build may disagree now.
Status check_inner_dims(const Problem& problem, const MatmulView& view) {
  const ir::Shape& a = problem.type_of(view.a).shape;
  const int64_t got = a[a.size() - (view.matmul.transpose_a ? 2 : 1)].value();
  if (got == view.matmul.k) return ok_status();
  return invalid_argument(cat("A is ", ir::to_string(a), ", expected ", view.matmul.k,
                              " elements to sum over, as B has"));
}

MatmulTactic read(const Tactic& t) {
  MatmulTactic out;
  out.j_blocks = int(t.get("j", 2));
  out.rows = t.get("rows");
  out.chunks = t.get("chunks");
  out.k_blocks = t.get("k");
  return out;
}

Status check(const Tactic& t) {
  PLANISH_RETURN_IF_ERROR(in_range(t, "j", 2, 1, 4));
  PLANISH_RETURN_IF_ERROR(in_range(t, "rows", 0, 0, kMaxTacticCount));
  PLANISH_RETURN_IF_ERROR(in_range(t, "chunks", 0, 0, kMaxTacticCount));
  return in_range(t, "k", 0, 0, kMaxTacticCount);
}

class MatmulLaunchable : public kernel::Launchable {
 public:
  MatmulLaunchable(const MatmulView& view, MatmulTactic tactic, int threads,
                   std::span<const std::byte> packed, BoundEpilogue epilogue)
      : problem_(view.matmul),
        a_(view.a),
        b_(view.b),
        tactic_(tactic),
        packed_(reinterpret_cast<const float*>(packed.data())),
        epilogue_(std::move(epilogue)),
        workspace_(matmul_workspace_bytes(problem_, tactic_, best_isa(), threads)) {}
  int64_t workspace_bytes() const override { return workspace_; }
  Status run(const kernel::RunArgs& args) const override {
    MatmulArgs a;
    a.a = static_cast<const float*>(args.operands[size_t(a_)].data);
    a.b = problem_.packed_b ? packed_ : static_cast<const float*>(args.operands[size_t(b_)].data);
    a.c = static_cast<float*>(args.results[0].data);
    BoundEpilogue::Call call;
    a.epilogue = epilogue_.for_run(args, call);
    a.workspace = args.workspace;
    run_matmul(problem_, tactic_, best_isa(), a, *args.team);
    return ok_status();
  }

 private:
  MatmulProblem problem_;
  int a_, b_;
  MatmulTactic tactic_;
  const float* packed_;
  BoundEpilogue epilogue_;
  int64_t workspace_;
};

class MatmulKernel : public kernel::KernelDef {
 public:
  std::string name() const override { return "cpu.matmul_f32"; }
  std::string device_kind() const override { return "cpu"; }

  Status supports(const Problem& problem, const kernel::DeviceInfo&) const override {
    PLANISH_ASSIGN_OR_RETURN(MatmulView view, matmul_view(problem));
    const int columns = view.parts.root->outputs[0].shape.size() - 1;
    PLANISH_RETURN_IF_ERROR(BoundEpilogue::supports(problem, view.parts, columns, view.bias));
    const std::string_view why = matmul_refusal(view.matmul, best_isa());
    return why.empty() ? ok_status() : unsupported(std::string(why));
  }
  std::vector<Tactic> tactics(const Problem& problem,
                              const kernel::DeviceInfo& device) const override {
    std::vector<Tactic> out;
    const MatmulView view = std::move(matmul_view(problem)).value();
    for (const MatmulTactic& t : enumerate_matmul_tactics(view.matmul, best_isa(), device.threads))
      out.push_back({{{"j", t.j_blocks}, {"rows", t.rows}, {"chunks", t.chunks}, {"k", t.k_blocks}}});
    return out;
  }
  double predict_us(const Problem& problem, const Tactic&,
                    const kernel::DeviceInfo& device) const override {
    const double compute = kernel::flop_count(problem) / (device.peak_gflops * 0.7 * 1e3);
    const double memory = double(kernel::bytes_moved(problem)) / (device.memory_gbps * 2e3);
    return 1.5 + std::max(compute, memory);
  }
  bool packs(const Problem& problem, int operand) const override {
    return kernel::is_root_input(problem, 1, operand) &&
           problem.operands[size_t(operand)].constant;
  }
  Result<kernel::Blob> pack(const Problem& problem, const Tactic& tactic,
                            const kernel::DeviceInfo&,
                            std::span<const ir::Tensor> constants) const override {
    // Packing looks at weights only: other dims may be symbolic and are set to 1.
    PLANISH_ASSIGN_OR_RETURN(Problem plain,
                             kernel::concrete(problem, [](std::string_view) { return 1; }));
    PLANISH_ASSIGN_OR_RETURN(MatmulView view, matmul_view(plain));
    if (!view.matmul.packed_b) return kernel::Blob{};
    view.matmul.m = 1;
    PLANISH_RETURN_IF_ERROR(check(tactic));
    const MatmulTactic t = read(tactic);
    PLANISH_RETURN_IF_ERROR(
        constant_floats(constants, view.b, view.matmul.k * view.matmul.n));
    kernel::Blob blob;
    blob.bytes.resize(size_t(matmul_packed_floats(view.matmul, t, best_isa())) * sizeof(float));
    pack_matmul_weights(view.matmul, t, best_isa(), constants[size_t(view.b)].data_as<float>(),
                        reinterpret_cast<float*>(blob.bytes.data()));
    return blob;
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    PLANISH_ASSIGN_OR_RETURN(MatmulView view, matmul_view(*args.problem));
    if (const std::string_view why = matmul_refusal(view.matmul, best_isa()); !why.empty())
      return unsupported(std::string(why));
    PLANISH_RETURN_IF_ERROR(check_inner_dims(*args.problem, view));
    PLANISH_RETURN_IF_ERROR(check(*args.tactic));
    if (view.matmul.packed_b)
      PLANISH_RETURN_IF_ERROR(packed_floats(
          args.packed, matmul_packed_floats(view.matmul, read(*args.tactic), best_isa())));
    const int columns = int(view.parts.root->outputs[0].shape.size()) - 1;
    PLANISH_ASSIGN_OR_RETURN(
        BoundEpilogue epilogue,
        BoundEpilogue::bind(args, view.parts, columns, view.bias, /*blocked=*/false, 16));
    return std::unique_ptr<kernel::Launchable>(std::make_unique<MatmulLaunchable>(
        view, read(*args.tactic), args.device->threads, args.packed, std::move(epilogue)));
  }
};

}  // namespace

void register_matmul_kernels(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<MatmulKernel>());
}

}  // namespace planish::cpu
