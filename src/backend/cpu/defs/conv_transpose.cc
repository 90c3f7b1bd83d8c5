// Transposed convolution, row-major: one matrix product per image gives every tap's contribution,
// which a second sweep adds up (col2im).
#include <algorithm>

#include "backend/cpu/defs/conv_view.h"
#include "backend/cpu/defs/limits.h"
#include "backend/cpu/defs/refusal.h"
#include "backend/cpu/defs/register_kernels.h"
#include "backend/cpu/kernels/matmul/matmul.h"
#include "base/text.h"
#include "base/thread_team.h"
#include "kernel/cost.h"

namespace planish::cpu {
namespace {

using kernel::Problem;

struct TransposedView {
  ConvProblem window;  // in_height, in_width: of the input
  int64_t out_channels = 0, out_height = 0, out_width = 0, groups = 1;
  int bias = -1;
  MatmulProblem product() const {
    MatmulProblem p;
    p.m = out_channels / groups * window.kernel_height * window.kernel_width;
    p.k = window.in_channels / groups;
    p.n = window.in_height * window.in_width;
    p.transpose_a = true;
    p.packed_b = false;
    return p;
  }
};

Result<TransposedView> transposed_view(const Problem& problem) {
  if (problem.root_op() != "ConvTranspose") return other_family();
  if (problem.stages.size() != 1) return unsupported("an epilogue");
  const kernel::Stage& stage = problem.stages[0];
  PLANISH_RETURN_IF_ERROR(reads_in_order(stage));
  const ir::TensorType& x = problem.operands[0].type;
  if (x.dtype != ir::DataType::kF32) return unsupported("input is not f32");
  if (x.rank() != 3 && x.rank() != 4) return unsupported("not one- or two-dimensional");
  const std::vector<int64_t> in = ir::to_dims(x.shape), out = ir::to_dims(stage.outputs[0].shape);
  const std::vector<int64_t> w = ir::to_dims(problem.operands[1].type.shape);
  kernel::Window window;
  PLANISH_ASSIGN_OR_RETURN(
      window, kernel::window_of(stage.attrs, x.rank() - 2, std::span(w).subspan(2)));
  if (window.is_same() || stage.attrs.count("output_shape"))
    return unsupported("pads that follow from the output's shape");
  TransposedView view;
  view.window = convolution_of(window, in);
  view.groups = std::get<int64_t>(stage.attrs.find("group")->second);
  view.out_channels = out[1];
  view.out_height = out.size() == 3 ? 1 : out[2];
  view.out_width = out.back();
  view.bias = stage.inputs.size() > 2 ? stage.inputs[2] : -1;
  const std::string_view why = matmul_refusal(view.product(), best_isa());
  if (!why.empty()) return unsupported(std::string(why));
  return view;
}

class TransposedLaunchable : public kernel::Launchable {
 public:
  TransposedLaunchable(TransposedView view, int threads)
      : view_(view),
        tactic_(enumerate_matmul_tactics(view.product(), best_isa(), threads).front()),
        product_bytes_(round_up(
            matmul_workspace_bytes(view.product(), tactic_, best_isa(), threads), 64)) {}
  int64_t workspace_bytes() const override {
    const MatmulProblem p = view_.product();
    return product_bytes_ + p.m * p.n * view_.groups * int64_t(sizeof(float));
  }
  Status run(const kernel::RunArgs& args) const override {
    const MatmulProblem p = view_.product();
    const auto* input = static_cast<const float*>(args.operands[0].data);
    const auto* weights = static_cast<const float*>(args.operands[1].data);
    auto* output = static_cast<float*>(args.results[0].data);
    const float* bias =
        view_.bias < 0 ? nullptr
                       : static_cast<const float*>(args.operands[size_t(view_.bias)].data);
    auto* columns = reinterpret_cast<float*>(args.workspace + product_bytes_);
    const int64_t out_image = view_.out_channels * view_.out_height * view_.out_width;
    for (int64_t n = 0; n < view_.window.batch; ++n) {
      for (int64_t g = 0; g < view_.groups; ++g) {
        MatmulArgs a;
        a.a = weights + g * p.k * p.m;
        a.b = input + (n * view_.groups + g) * p.k * p.n;
        a.c = columns + g * p.m * p.n;
        a.workspace = args.workspace;
        run_matmul(p, tactic_, best_isa(), a, *args.team);
      }
      float* image = output + n * out_image;
      args.team->parallel_for(view_.out_channels, [&](int64_t begin, int64_t end, int) {
        for (int64_t c = begin; c < end; ++c) add_up(columns, image, bias ? bias[c] : 0.0f, c);
      });
    }
    return ok_status();
  }

 private:
  void add_up(const float* columns, float* image, float bias, int64_t c) const {
    const ConvProblem& w = view_.window;
    float* plane = image + c * view_.out_height * view_.out_width;
    std::fill(plane, plane + view_.out_height * view_.out_width, bias);
    const int64_t pixels = w.in_height * w.in_width, taps = w.kernel_height * w.kernel_width;
    for (int64_t kh = 0; kh < w.kernel_height; ++kh) {
      for (int64_t kw = 0; kw < w.kernel_width; ++kw) {
        const float* from = columns + (c * taps + kh * w.kernel_width + kw) * pixels;
        for (int64_t y = 0; y < w.in_height; ++y) {
          const int64_t oy = y * w.stride_height + kh * w.dilation_height - w.pad_top;
          if (oy < 0 || oy >= view_.out_height) continue;
          float* row = plane + oy * view_.out_width;
          for (int64_t x = 0; x < w.in_width; ++x) {
            const int64_t ox = x * w.stride_width + kw * w.dilation_width - w.pad_left;
            if (ox >= 0 && ox < view_.out_width) row[ox] += from[y * w.in_width + x];
          }
        }
      }
    }
  }
  TransposedView view_;
  MatmulTactic tactic_;
  int64_t product_bytes_;
};

class TransposedKernel : public kernel::KernelDef {
 public:
  std::string name() const override { return "cpu.conv_transpose_f32"; }
  std::string device_kind() const override { return "cpu"; }
  Status supports(const Problem& problem, const kernel::DeviceInfo&) const override {
    return transposed_view(problem).status();
  }
  double predict_us(const Problem& problem, const kernel::Tactic&,
                    const kernel::DeviceInfo& device) const override {
    return 3 + kernel::flop_count(problem) / (device.peak_gflops * 0.3 * 1e3);
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    PLANISH_ASSIGN_OR_RETURN(TransposedView view, transposed_view(*args.problem));
    return std::unique_ptr<kernel::Launchable>(
        std::make_unique<TransposedLaunchable>(view, args.device->threads));
  }
};

}  // namespace

void register_conv_transpose_kernel(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<TransposedKernel>());
}

}  // namespace planish::cpu
