// Regions of several convolutions by the fused kernel: expand, depthwise, project (MobileNet V2 and
// its family), and depthwise, project (MobileNet V1).
#include "backend/cpu/defs/conv_view.h"
#include "backend/cpu/defs/epilogue.h"
#include "backend/cpu/defs/limits.h"
#include "backend/cpu/defs/refusal.h"
#include "backend/cpu/defs/register_kernels.h"
#include "backend/cpu/kernels/bottleneck/bottleneck.h"
#include "base/text.h"
#include "base/thread_team.h"
#include "kernel/cost.h"

namespace planish::cpu {
namespace {

using ir::Layout;
using kernel::Problem;
using kernel::Tactic;

// One convolution of the chain with the epilogue behind it.
struct Link {
  const kernel::Stage* conv = nullptr;
  kernel::RootAndEpilogue parts;
  int bias = -1;           // the convolution's own
  SimpleEpilogue simple;   // all but the last link's must be simple
  bool is_simple = false;
};

struct ChainView {
  BottleneckProblem problem;
  std::vector<Link> links;
  int input = 0;
};

int64_t group_of(const kernel::Stage& conv) {
  return std::get<int64_t>(conv.attrs.find("group")->second);
}

// The convolutions of a straight chain, each with at most one expression behind it.
Result<std::vector<Link>> links_of(const Problem& problem) {
  std::vector<Link> links;
  int value = int(problem.operands.size());
  int previous = -1;  // the value that the next convolution must read
  for (const kernel::Stage& stage : problem.stages) {
    if (stage.is_expr()) {
      if (links.empty() || links.back().parts.epilogue) return unsupported("an expression before");
      Link& link = links.back();
      link.parts.epilogue = &*stage.expr;
      link.parts.epilogue_stage = &stage;
      link.parts.epilogue_inputs = stage.inputs;
    } else {
      if (stage.op != "Conv") return other_family();
      if (previous >= 0 && stage.inputs[0] != previous) return unsupported("no chain");
      Link link;
      link.conv = &stage;
      link.parts.root = &stage;
      link.parts.root_output = value;
      link.bias = stage.inputs.size() > 2 ? stage.inputs[2] : -1;
      links.push_back(std::move(link));
    }
    if (stage.outputs.size() != 1) return unsupported("a stage of several results");
    previous = value++;
  }
  if (links.size() < 2 || links.size() > 3) return other_family();
  for (size_t i = 0; i < links.size(); ++i) {
    auto simple = simple_epilogue(problem, links[i].parts, 1);
    links[i].is_simple = simple.has_value();
    if (simple) links[i].simple = *simple;
    if (i + 1 == links.size()) continue;
    if (!simple || simple->residual >= 0 || (simple->bias >= 0 && links[i].bias >= 0))
      return unsupported("an inner epilogue is more than bias and clamp");
    if (simple->bias >= 0) links[i].bias = simple->bias;
  }
  return links;
}

Result<ChainView> chain_view(const Problem& problem) {
  if (problem.root_op() != "Conv") return other_family();
  PLANISH_ASSIGN_OR_RETURN(auto links, links_of(problem));
  if (problem.results.size() != 1 || problem.results[0] + 1 != problem.value_count())
    return unsupported("an inner value leaves the region");
  ChainView view;
  view.links = std::move(links);
  view.input = view.links[0].conv->inputs[0];
  const size_t dw = view.links.size() - 2;
  const auto weights = [&](size_t i) {
    return ir::to_dims(problem.type_of(view.links[i].conv->inputs[1]).shape);
  };
  for (const Link& link : view.links) {
    const int w = link.conv->inputs[1];
    if (w >= int(problem.operands.size()) || !problem.operands[size_t(w)].constant)
      return unsupported("computed weights");
    if (problem.type_of(w).dtype != ir::DataType::kF32) return unsupported("weights are not f32");
    if (problem.type_of(w).rank() != 4) return unsupported("not two-dimensional");
    if (link.bias >= 0 && !problem.operands[size_t(link.bias)].constant)
      return unsupported("a computed bias");
  }
  const kernel::Stage& depthwise = *view.links[dw].conv;
  const std::vector<int64_t> in = ir::to_dims(problem.type_of(depthwise.inputs[0]).shape);
  const std::vector<int64_t> filter = weights(dw);
  PLANISH_ASSIGN_OR_RETURN(
      kernel::Window window,
      kernel::window_of(depthwise.attrs, 2, std::span(filter).subspan(2)));
  BottleneckProblem& p = view.problem;
  p.depthwise = convolution_of(window, in);
  p.depthwise.groups = group_of(depthwise);
  if (p.depthwise.groups != in[1] || filter[0] != in[1]) return unsupported("no depthwise step");
  const auto is_pointwise = [&](size_t i) -> bool {
    const std::vector<int64_t> f = weights(i);
    const kernel::Stage& conv = *view.links[i].conv;
    auto w = kernel::window_of(conv.attrs, 2, std::span(f).subspan(2));
    if (!w.ok()) return false;
    const ConvProblem c = convolution_of(*w, ir::to_dims(problem.type_of(conv.inputs[0]).shape));
    return c.is_pointwise() && c.stride_height == 1 && c.stride_width == 1 && !c.has_padding() &&
           group_of(conv) == 1;
  };
  if (!is_pointwise(dw + 1) || (dw == 1 && !is_pointwise(0))) return unsupported("no 1x1 step");
  p.out_channels = weights(dw + 1)[0];
  p.has_expand = dw == 1;
  p.in_channels = ir::to_dims(problem.type_of(view.input).shape)[1];
  if (p.has_expand) {
    p.expand_lo = view.links[0].simple.lo;
    p.expand_hi = view.links[0].simple.hi;
  }
  p.depthwise_lo = view.links[dw].simple.lo;
  p.depthwise_hi = view.links[dw].simple.hi;
  const std::string_view why = bottleneck_refusal(p, best_isa());
  if (!why.empty()) return unsupported(std::string(why));
  return view;
}

BottleneckTactic read(const Tactic& t) {
  BottleneckTactic out;
  out.by_channels = t.get("channels") != 0;
  out.pieces = t.get("pieces", 8);
  out.mid_blocks = t.get("mid", 3);
  return out;
}

Status check(const Tactic& t) {
  PLANISH_RETURN_IF_ERROR(in_range(t, "pieces", 8, 1, kMaxTacticCount));
  return in_range(t, "mid", 3, 1, kMaxTacticCount);
}

class BottleneckLaunchable : public kernel::Launchable {
 public:
  BottleneckLaunchable(BottleneckProblem problem, BottleneckTactic tactic, int input, int threads,
                       std::span<const std::byte> packed, BoundEpilogue epilogue)
      : problem_(problem),
        tactic_(tactic),
        input_(input),
        packed_(reinterpret_cast<const float*>(packed.data())),
        epilogue_(std::move(epilogue)),
        workspace_(bottleneck_workspace_bytes(problem_, tactic_, best_isa(), threads)) {}
  int64_t workspace_bytes() const override { return workspace_; }
  Status run(const kernel::RunArgs& args) const override {
    ConvArgs a;
    a.input = static_cast<const float*>(args.operands[size_t(input_)].data);
    a.weights = packed_;
    a.output = static_cast<float*>(args.results[0].data);
    BoundEpilogue::Call call;
    a.epilogue = epilogue_.for_run(args, call);
    a.workspace = args.workspace;
    run_bottleneck(problem_, tactic_, best_isa(), a, *args.team);
    return ok_status();
  }

 private:
  BottleneckProblem problem_;
  BottleneckTactic tactic_;
  int input_;
  const float* packed_;
  BoundEpilogue epilogue_;
  int64_t workspace_;
};

class BottleneckKernel : public kernel::KernelDef {
 public:
  std::string name() const override { return "cpu.bottleneck_f32"; }
  std::string device_kind() const override { return "cpu"; }
  Status supports(const Problem& problem, const kernel::DeviceInfo&) const override {
    PLANISH_ASSIGN_OR_RETURN(ChainView view, chain_view(problem));
    const Link& last = view.links.back();
    PLANISH_RETURN_IF_ERROR(BoundEpilogue::supports(problem, last.parts, 1, last.bias));
    return choice(problem, view) ? ok_status() : unsupported("an operand of the last epilogue");
  }
  std::vector<kernel::LayoutChoice> layouts(const Problem& problem,
                                            const kernel::DeviceInfo&) const override {
    auto view = chain_view(problem);
    if (!view.ok()) return {};
    auto one = choice(problem, *view);
    if (!one) return {};
    return {*one};
  }
  std::vector<Tactic> tactics(const Problem& problem,
                              const kernel::DeviceInfo& device) const override {
    std::vector<Tactic> out;
    const ChainView view = std::move(chain_view(problem)).value();
    for (const auto& t : enumerate_bottleneck_tactics(view.problem, best_isa(), device.threads))
      out.push_back({{{"channels", t.by_channels}, {"pieces", t.pieces}, {"mid", t.mid_blocks}}});
    return out;
  }
  double predict_us(const Problem& problem, const Tactic&,
                    const kernel::DeviceInfo& device) const override {
    return 3 + kernel::flop_count(problem) / (device.peak_gflops * 0.45 * 1e3);
  }
  bool packs(const Problem& problem, int operand) const override {
    for (const kernel::Stage& stage : problem.stages)
      if (!stage.is_expr())
        for (size_t i = 1; i < stage.inputs.size(); ++i)
          if (stage.inputs[i] == operand) return true;
    for (const kernel::Stage& stage : problem.stages)  // biases that became expressions
      if (stage.is_expr())
        for (int input : stage.inputs)
          if (input == operand) return problem.operands[size_t(operand)].constant;
    return false;
  }
  Result<kernel::Blob> pack(const Problem& problem, const Tactic&, const kernel::DeviceInfo&,
                            std::span<const ir::Tensor> constants) const override {
    PLANISH_ASSIGN_OR_RETURN(Problem plain, spread_out(problem));
    PLANISH_ASSIGN_OR_RETURN(ChainView view, chain_view(plain));
    const size_t dw = view.links.size() - 2;
    const ConvProblem& d = view.problem.depthwise;
    const int64_t mid = d.in_channels;
    PLANISH_RETURN_IF_ERROR(constant_floats(constants, view.links[dw].conv->inputs[1],
                                            mid * d.kernel_height * d.kernel_width));
    PLANISH_RETURN_IF_ERROR(constant_floats(constants, view.links[dw + 1].conv->inputs[1],
                                            view.problem.out_channels * mid));
    if (dw == 1)
      PLANISH_RETURN_IF_ERROR(constant_floats(constants, view.links[0].conv->inputs[1],
                                              mid * view.problem.in_channels));
    for (size_t i = 0; i <= dw; ++i)
      if (view.links[i].bias >= 0)
        PLANISH_RETURN_IF_ERROR(constant_floats(constants, view.links[i].bias, mid));
    const auto floats = [&](int operand) {
      return operand < 0 ? nullptr : constants[size_t(operand)].data_as<float>();
    };
    BottleneckWeights w;
    if (dw == 1) {
      w.expand = floats(view.links[0].conv->inputs[1]);
      w.expand_bias = floats(view.links[0].bias);
    }
    w.depthwise = floats(view.links[dw].conv->inputs[1]);
    w.depthwise_bias = floats(view.links[dw].bias);
    w.project = floats(view.links[dw + 1].conv->inputs[1]);
    kernel::Blob blob;
    blob.bytes.resize(size_t(bottleneck_packed_floats(view.problem, best_isa())) * sizeof(float));
    pack_bottleneck_weights(view.problem, best_isa(), w, reinterpret_cast<float*>(blob.bytes.data()));
    return blob;
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    PLANISH_ASSIGN_OR_RETURN(ChainView view, chain_view(*args.problem));
    PLANISH_RETURN_IF_ERROR(check(*args.tactic));
    PLANISH_RETURN_IF_ERROR(
        packed_floats(args.packed, bottleneck_packed_floats(view.problem, best_isa())));
    const Link& last = view.links.back();
    PLANISH_ASSIGN_OR_RETURN(
        BoundEpilogue epilogue,
        BoundEpilogue::bind(args, last.parts, 1, last.bias, /*blocked=*/true, kMaxVectorWidth));
    return std::unique_ptr<kernel::Launchable>(std::make_unique<BottleneckLaunchable>(
        view.problem, read(*args.tactic), view.input, args.device->threads, args.packed,
        std::move(epilogue)));
  }

 private:
  static std::optional<kernel::LayoutChoice> choice(const Problem& problem, const ChainView& view) {
    const int width = vector_width(best_isa());
    const std::vector<int64_t> out = ir::to_dims(problem.result_type(0).shape);
    auto operands =
        blocked_operands(problem, view.links.back().parts.epilogue_inputs, out, width);
    if (!operands) return std::nullopt;
    kernel::LayoutChoice choice;
    choice.operands = std::move(*operands);
    choice.operands[size_t(view.input)] = Layout::blocked(1, width);
    choice.results = {Layout::blocked(1, width)};
    return choice;
  }
  // Packing looks at weights only; spatial dims that are symbolic get room for the filter.
  static Result<Problem> spread_out(const Problem& problem) {
    return kernel::concrete(problem, [](std::string_view) { return 64; });
  }
};

}  // namespace

void register_bottleneck_kernel(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<BottleneckKernel>());
}

}  // namespace planish::cpu
