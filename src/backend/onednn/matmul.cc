// Matrix products with one constant B (MatMul and Gemm): oneDNN's matmul primitive on a range of B's
// columns per task. B is packed in the format the primitive asks for at the tactic's row count.
#include <algorithm>

#include "backend/cpu/defs/refusal.h"
#include "backend/onednn/finish.h"
#include "backend/onednn/onednn.h"
#include "backend/onednn/register_kernels.h"
#include "base/text.h"
#include "kernel/cost.h"
#include "kernel/stage_input.h"

namespace planish::onednn {
namespace {

using kernel::DeviceInfo;
using kernel::Problem;
using kernel::Tactic;

struct MatmulView {
  kernel::RootAndEpilogue parts;
  int a = 0, b = 1, bias = -1;
  int64_t m = 0, n = 0, k = 0, a_columns = 0;
  bool transposed = false;  // B is given as [n, k]

  int columns_axis() const { return int(parts.root->outputs[0].shape.size()) - 1; }
};

Status read_gemm(const Problem& problem, MatmulView& view) {
  const kernel::Stage& root = *view.parts.root;
  const auto number = [&](std::string_view key) {
    return std::get<double>(root.attrs.find(key)->second);
  };
  const auto flag = [&](std::string_view key) {
    return std::get<int64_t>(root.attrs.find(key)->second) != 0;
  };
  if (number("alpha") != 1) return unsupported("alpha is not 1");
  if (flag("transA")) return unsupported("A is transposed");
  view.transposed = flag("transB");
  if (root.inputs.size() <= 2 || root.inputs[2] < 0) return ok_status();
  if (number("beta") != 1) return unsupported("beta is not 1");
  view.bias = root.inputs[2];
  const std::vector<int64_t> c = ir::to_dims(problem.type_of(view.bias).shape);
  const int64_t count = ir::element_count(std::span<const int64_t>(c));
  const int64_t n = ir::to_dims(problem.type_of(view.b).shape)[view.transposed ? 0 : 1];
  if (count != 1 && (count != n || c.back() != n)) return unsupported("C is no bias per column");
  return ok_status();
}

Result<MatmulView> matmul_view(const Problem& problem) {
  const std::string_view op = problem.root_op();
  if (op != "MatMul" && op != "Gemm") return cpu::other_family();
  const auto split = kernel::root_and_epilogue(problem);
  if (!split) return unsupported("more than one root with an epilogue");
  MatmulView view;
  view.parts = *split;
  view.a = split->root->inputs[0];
  view.b = split->root->inputs[1];
  const ir::TensorType &a_type = problem.type_of(view.a), &b_type = problem.type_of(view.b);
  if (a_type.dtype != ir::DataType::kF32)
    return unsupported(cat("operands are ", ir::name_of(a_type.dtype), ", expected f32"));
  if (!problem.operands[size_t(view.b)].constant)
    return unsupported("B is computed, expected a constant");
  const std::vector<int64_t> a = ir::to_dims(a_type.shape), b = ir::to_dims(b_type.shape);
  if (a.size() < 2 || b.size() < 2) return unsupported("a one-dimensional operand");
  if (std::any_of(b.begin(), b.end() - 2, [](int64_t d) { return d != 1; }) || b.size() > a.size())
    return unsupported("B is a batch of matrices, expected one");
  if (op == "Gemm") PLANISH_RETURN_IF_ERROR(read_gemm(problem, view));
  view.n = b[b.size() - (view.transposed ? 2 : 1)];
  view.k = b[b.size() - (view.transposed ? 1 : 2)];
  view.a_columns = a.back();
  view.m = 1;
  for (size_t d = 0; d + 1 < a.size(); ++d) view.m *= a[d];
  return view;
}

Result<Asked> ask(const MatmulView& view, int64_t parts, int64_t rows, bool bias,
                  const Desc* packed, bool make) {
  if (rows < 1 || view.n < 1 || view.k < 1) return unsupported("an empty operand");
  Asked asked;
  const Status status = guarded("a matrix product", [&] {
    const auto f32 = dnnl::memory::data_type::f32;
    const int64_t columns = view.n / parts;
    Piece& p = asked.piece;
    p.name = "a matrix product";
    p.source = Desc({rows, view.k}, f32, Dims{view.k, 1});
    p.destination = Desc({rows, columns}, f32, Dims{view.n, 1});
    if (bias) p.bias = Desc({1, columns}, f32, Dims{columns, 1});
    const Dims b = {view.k, columns};
    asked.given_weights = Desc(b, f32, view.transposed ? Dims{1, view.k} : Dims{view.n, 1});
    const Desc wanted = packed ? *packed : Desc(b, f32, dnnl::memory::format_tag::any);
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::matmul::primitive_desc chosen(
        dnnl::matmul::desc(p.source, wanted, p.bias, p.destination), attr, engine());
    p.weights = chosen.weights_desc();
    p.scratchpad = chosen.scratchpad_desc();
    if (make) p.primitive = dnnl::matmul(chosen);
    return packed ? ok_status() : not_a_reference(chosen.impl_info_str());
  });
  if (!status.ok()) return status;
  return asked;
}

class MatmulLaunchable : public kernel::Launchable {
 public:
  MatmulLaunchable(const MatmulView& view, Piece piece, int64_t parts, int threads,
                   std::span<const std::byte> packed, cpu::BoundEpilogue epilogue)
      : a_(view.a), m_(view.m), n_(view.n), parts_(parts), threads_(threads),
        piece_(std::move(piece)), packed_(packed.data()), epilogue_(std::move(epilogue)) {}
  int64_t workspace_bytes() const override { return threads_ * piece_.scratchpad_bytes(); }
  Status run(const kernel::RunArgs& args) const override {
    cpu::BoundEpilogue::Call call;
    const cpu::Epilogue epilogue = epilogue_.for_run(args, call);
    const auto* from = static_cast<const float*>(args.operands[size_t(a_)].data);
    const int64_t columns = n_ / parts_;
    return run_tasks(*args.team, parts_, [&](int64_t part, int thread) {
      float* to = static_cast<float*>(args.results[0].data) + part * columns;
      PLANISH_RETURN_IF_ERROR(
          piece_.execute(from, packed_ + part * part_bytes(piece_.weights),
                         epilogue.bias ? epilogue.bias + part * columns : nullptr, to,
                         args.workspace + thread * piece_.scratchpad_bytes()));
      for (int64_t row = 0; row < m_; ++row)
        finish(epilogue, to + row * n_, row * n_ + part * columns, columns);
      return ok_status();
    });
  }

 private:
  int a_;
  int64_t m_, n_, parts_, threads_;
  Piece piece_;
  const std::byte* packed_;
  cpu::BoundEpilogue epilogue_;
};

class MatmulKernel : public kernel::KernelDef {
 public:
  std::string name() const override { return "onednn.matmul_f32"; }
  std::string device_kind() const override { return "cpu"; }
  int version() const override { return kernel_version(); }

  Status supports(const Problem& problem, const DeviceInfo& device) const override {
    PLANISH_ASSIGN_OR_RETURN(const MatmulView view, matmul_view(problem));
    PLANISH_RETURN_IF_ERROR(
        cpu::BoundEpilogue::supports(problem, view.parts, view.columns_axis(), view.bias));
    if (view.a_columns != view.k)
      return unsupported(cat("A has ", view.a_columns, " columns, B ", view.k, " rows"));
    return ask(view, parts_of(view.n, device.threads), view.m, false, nullptr, /*make=*/false)
        .status();
  }
  std::vector<Tactic> tactics(const Problem& problem, const DeviceInfo& device) const override {
    const MatmulView view = std::move(matmul_view(problem)).value();
    return {{{{"m", view.m}, {"parts", parts_of(view.n, device.threads)}}}};
  }
  double predict_us(const Problem& problem, const Tactic&, const DeviceInfo& device) const override {
    // A fifth behind ours, as measured (docs/measurements/cpu_kernels.md).
    const double compute = kernel::flop_count(problem) / (device.peak_gflops * 0.55 * 1e3);
    const double memory = double(kernel::bytes_moved(problem)) / (device.memory_gbps * 1.7e3);
    return 4 + std::max(compute, memory);
  }
  bool packs(const Problem& problem, int operand) const override {
    return kernel::is_root_input(problem, 1, operand);
  }
  Result<kernel::Blob> pack(const Problem& problem, const Tactic& tactic, const DeviceInfo&,
                            std::span<const ir::Tensor> constants) const override {
    // Packing looks at weights and tactic only: other dims may be symbolic and are set to 1.
    PLANISH_ASSIGN_OR_RETURN(const Problem plain,
                             kernel::concrete(problem, [](std::string_view) { return 1; }));
    PLANISH_ASSIGN_OR_RETURN(const MatmulView view, matmul_view(plain));
    PLANISH_ASSIGN_OR_RETURN(const Asked asked, packed_form(view, tactic));
    const int64_t parts = tactic.get("parts", 1);
    const int64_t step = view.n / parts * (view.transposed ? view.k : 1);
    kernel::Blob blob;
    PLANISH_RETURN_IF_ERROR(append_packed(asked, constants[size_t(view.b)].data_as<float>(), step,
                                          parts, blob));
    return blob;
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    PLANISH_ASSIGN_OR_RETURN(const MatmulView view, matmul_view(*args.problem));
    if (view.a_columns != view.k)
      return invalid_argument(cat("A has ", view.a_columns, " columns, expected ", view.k,
                                  " elements to sum over, as B has"));
    PLANISH_ASSIGN_OR_RETURN(const Asked packed, packed_form(view, *args.tactic));
    const int64_t parts = args.tactic->get("parts", 1);
    PLANISH_RETURN_IF_ERROR(check_packed(args.packed, packed, parts));
    PLANISH_ASSIGN_OR_RETURN(cpu::BoundEpilogue epilogue,
                             cpu::BoundEpilogue::bind(args, view.parts, view.columns_axis(),
                                                      view.bias, /*blocked=*/false, 16));
    PLANISH_ASSIGN_OR_RETURN(Asked asked, ask(view, parts, view.m, !epilogue.bias().empty(),
                                              &packed.piece.weights, /*make=*/true));
    return std::unique_ptr<kernel::Launchable>(std::make_unique<MatmulLaunchable>(
        view, std::move(asked.piece), parts, args.device->threads, args.packed,
        std::move(epilogue)));
  }

 private:
  // B as the tactic has it packed. Tactics come from files: oneDNN checks what is asked.
  static Result<Asked> packed_form(const MatmulView& view, const Tactic& tactic) {
    const int64_t parts = tactic.get("parts", 1);
    if (parts < 1 || view.n % parts)
      return data_loss(cat("tactic ", tactic.to_string(), ": ", parts, " parts of ", view.n,
                           " columns"));
    return ask(view, parts, std::clamp<int64_t>(tactic.get("m", 1), 1, int64_t(1) << 31), false,
               nullptr, /*make=*/false);
  }
};

}  // namespace

void register_matmul_kernel(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<MatmulKernel>());
}

}  // namespace planish::onednn
