// Convolutions on blocked activations as KernelDefs: direct, Winograd and depthwise. Epilogues run in
// the kernels' registers or piece by piece behind them (epilogue.h).
#include <algorithm>

#include "backend/cpu/defs/conv_view.h"
#include "backend/cpu/defs/epilogue.h"
#include "backend/cpu/defs/limits.h"
#include "backend/cpu/defs/refusal.h"
#include "backend/cpu/defs/register_kernels.h"
#include "backend/cpu/kernels/depthwise/depthwise.h"
#include "backend/cpu/kernels/direct_conv/direct_conv.h"
#include "backend/cpu/kernels/winograd/winograd.h"
#include "base/text.h"
#include "base/thread_team.h"
#include "kernel/cost.h"
#include "kernel/stage_input.h"

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
  static Status check(const Tactic& t) {
    PLANISH_RETURN_IF_ERROR(in_range(t, "j", 2, 1, 4));
    PLANISH_RETURN_IF_ERROR(in_range(t, "band", 0, 0, kMaxTacticCount));
    PLANISH_RETURN_IF_ERROR(in_range(t, "chunks", 0, 0, kMaxTacticCount));
    return in_range(t, "ic", 0, 0, kMaxTacticCount);
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
  static Status check(const Tactic& t) {
    if (t.get("tile", 4) != 4) PLANISH_RETURN_IF_ERROR(in_range(t, "tile", 4, 6, 6));
    PLANISH_RETURN_IF_ERROR(in_range(t, "j", 2, 1, 4));
    PLANISH_RETURN_IF_ERROR(in_range(t, "tiles", 16, 1, kMaxTacticCount));
    return in_range(t, "ic", 0, 0, kMaxTacticCount);
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

struct NoTactic {};

struct DepthwiseFamily {
  using FamilyTactic = NoTactic;
  static constexpr std::string_view kName = "cpu.conv_depthwise_f32";
  static constexpr bool kRoundsDifferently = false;
  static constexpr double kPeakShare = 0.15;
  static std::string_view refusal(const ConvProblem& p, Isa isa) {
    if (p.planar_input) return "takes blocked input only";
    return depthwise_refusal(p, isa);
  }
  static std::vector<FamilyTactic> enumerate(const ConvProblem&, Isa, int) { return {{}}; }
  static Tactic write(const FamilyTactic&) { return {}; }
  static FamilyTactic read(const Tactic&) { return {}; }
  static Status check(const Tactic&) { return ok_status(); }
  static int64_t packed_floats(const ConvProblem& p, const FamilyTactic&, Isa isa) {
    return depthwise_packed_floats(p, isa);
  }
  static void pack(const ConvProblem& p, const FamilyTactic&, Isa isa, const float* w, float* to) {
    pack_depthwise_weights(p, isa, w, to);
  }
  static int64_t workspace(const ConvProblem&, const FamilyTactic&, Isa, int) { return 0; }
  static void run(const ConvProblem& p, const FamilyTactic&, Isa isa, const ConvArgs& args,
                  ThreadTeam& team) {
    run_depthwise(p, isa, args, team);
  }
  static double work_factor(const FamilyTactic&) { return 1; }
};

bool is_blocked(const Layout& layout) { return layout.block_dim == 1; }

template <class Family>
class ConvLaunchable : public kernel::Launchable {
 public:
  ConvLaunchable(const ConvView& view, typename Family::FamilyTactic tactic, Isa isa, int threads,
                 std::span<const std::byte> packed, BoundEpilogue epilogue)
      : conv_(view.conv),
        input_(view.input),
        tactic_(tactic),
        isa_(isa),
        packed_(reinterpret_cast<const float*>(packed.data())),
        epilogue_(std::move(epilogue)),
        workspace_(Family::workspace(conv_, tactic_, isa, threads)) {}
  int64_t workspace_bytes() const override { return workspace_; }
  Status run(const RunArgs& args) const override {
    ConvArgs a;
    const kernel::BufferRef& in = args.operands[size_t(input_)];
    a.input = static_cast<const float*>(in.data);
    a.input_batch_stride = in.outer_stride_bytes / int64_t(sizeof(float));
    a.weights = packed_;
    a.output = static_cast<float*>(args.results[0].data);
    a.output_batch_stride = args.results[0].outer_stride_bytes / int64_t(sizeof(float));
    BoundEpilogue::Call call;
    a.epilogue = epilogue_.for_run(args, call);
    a.workspace = args.workspace;
    Family::run(conv_, tactic_, isa_, a, *args.team);
    return ok_status();
  }

 private:
  ConvProblem conv_;
  int input_;
  typename Family::FamilyTactic tactic_;
  Isa isa_;
  const float* packed_;
  BoundEpilogue epilogue_;
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
    PLANISH_RETURN_IF_ERROR(BoundEpilogue::supports(problem, view.parts, 1, view.bias));
    const std::vector<int64_t> out = ir::to_dims(view.parts.root->outputs[0].shape);
    if (!blocked_operands(problem, view.parts.epilogue_inputs, out, vector_width(best_isa())))
      return unsupported("an epilogue operand that cannot stand beside blocked channels");
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
      const std::vector<int64_t> dims = ir::to_dims(view->parts.root->outputs[0].shape);
      auto operands = blocked_operands(problem, view->parts.epilogue_inputs, dims,
                                       vector_width(best_isa()));
      if (!operands) continue;
      choice.operands = std::move(*operands);
      if (planar && !choice.operands[size_t(view->input)].is_row_major()) continue;
      if (!planar) choice.operands[size_t(view->input)] = blocked;
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
    if (!view.ok() || index != view->input) return false;
    const auto& others = view->parts.epilogue_inputs;
    return std::find(others.begin(), others.end(), index) == others.end();
  }

  bool packs(const Problem& problem, int operand) const override {
    return kernel::is_root_input(problem, 1, operand);
  }

  Result<kernel::Blob> pack(const Problem& problem, const Tactic& tactic, const DeviceInfo&,
                            std::span<const ir::Tensor> constants) const override {
    PLANISH_ASSIGN_OR_RETURN(ConvView view, weights_view(problem));
    // Filters that the family does not take; of the input nothing is asked yet.
    ConvProblem filters = view.conv;
    filters.planar_input = false;
    if (const std::string_view why = Family::refusal(filters, best_isa()); !why.empty())
      return unsupported(std::string(why));
    PLANISH_RETURN_IF_ERROR(Family::check(tactic));
    const auto t = Family::read(tactic);
    const ConvProblem& c = view.conv;
    PLANISH_RETURN_IF_ERROR(constant_floats(
        constants, view.weights,
        c.out_channels * (c.in_channels / c.groups) * c.kernel_height * c.kernel_width));
    kernel::Blob blob;
    blob.bytes.resize(size_t(Family::packed_floats(view.conv, t, best_isa())) * sizeof(float));
    Family::pack(view.conv, t, best_isa(), constants[size_t(view.weights)].data_as<float>(),
                 reinterpret_cast<float*>(blob.bytes.data()));
    return blob;
  }

  Result<std::unique_ptr<kernel::Launchable>> bind(const BindArgs& args) const override {
    ConvView view = laid_out(*args.problem);
    PLANISH_RETURN_IF_ERROR(check_channels(*args.problem, view));
    if (const std::string_view why = Family::refusal(view.conv, best_isa()); !why.empty())
      return unsupported(std::string(why));
    PLANISH_RETURN_IF_ERROR(Family::check(*args.tactic));
    PLANISH_RETURN_IF_ERROR(packed_floats(
        args.packed, Family::packed_floats(view.conv, Family::read(*args.tactic), best_isa())));
    PLANISH_ASSIGN_OR_RETURN(
        BoundEpilogue epilogue,
        BoundEpilogue::bind(args, view.parts, 1, view.bias, /*blocked=*/true, kMaxVectorWidth));
    return std::unique_ptr<kernel::Launchable>(std::make_unique<ConvLaunchable<Family>>(
        view, Family::read(*args.tactic), best_isa(), args.device->threads, args.packed,
        std::move(epilogue)));
  }

 private:
  static ConvView laid_out(const Problem& problem) {
    ConvView view = std::move(conv_view(problem)).value();
    view.conv.planar_input = !is_blocked(problem.operands[size_t(view.input)].type.layout);
    return view;
  }
  // Packing looks at weights only: other dims may be symbolic and are set to 1, the input's channels
  // follow from the weights. The result's `parts` are void.
  static Result<ConvView> weights_view(const Problem& problem) {
    PLANISH_ASSIGN_OR_RETURN(Problem plain,
                             kernel::concrete(problem, [](std::string_view) { return 1; }));
    PLANISH_ASSIGN_OR_RETURN(ConvView view, conv_view(plain));
    view.conv.batch = 1;
    view.conv.in_height = (view.conv.kernel_height - 1) * view.conv.dilation_height + 1;
    view.conv.in_width = (view.conv.kernel_width - 1) * view.conv.dilation_width + 1;
    view.conv.pad_top = view.conv.pad_left = view.conv.pad_bottom = view.conv.pad_right = 0;
    view.conv.planar_input = !is_blocked(problem.operands[size_t(view.input)].type.layout);
    view.conv.in_channels =
        ir::to_dims(plain.type_of(view.weights).shape)[1] * view.conv.groups;
    return view;
  }
};

}  // namespace

void register_conv_kernels(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<ConvKernel<DepthwiseFamily>>());
  registry.add(std::make_unique<ConvKernel<DirectFamily>>());
  registry.add(std::make_unique<ConvKernel<WinogradFamily>>());
}

}  // namespace planish::cpu
