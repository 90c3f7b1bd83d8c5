// Convolutions of one to three spatial dims: oneDNN's direct and Winograd algorithms.
//
// A primitive computes one image and one part of its output channels (of its groups where there are
// several); parts and images are the tasks. Weights are packed in the format the primitive asks for
// at the tactic's input size. The direct algorithm takes that at any size; Winograd's format belongs
// to one size (73 of 76 others refuse it), so where sizes are symbolic the direct algorithm's weights
// are packed behind, for every other size. Binding never repacks.
#include <algorithm>

#include "backend/cpu/defs/refusal.h"
#include "backend/onednn/finish.h"
#include "backend/onednn/onednn.h"
#include "backend/onednn/register_kernels.h"
#include "base/text.h"
#include "kernel/cost.h"
#include "kernel/window.h"
#include "kernel/stage_input.h"

namespace planish::onednn {
namespace {

using dnnl::algorithm;
using kernel::DeviceInfo;
using kernel::Problem;
using kernel::Tactic;

constexpr std::string_view kSizeKeys[] = {"x", "y", "z"};  // input size, innermost first
constexpr int64_t kMostPlanarChannels = 4;  // a first layer may read row-major images

struct ConvView {
  kernel::RootAndEpilogue parts;
  int input = 0, weights = 1, bias = -1;  // operand numbers of the root
  int64_t groups = 1, in_channels = 0, out_channels = 0, batch = 0;
  std::vector<int64_t> filter, size;  // dims of the weights; spatial dims of the input
  kernel::Window window;
  bool blocked_input = false, blocked_output = false;

  int rank() const { return int(size.size()); }
};

Result<ConvView> conv_view(const Problem& problem) {
  if (problem.root_op() != "Conv") return cpu::other_family();
  const auto split = kernel::root_and_epilogue(problem);
  if (!split) return unsupported("more than one root with an epilogue");
  const kernel::Stage& root = *split->root;
  ConvView view;
  view.parts = *split;
  view.input = root.inputs[0];
  view.weights = root.inputs[1];
  view.bias = root.inputs.size() > 2 ? root.inputs[2] : -1;
  const ir::TensorType& x = problem.type_of(view.input);
  if (x.dtype != ir::DataType::kF32)
    return unsupported(cat("input is ", ir::name_of(x.dtype), ", expected f32"));
  if (x.rank() < 3 || x.rank() > 5)
    return unsupported(cat("input has rank ", x.rank(), ", expected 3 to 5"));
  if (!problem.operands[size_t(view.weights)].constant)
    return unsupported("the weights are computed, expected a constant");
  const std::vector<int64_t> in = ir::to_dims(x.shape);
  view.filter = ir::to_dims(problem.type_of(view.weights).shape);
  view.size.assign(in.begin() + 2, in.end());
  view.batch = in[0];
  view.groups = std::get<int64_t>(root.attrs.find("group")->second);
  view.in_channels = view.filter[1] * view.groups;
  view.out_channels = view.filter[0];
  if (view.groups < 1 || view.out_channels % view.groups)
    return unsupported("output channels are not a multiple of groups");
  PLANISH_ASSIGN_OR_RETURN(
      view.window, kernel::window_of(root.attrs, view.rank(), std::span(view.filter).subspan(2)));
  view.blocked_input = x.layout.block_dim == 1;
  view.blocked_output = root.outputs[0].layout.block_dim == 1;
  return view;
}

// The epilogue's stage, where there is one, holds the result's layout.
void set_output_layout(const Problem& problem, ConvView& view) {
  view.blocked_output = problem.result_type(0).layout.block_dim == 1;
}

// Blocked channels where every group is whole blocks (or there is one); row-major elsewhere.
bool takes_blocks(const ConvView& view) {
  return view.groups == 1 || (view.in_channels / view.groups % lanes() == 0 &&
                              view.out_channels / view.groups % lanes() == 0) ||
         (view.filter[1] == 1 && view.out_channels == view.groups);
}

int64_t parts_for(const ConvView& view, int threads) {
  if (view.batch >= threads) return 1;
  const int64_t block = view.blocked_output ? lanes() : 1;
  if (view.groups == 1)
    return view.out_channels % block ? 1 : parts_of(view.out_channels / block, threads);
  const int64_t parts = parts_of(view.groups, threads);
  const bool whole = view.in_channels / parts % block == 0 && view.out_channels / parts % block == 0;
  return whole ? parts : 1;
}

// The primitive of one part at an input of that size. `packed`: the format of the weights; null:
// the one oneDNN likes best. With `make`, the primitive itself is made (its code generated).
Result<Asked> ask(const ConvView& view, algorithm algorithm, int64_t parts,
                  std::vector<int64_t> size, bool bias, const Desc* packed, bool make,
                  std::string_view name) {
  kernel::Window window = view.window;
  Dims out = {1, view.out_channels / parts};
  for (int i = 0; i < view.rank(); ++i) {
    out.push_back(kernel::output_size(window, i, size[size_t(i)]).value());
    if (out.back() < 1) return unsupported("empty output");
  }
  kernel::resolve_pads(window, size);
  const bool grouped = view.groups > 1;
  Dims in = {1, grouped ? view.in_channels / parts : view.in_channels};
  in.insert(in.end(), size.begin(), size.end());
  Dims filter = view.filter, dilates = window.dilations;
  filter[0] /= parts;
  if (grouped) {
    const int64_t groups = view.groups / parts;
    filter[0] /= groups;
    filter.insert(filter.begin(), groups);
  }
  for (int64_t& d : dilates) --d;
  Asked asked;
  const Status status = guarded("a convolution", [&] {
    const auto f32 = dnnl::memory::data_type::f32;
    Piece& p = asked.piece;
    p.name = name;
    p.source = describe(in, view.blocked_input);
    p.destination = describe(out, view.blocked_output);
    if (bias) p.bias = Desc({out[1]}, f32, dnnl::memory::format_tag::x);
    asked.given_weights = Desc(filter, f32, ir::strides_of(filter));
    const Desc wanted = packed ? *packed : Desc(filter, f32, dnnl::memory::format_tag::any);
    const dnnl::convolution_forward::desc description(
        dnnl::prop_kind::forward_inference, algorithm, p.source, wanted, p.bias, p.destination,
        window.strides, dilates, window.pads_begin, window.pads_end);
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::convolution_forward::primitive_desc chosen(description, attr, engine());
    p.weights = chosen.weights_desc();
    p.scratchpad = chosen.scratchpad_desc();
    if (make) p.primitive = dnnl::convolution_forward(chosen);
    return packed ? ok_status() : not_a_reference(chosen.impl_info_str());
  });
  if (!status.ok()) return status;
  return asked;
}

class ConvLaunchable : public kernel::Launchable {
 public:
  ConvLaunchable(const ConvView& view, Piece piece, int64_t parts, int threads,
                 std::span<const std::byte> packed, cpu::BoundEpilogue epilogue)
      : input_(view.input),
        batch_(view.batch),
        parts_(parts),
        tail_(view.blocked_output ? view.out_channels % lanes() : 0),
        in_part_(view.groups > 1 ? int64_t(piece.source.get_size() / sizeof(float)) : 0),
        in_image_(int64_t(piece.source.get_size() / sizeof(float)) *
                  (view.groups > 1 ? parts : 1)),
        out_part_(int64_t(piece.destination.get_size() / sizeof(float))),
        channels_(piece.destination.dims()[1]),
        threads_(threads),
        piece_(std::move(piece)),
        packed_(packed.data()),
        epilogue_(std::move(epilogue)) {}

  int64_t workspace_bytes() const override { return threads_ * piece_.scratchpad_bytes(); }

  Status run(const kernel::RunArgs& args) const override {
    cpu::BoundEpilogue::Call call;
    const cpu::Epilogue epilogue = epilogue_.for_run(args, call);
    const kernel::BufferRef &in = args.operands[size_t(input_)], &out = args.results[0];
    const auto stride = [](const kernel::BufferRef& buffer, int64_t dense) {
      const int64_t given = buffer.outer_stride_bytes / int64_t(sizeof(float));
      return given ? given : dense;
    };
    const int64_t in_stride = stride(in, in_image_), out_stride = stride(out, out_part_ * parts_);
    return run_tasks(*args.team, batch_ * parts_, [&](int64_t task, int thread) {
      const int64_t image = task / parts_, part = task % parts_;
      const float* from = static_cast<const float*>(in.data) + image * in_stride + part * in_part_;
      float* to = static_cast<float*>(out.data) + image * out_stride + part * out_part_;
      PLANISH_RETURN_IF_ERROR(piece_.execute(
          from, packed_ + part * part_bytes(piece_.weights),
          epilogue.bias ? epilogue.bias + part * channels_ : nullptr, to,
          args.workspace + thread * piece_.scratchpad_bytes()));
      finish(epilogue, to, (image * parts_ + part) * out_part_, out_part_);
      if (tail_ && epilogue.moves_zero()) clear_padding(to);
      return ok_status();
    });
  }

 private:
  // The unused lanes of the last block hold zeros.
  void clear_padding(float* image) const {
    const int64_t block = out_part_ / ((channels_ + lanes() - 1) / lanes());
    float* last = image + out_part_ - block;
    for (int64_t i = 0; i < block; i += lanes()) std::fill(last + i + tail_, last + i + lanes(), 0.f);
  }

  int input_;
  int64_t batch_, parts_, tail_, in_part_, in_image_, out_part_, channels_, threads_;
  Piece piece_;
  const std::byte* packed_;
  cpu::BoundEpilogue epilogue_;
};

class ConvKernel : public kernel::KernelDef {
 public:
  explicit ConvKernel(algorithm a) : algorithm_(a) {}
  std::string name() const override {
    return winograd() ? "onednn.conv_winograd_f32" : "onednn.conv_direct_f32";
  }
  std::string device_kind() const override { return "cpu"; }
  int version() const override { return kernel_version(); }
  bool rounds_differently() const override { return winograd(); }

  Status supports(const Problem& problem, const DeviceInfo& device) const override {
    PLANISH_ASSIGN_OR_RETURN(const ConvView view, conv_view(problem));
    PLANISH_RETURN_IF_ERROR(cpu::BoundEpilogue::supports(problem, view.parts, 1, view.bias));
    if (view.batch < 1) return unsupported("empty output");
    const auto is = [](const std::vector<int64_t>& values, int64_t value) {
      return std::all_of(values.begin(), values.end(), [&](int64_t v) { return v == value; });
    };
    const kernel::Window& w = view.window;
    if (winograd() && (view.rank() != 2 || view.groups != 1 || !is(w.kernel, 3) ||
                       !is(w.strides, 1) || !is(w.dilations, 1)))
      return unsupported("expected 3x3 windows of stride 1 and one group");
    if (layouts(problem, device).empty()) return why_not(problem, device);
    return ok_status();
  }

  std::vector<kernel::LayoutChoice> layouts(const Problem& problem,
                                            const DeviceInfo& device) const override {
    std::vector<kernel::LayoutChoice> out;
    for (Form& form : forms(problem))
      if (take(form, device).ok()) out.push_back(std::move(form.layouts));
    return out;
  }

  std::vector<Tactic> tactics(const Problem& problem, const DeviceInfo& device) const override {
    ConvView view = std::move(conv_view(problem)).value();
    set_output_layout(problem, view);
    Tactic tactic{{{"parts", parts_for(view, device.threads)}}};
    for (int i = 0; i < view.rank(); ++i)
      tactic.params[std::string(kSizeKeys[i])] = view.size[size_t(view.rank() - 1 - i)];
    return {tactic};
  }

  double predict_us(const Problem& problem, const Tactic&, const DeviceInfo& device) const override {
    // Behind ours by what was measured (docs/measurements/cpu_kernels.md), so that predictions alone
    // take oneDNN where ours refuse; Winograd's tile is 2x2 of 4x4 points.
    const auto view = conv_view(problem);
    const bool depthwise = view.ok() && view->filter[1] == 1 && view->groups > 1;
    const bool blocked = problem.result_type(0).layout.block_dim == 1;
    const double share = winograd() ? 0.5 : depthwise ? 0.12 : blocked ? 0.68 : 0.35;
    const double flops = kernel::flop_count(problem) * (winograd() ? 16.0 / 36 : 1);
    const double compute = flops / (device.peak_gflops * share * 1e3);
    const double memory = double(kernel::bytes_moved(problem)) / (device.memory_gbps * 2e3);
    return 4 + std::max(compute, memory) + 0.2 * std::min(compute, memory);
  }

  bool takes_strided(const Problem& problem, bool result, int index) const override {
    if (result) return true;
    const auto view = conv_view(problem);
    if (!view.ok() || index != view->input) return false;
    const auto& others = view->parts.epilogue_inputs;
    return std::find(others.begin(), others.end(), index) == others.end();
  }

  bool packs(const Problem& problem, int operand) const override {
    return kernel::is_root_input(problem, 1, operand);
  }

  Result<kernel::Blob> pack(const Problem& problem, const Tactic& tactic, const DeviceInfo&,
                            std::span<const ir::Tensor> constants) const override {
    // Packing looks at weights and tactic only: other dims may be symbolic and are set to 1.
    PLANISH_ASSIGN_OR_RETURN(const Problem plain,
                             kernel::concrete(problem, [](std::string_view) { return 1; }));
    PLANISH_ASSIGN_OR_RETURN(ConvView view, conv_view(plain));
    set_output_layout(plain, view);
    const ir::Tensor& weights = constants[size_t(view.weights)];
    kernel::Blob blob;
    PLANISH_RETURN_IF_ERROR(append(view, tactic, algorithm_, weights, blob));
    const ir::Shape& in = problem.type_of(view.input).shape;
    const bool one_size = std::all_of(in.begin() + 2, in.end(),
                                      [](const ir::Dim& d) { return d.is_constant(); });
    if (winograd() && !one_size)
      PLANISH_RETURN_IF_ERROR(
          append(view, tactic, algorithm::convolution_direct, weights, blob));
    return blob;
  }

  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    const Problem& problem = *args.problem;
    PLANISH_ASSIGN_OR_RETURN(ConvView view, conv_view(problem));
    set_output_layout(problem, view);
    const ir::Shape& in = problem.type_of(view.input).shape;
    if (in[1].value() != view.in_channels)
      return invalid_argument(cat("input is ", ir::to_string(in), ", expected ", view.in_channels,
                                  " channels, as the weights have"));
    PLANISH_ASSIGN_OR_RETURN(Asked packed, packed_form(view, *args.tactic, algorithm_));
    const int64_t parts = args.tactic->get("parts", 1);
    algorithm used = algorithm_;
    std::span<const std::byte> weights = args.packed;
    if (winograd() && view.size != size_of(view, *args.tactic)) {
      used = algorithm::convolution_direct;
      const int64_t first = parts * part_bytes(packed.piece.weights);
      weights = weights.subspan(size_t(std::min(first, int64_t(weights.size()))));
      PLANISH_ASSIGN_OR_RETURN(packed, packed_form(view, *args.tactic, used));
    }
    PLANISH_RETURN_IF_ERROR(check_packed(weights, packed, parts));
    PLANISH_ASSIGN_OR_RETURN(
        cpu::BoundEpilogue epilogue,
        cpu::BoundEpilogue::bind(args, view.parts, 1, view.bias, view.blocked_output,
                                 cpu::kMaxVectorWidth));
    PLANISH_ASSIGN_OR_RETURN(Asked asked,
                             ask(view, used, parts, view.size, !epilogue.bias().empty(),
                                 &packed.piece.weights, /*make=*/true, label()));
    return std::unique_ptr<kernel::Launchable>(std::make_unique<ConvLaunchable>(
        view, std::move(asked.piece), parts, args.device->threads, weights,
        std::move(epilogue)));
  }

 private:
  // A view with layouts that might do.
  struct Form {
    ConvView view;
    kernel::LayoutChoice layouts;
  };

  bool winograd() const { return algorithm_ == algorithm::convolution_winograd; }
  std::string_view label() const { return winograd() ? "a Winograd convolution" : "a convolution"; }

  std::vector<Form> forms(const Problem& problem) const {
    auto view = conv_view(problem);
    if (!view.ok()) return {};
    std::vector<Form> out;
    if (!takes_blocks(*view)) {
      out.push_back({*view, {std::vector<ir::Layout>(problem.operands.size()), {ir::Layout{}}}});
      return out;
    }
    const std::vector<int64_t> dims = ir::to_dims(view->parts.root->outputs[0].shape);
    const auto operands =
        cpu::blocked_operands(problem, view->parts.epilogue_inputs, dims, int(lanes()));
    if (!operands) return {};
    view->blocked_output = true;
    for (const bool planar : {false, true}) {
      if (planar && (winograd() || view->groups > 1 || view->in_channels > kMostPlanarChannels ||
                     !(*operands)[size_t(view->input)].is_row_major()))
        continue;
      view->blocked_input = !planar;
      out.push_back({*view, {*operands, {blocked_layout()}}});
      if (!planar) out.back().layouts.operands[size_t(view->input)] = blocked_layout();
    }
    return out;
  }

  Status take(const Form& form, const DeviceInfo& device) const {
    return ask(form.view, algorithm_, parts_for(form.view, device.threads), form.view.size, false,
               nullptr, /*make=*/false, label())
        .status();
  }

  Status why_not(const Problem& problem, const DeviceInfo& device) const {
    const std::vector<Form> all = forms(problem);
    if (all.empty()) return unsupported("an epilogue operand that cannot stand beside blocked channels");
    return take(all[0], device);
  }

  // The input size that weights are packed for. Tactics come from files: oneDNN checks what is asked.
  static std::vector<int64_t> size_of(const ConvView& view, const Tactic& tactic) {
    std::vector<int64_t> size;
    for (int i = view.rank(); i-- > 0;)
      size.push_back(std::clamp<int64_t>(tactic.get(kSizeKeys[i], 1), 1, kernel::kMaxWindowValue));
    return size;
  }

  Result<Asked> packed_form(const ConvView& view, const Tactic& tactic, algorithm used) const {
    const int64_t parts = tactic.get("parts", 1);
    const int64_t block = view.blocked_output && parts > 1 ? lanes() : 1;
    if (parts < 1 || (view.groups > 1 ? view.groups : view.out_channels) % parts ||
        view.out_channels / parts % block || (view.groups > 1 && view.in_channels / parts % block))
      return data_loss(cat("tactic ", tactic.to_string(), ": ", parts, " parts of ",
                           view.out_channels, " channels in ", view.groups, " groups"));
    return ask(view, used, parts, size_of(view, tactic), false, nullptr, /*make=*/false, label());
  }

  // Packs all parts of the weights behind what the blob holds.
  Status append(const ConvView& view, const Tactic& tactic, algorithm used,
                const ir::Tensor& weights, kernel::Blob& blob) const {
    PLANISH_ASSIGN_OR_RETURN(const Asked asked, packed_form(view, tactic, used));
    const int64_t parts = tactic.get("parts", 1);
    return append_packed(asked, weights.data_as<float>(), weights.count() / parts, parts, blob);
  }

  algorithm algorithm_;
};

}  // namespace

void register_conv_kernels(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<ConvKernel>(algorithm::convolution_direct));
  registry.add(std::make_unique<ConvKernel>(algorithm::convolution_winograd));
}

}  // namespace planish::onednn
