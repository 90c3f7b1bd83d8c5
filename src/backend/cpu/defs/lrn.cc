// Local response normalization across channels, row-major: a sliding sum of squares per pixel.
#include <cmath>

#include "backend/cpu/defs/limits.h"
#include "backend/cpu/defs/refusal.h"
#include "backend/cpu/defs/register_kernels.h"
#include "base/text.h"
#include "base/thread_team.h"
#include "kernel/cost.h"

namespace planish::cpu {
namespace {

using kernel::Problem;

class LrnLaunchable : public kernel::Launchable {
 public:
  explicit LrnLaunchable(const Problem& problem) {
    const kernel::Stage& stage = problem.stages[0];
    const std::vector<int64_t> dims = ir::to_dims(problem.operands[0].type.shape);
    batch_ = dims[0];
    channels_ = dims[1];
    for (size_t d = 2; d < dims.size(); ++d) pixels_ *= dims[d];
    size_ = std::get<int64_t>(stage.attrs.find("size")->second);
    const auto number = [&](std::string_view key) {
      return float(std::get<double>(stage.attrs.find(key)->second));
    };
    alpha_ = number("alpha") / float(size_);
    beta_ = number("beta");
    bias_ = number("bias");
  }
  Status run(const kernel::RunArgs& args) const override {
    const auto* in = static_cast<const float*>(args.operands[0].data);
    auto* out = static_cast<float*>(args.results[0].data);
    constexpr int64_t kPiece = 256;
    const int64_t pieces = (pixels_ + kPiece - 1) / kPiece;
    const int64_t before = (size_ - 1) / 2, after = size_ - 1 - before;
    args.team->parallel_for(batch_ * channels_ * pieces, [&](int64_t begin, int64_t end, int) {
      float sum[kPiece];
      for (int64_t i = begin; i < end; ++i) {
        const int64_t at = i % pieces * kPiece, c = i / pieces % channels_, n = i / pieces / channels_;
        const int64_t count = std::min(kPiece, pixels_ - at);
        const float* image = in + n * channels_ * pixels_ + at;
        for (int64_t p = 0; p < count; ++p) sum[p] = 0;
        for (int64_t k = std::max<int64_t>(0, c - before); k <= std::min(channels_ - 1, c + after); ++k)
          for (int64_t p = 0; p < count; ++p) sum[p] += image[k * pixels_ + p] * image[k * pixels_ + p];
        float* to = out + (n * channels_ + c) * pixels_ + at;
        const float* x = image + c * pixels_;
        for (int64_t p = 0; p < count; ++p) {
          const float base = bias_ + alpha_ * sum[p];
          // x^-0.75 by square roots: the value every published network has.
          const float factor =
              beta_ == 0.75f ? 1 / (std::sqrt(base) * std::sqrt(std::sqrt(base))) : std::pow(base, -beta_);
          to[p] = x[p] * factor;
        }
      }
    });
    return ok_status();
  }

 private:
  int64_t batch_ = 1, channels_ = 1, pixels_ = 1, size_ = 1;
  float alpha_ = 0, beta_ = 0, bias_ = 0;
};

class LrnKernel : public kernel::KernelDef {
 public:
  std::string name() const override { return "cpu.lrn_f32"; }
  std::string device_kind() const override { return "cpu"; }
  Status supports(const Problem& problem, const kernel::DeviceInfo&) const override {
    if (problem.root_op() != "LRN") return other_family();
    if (problem.stages.size() != 1) return unsupported("an epilogue");
    PLANISH_RETURN_IF_ERROR(reads_in_order(problem.stages[0]));
    if (problem.operands[0].type.dtype != ir::DataType::kF32 || problem.operands[0].type.rank() < 3)
      return unsupported("takes f32 of rank 3 and more");
    const int64_t size = std::get<int64_t>(problem.stages[0].attrs.find("size")->second);
    if (size < 1 || size > kMaxTacticCount) return unsupported(cat("a window of ", size));
    return ok_status();
  }
  double predict_us(const Problem& problem, const kernel::Tactic&,
                    const kernel::DeviceInfo& device) const override {
    return 2 + 4 * double(kernel::bytes_moved(problem)) / (device.memory_gbps * 1e3);
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    return std::unique_ptr<kernel::Launchable>(std::make_unique<LrnLaunchable>(*args.problem));
  }
};

}  // namespace

void register_lrn_kernel(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<LrnKernel>());
}

}  // namespace planish::cpu
