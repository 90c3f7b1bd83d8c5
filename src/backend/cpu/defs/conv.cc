// Convolutions on blocked activations as KernelDefs: direct and Winograd. Bias, residual and clamps
// run in the kernels' registers; any other epilogue is refused here, so that the region is split or
// another kernel takes it.
#include "backend/cpu/defs/conv_view.h"
#include "backend/cpu/defs/refusal.h"
#include "backend/cpu/defs/register_kernels.h"
#include "backend/cpu/kernels/direct_conv/direct_conv.h"
#include "backend/cpu/kernels/winograd/winograd.h"
#include "base/text.h"
#include "base/thread_team.h"
#include "kernel/cost.h"

namespace planish::cpu {
namespace {

using kernel::BindArgs;
using kernel::DeviceInfo;
using kernel::LayoutChoice;
using kernel::Problem;
using kernel::RunArgs;
using kernel::Tactic;
using ir::Layout;

// What differs between the families.
struct DirectFamily {
  using FamilyTactic = DirectConvTactic;
  static constexpr std::string_view kName = "cpu.conv_direct_f32";
  static constexpr bool kRoundsDifferently = false;
  static constexpr double kPeakShare = 0.75;
  static std::string_view refusal(const ConvProblem& p, Isa isa) {
    return direct_conv_refusal(p, isa);
  }
  static std::vector<FamilyTactic> enumerate(const ConvProblem& p, Isa isa, int threads) {
    return enumerate_direct_conv_tactics(p, isa, threads);
  }
  static Tactic write(const FamilyTactic& t) {
    return {{{"j", t.j_blocks}, {"band", t.band}, {"chunks", t.chunks}, {"ic", t.in_blocks},
             {"copy", t.copy_input}}};
  }
  static FamilyTactic read(const Tactic& t) {
    FamilyTactic out;
    out.j_blocks = int(t.get("j", 2));
    out.band = t.get("band");
    out.chunks = t.get("chunks");
    out.in_blocks = t.get("ic");
    out.copy_input = t.get("copy") != 0;
    return out;
  }
  static int64_t packed_floats(const ConvProblem& p, const FamilyTactic& t, Isa isa) {
    return direct_conv_packed_floats(p, t, isa);
  }
  static void pack(const ConvProblem& p, const FamilyTactic& t, Isa isa, const float* w, float* to) {
    pack_direct_conv_weights(p, t, isa, w, to);
  }
  static int64_t workspace(const ConvProblem& p, const FamilyTactic& t, Isa isa, int threads) {
    return direct_conv_workspace_bytes(p, t, isa, threads);
  }
  static void run(const ConvProblem& p, const FamilyTactic& t, Isa isa, const ConvArgs& args,
                  ThreadTeam& team) {
    run_direct_conv(p, t, isa, args, team);
  }
  static double work_factor(const FamilyTactic&) { return 1; }
};

struct WinogradFamily {
  using FamilyTactic = WinogradTactic;
  static constexpr std::string_view kName = "cpu.conv_winograd_f32";
  static constexpr bool kRoundsDifferently = true;
  static constexpr double kPeakShare = 0.5;
  static std::string_view refusal(const ConvProblem& p, Isa isa) {
    if (p.planar_input) return "takes blocked input only";
    return winograd_refusal(p, isa);
  }
  static std::vector<FamilyTactic> enumerate(const ConvProblem& p, Isa isa, int threads) {
    return enumerate_winograd_tactics(p, isa, threads);
  }
  static Tactic write(const FamilyTactic& t) {
    return {{{"tile", t.tile}, {"j", t.j_blocks}, {"split", t.split_channels},
             {"tiles", t.tiles}, {"ic", t.in_blocks}}};
  }
  static FamilyTactic read(const Tactic& t) {
    FamilyTactic out;
    out.tile = int(t.get("tile", 4));
    out.j_blocks = int(t.get("j", 2));
    out.split_channels = t.get("split", 1) != 0;
    out.tiles = t.get("tiles", 16);
    out.in_blocks = t.get("ic");
    return out;
  }
  static int64_t packed_floats(const ConvProblem& p, const FamilyTactic& t, Isa isa) {
    return winograd_packed_floats(p, t, isa);
  }
  static void pack(const ConvProblem& p, const FamilyTactic& t, Isa isa, const float* w, float* to) {
    pack_winograd_weights(p, t, isa, w, to);
  }
  static int64_t workspace(const ConvProblem& p, const FamilyTactic& t, Isa isa, int threads) {
    return winograd_workspace_bytes(p, t, isa, threads);
  }
  static void run(const ConvProblem& p, const FamilyTactic& t, Isa isa, const ConvArgs& args,
                  ThreadTeam& team) {
    run_winograd(p, t, isa, args, team);
  }
  static double work_factor(const FamilyTactic& t) {
    const double points = double((t.tile + 2) * (t.tile + 2));
    return points / double(t.tile * t.tile * 9);
  }
};

bool is_blocked(const Layout& layout) { return layout.block_dim == 1; }

template <class Family>
class ConvLaunchable : public kernel::Launchable {
 public:
  ConvLaunchable(ConvView view, typename Family::FamilyTactic tactic, Isa isa, int threads,
                 std::span<const std::byte> packed, std::vector<float> bias)
      : view_(std::move(view)),
        tactic_(tactic),
        isa_(isa),
        packed_(reinterpret_cast<const float*>(packed.data())),
        bias_(std::move(bias)),
        workspace_(Family::workspace(view_.conv, tactic_, isa, threads)) {}
  int64_t workspace_bytes() const override { return workspace_; }
  Status run(const RunArgs& args) const override {
    ConvArgs a;
    const kernel::BufferRef& in = args.operands[size_t(view_.input)];
    a.input = static_cast<const float*>(in.data);
    a.input_batch_stride = in.outer_stride_bytes / int64_t(sizeof(float));
    a.weights = packed_;
    a.output = static_cast<float*>(args.results[0].data);
    a.output_batch_stride = args.results[0].outer_stride_bytes / int64_t(sizeof(float));
    if (!bias_.empty()) a.epilogue.bias = bias_.data();
    if (view_.epilogue.residual >= 0)
      a.epilogue.residual =
          static_cast<const float*>(args.operands[size_t(view_.epilogue.residual)].data);
    a.epilogue.lo = view_.epilogue.lo;
    a.epilogue.hi = view_.epilogue.hi;
    a.workspace = args.workspace;
    Family::run(view_.conv, tactic_, isa_, a, *args.team);
    return ok_status();
  }

 private:
  ConvView view_;
  typename Family::FamilyTactic tactic_;
  Isa isa_;
  const float* packed_;
  std::vector<float> bias_;
  int64_t workspace_;
};

template <class Family>
class ConvKernel : public kernel::KernelDef {
 public:
  std::string name() const override { return std::string(Family::kName); }
  std::string device_kind() const override { return "cpu"; }
  bool rounds_differently() const override { return Family::kRoundsDifferently; }

  Status supports(const Problem& problem, const DeviceInfo&) const override {
    PLANISH_ASSIGN_OR_RETURN(ConvView view, conv_view(problem));
    if (view.post) return unsupported("the epilogue is more than bias, residual and clamp");
    if (!problem.operands[size_t(view.weights)].constant)
      return unsupported("the weights are computed, expected a constant");
    for (bool planar : {false, true}) {
      view.conv.planar_input = planar;
      const std::string_view why = Family::refusal(view.conv, best_isa());
      if (why.empty()) return ok_status();
      if (planar) return unsupported(std::string(why));
    }
    return ok_status();
  }

  std::vector<LayoutChoice> layouts(const Problem& problem, const DeviceInfo&) const override {
    auto view = conv_view(problem);
    if (!view.ok()) return {};
    const Layout blocked = Layout::blocked(1, vector_width(best_isa()));
    std::vector<LayoutChoice> out;
    for (bool planar : {false, true}) {
      view->conv.planar_input = planar;
      if (!Family::refusal(view->conv, best_isa()).empty()) continue;
      LayoutChoice choice;
      choice.operands.resize(problem.operands.size());
      if (!planar) choice.operands[size_t(view->input)] = blocked;
      if (view->epilogue.residual >= 0) choice.operands[size_t(view->epilogue.residual)] = blocked;
      choice.results = {blocked};
      out.push_back(std::move(choice));
    }
    return out;
  }

  std::vector<Tactic> tactics(const Problem& problem, const DeviceInfo& device) const override {
    std::vector<Tactic> out;
    const ConvView view = laid_out(problem);
    for (const auto& t : Family::enumerate(view.conv, best_isa(), device.threads))
      out.push_back(Family::write(t));
    return out;
  }

  double predict_us(const Problem& problem, const Tactic& tactic,
                    const DeviceInfo& device) const override {
    const double flops = kernel::flop_count(problem) * Family::work_factor(Family::read(tactic));
    const double compute = flops / (device.peak_gflops * Family::kPeakShare * 1e3);
    const double memory = double(kernel::bytes_moved(problem)) / (device.memory_gbps * 2e3);
    return 2 + std::max(compute, memory) + 0.2 * std::min(compute, memory);
  }

  bool takes_strided(const Problem& problem, bool result, int index) const override {
    if (result) return true;
    auto view = conv_view(problem);
    return view.ok() && index == view->input && view->epilogue.residual != index;
  }

  bool packs(const Problem& problem, int operand) const override {
    auto split = kernel::root_and_epilogue(problem);
    return split && operand == split->root->inputs[1];
  }

  Result<kernel::Blob> pack(const Problem& problem, const Tactic& tactic, const DeviceInfo&,
                            std::span<const ir::Tensor> constants) const override {
    PLANISH_ASSIGN_OR_RETURN(ConvView view, weights_view(problem));
    const auto t = Family::read(tactic);
    kernel::Blob blob;
    blob.bytes.resize(size_t(Family::packed_floats(view.conv, t, best_isa())) * sizeof(float));
    Family::pack(view.conv, t, best_isa(), constants[size_t(view.weights)].data_as<float>(),
                 reinterpret_cast<float*>(blob.bytes.data()));
    return blob;
  }

  Result<std::unique_ptr<kernel::Launchable>> bind(const BindArgs& args) const override {
    ConvView view = laid_out(*args.problem);
    if (const std::string_view why = Family::refusal(view.conv, best_isa()); !why.empty())
      return unsupported(std::string(why));
    const int64_t out_channels = round_up(view.conv.out_channels, kMaxVectorWidth);
    std::vector<float> bias;
    if (view.bias >= 0) {
      const ir::Tensor& source = args.constants[size_t(view.bias)];
      bias.assign(size_t(out_channels), 0.0f);
      for (int64_t i = 0; i < view.conv.out_channels; ++i)
        bias[size_t(i)] = source.data_as<float>()[source.count() == 1 ? 0 : i];
    }
    return std::unique_ptr<kernel::Launchable>(std::make_unique<ConvLaunchable<Family>>(
        std::move(view), Family::read(*args.tactic), best_isa(), args.device->threads, args.packed,
        std::move(bias)));
  }

 private:
  static ConvView laid_out(const Problem& problem) {
    ConvView view = std::move(conv_view(problem)).value();
    view.conv.planar_input = !is_blocked(problem.operands[size_t(view.input)].type.layout);
    return view;
  }
  // Packing looks at weights only: other dims may be symbolic and are set to 1.
  static Result<ConvView> weights_view(const Problem& problem) {
    PLANISH_ASSIGN_OR_RETURN(Problem plain,
                             kernel::concrete(problem, [](std::string_view) { return 1; }));
    PLANISH_ASSIGN_OR_RETURN(ConvView view, conv_view(plain));
    view.conv.planar_input = !is_blocked(problem.operands[size_t(view.input)].type.layout);
    return view;
  }
};

}  // namespace

void register_conv_kernels(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<ConvKernel<DirectFamily>>());
  registry.add(std::make_unique<ConvKernel<WinogradFamily>>());
}

}  // namespace planish::cpu
