#include "backend/cuda/families/cudnn/conv_graph.h"

#include <algorithm>

#include "base/text.h"

namespace planish::cuda::cudnn {
namespace {

// Ids of the graph's tensors in memory.
enum : int64_t { kX = 1, kW, kBias, kResidual, kY };

constexpr int64_t kAlignment = 16;
constexpr int64_t kMostWorkspace = 256 << 20;
constexpr int kMostConfigurations = 128;
constexpr int kMostCompiled = 2;
constexpr std::string_view kKnobPrefix = "k";

int type_of(ir::DataType type) {
  return type == ir::DataType::kF16 ? kF16 : type == ir::DataType::kBF16 ? kBF16 : kF32;
}

bool has(uint32_t notes, int note) { return notes >> note & 1; }

}  // namespace

kernel::Tactic write(const Configuration& configuration) {
  kernel::Tactic tactic;
  tactic.params.emplace("engine", configuration.engine);
  for (const auto& [knob, value] : configuration.knobs) tactic.params.emplace(cat(kKnobPrefix, knob), value);
  return tactic;
}

Configuration read(const kernel::Tactic& tactic) {
  Configuration out;
  out.engine = tactic.get("engine", -1);
  for (const auto& [name, value] : tactic.params)
    if (name.size() > kKnobPrefix.size() && name.rfind(kKnobPrefix, 0) == 0 && name[1] >= '0' && name[1] <= '9')
      out.knobs.emplace(std::atoll(name.c_str() + kKnobPrefix.size()), value);
  return out;
}

Result<ConvGraph> ConvGraph::make(const Cudnn& library, Handle handle, const FusedProduct& fused, bool tf32) {
  ConvGraph graph(library, tf32);
  PLANISH_RETURN_IF_ERROR(graph.build(handle, fused));
  return graph;
}

CudnnDescriptor& ConvGraph::tensor(int64_t id, int type, const int64_t (&dims)[4], const int64_t (&strides)[4]) {
  parts_.push_back(std::make_unique<CudnnDescriptor>(*library_, Kind::kTensor));
  CudnnDescriptor& made = *parts_.back();
  const bool is_virtual = id < 0;
  made.set(Attribute::kTensorType, Type::kDataType, type);
  made.set(Attribute::kTensorDims, Type::kInt64, std::span<const int64_t>(dims));
  made.set(Attribute::kTensorStrides, Type::kInt64, std::span<const int64_t>(strides));
  made.set(Attribute::kTensorId, Type::kInt64, is_virtual ? next_virtual_++ : id);
  made.set(Attribute::kTensorAlignment, Type::kInt64, kAlignment);
  made.set(Attribute::kTensorVirtual, Type::kBoolean, is_virtual);
  (void)made.finalize();
  return made;
}

CudnnDescriptor& ConvGraph::pointwise(int mode, double high) {
  parts_.push_back(std::make_unique<CudnnDescriptor>(*library_, Kind::kPointwise));
  CudnnDescriptor& made = *parts_.back();
  made.set(Attribute::kPointwiseMode, Type::kPointwiseMode, mode);
  made.set(Attribute::kPointwisePrecision, Type::kDataType, int(kF32));
  if (mode == kPointwiseRelu) {
    made.set(Attribute::kPointwiseNan, Type::kNanPropagation, int(kPropagateNan));
    if (high != std::numeric_limits<double>::infinity())
      made.set(Attribute::kPointwiseUpperClip, Type::kDouble, high);
  }
  (void)made.finalize();
  return made;
}

void ConvGraph::combine(const CudnnDescriptor& how, const CudnnDescriptor& x, const CudnnDescriptor* b,
                        const CudnnDescriptor& y) {
  parts_.push_back(std::make_unique<CudnnDescriptor>(*library_, Kind::kPointwiseOperation));
  CudnnDescriptor& made = *parts_.back();
  made.set(Attribute::kOperationPointwise, how);
  made.set(Attribute::kOperationX, x);
  if (b) made.set(Attribute::kOperationB, *b);
  made.set(Attribute::kOperationY, y);
  (void)made.finalize();
  operations_.push_back(made.get());
}

Status ConvGraph::build(Handle handle, const FusedProduct& fused) {
  const Product& p = fused.product;
  const ConvGeometry& g = p.conv;
  f32_ = p.type == ir::DataType::kF32;
  const int type = type_of(p.type);
  const auto last = [](int64_t c, int64_t h, int64_t w) {  // strides of n, c, h, w
    return std::array<int64_t, 4>{h * w * c, 1, w * c, c};
  };
  const auto put = [&](int64_t id, int of, int64_t n, int64_t c, int64_t h, int64_t w) -> CudnnDescriptor& {
    const auto s = last(c, h, w);
    return tensor(id, of, {n, c, h, w}, {s[0], s[1], s[2], s[3]});
  };
  const int64_t filters = p.channels * p.batches;
  const auto result = [&](bool is_last) -> CudnnDescriptor& {
    return put(is_last ? int64_t(kY) : -1, is_last ? type : int(kF32), g.images, filters, g.out_height, g.out_width);
  };
  int left = int(fused.residual >= 0) + int(fused.bias >= 0) + int(fused.relu);
  CudnnDescriptor& x = put(kX, type, g.images, g.channels, g.height, g.width);
  CudnnDescriptor& w = put(kW, type, filters, p.depth, g.taps_y, g.taps_x);
  CudnnDescriptor* value = &result(left == 0);

  parts_.push_back(std::make_unique<CudnnDescriptor>(*library_, Kind::kConvolution));
  CudnnDescriptor& convolution = *parts_.back();
  const auto pair = [&](Attribute attribute, int64_t y_value, int64_t x_value) {
    const int64_t values[] = {y_value, x_value};
    convolution.set(attribute, Type::kInt64, std::span<const int64_t>(values));
  };
  convolution.set(Attribute::kConvolutionType, Type::kDataType, int(kF32));
  convolution.set(Attribute::kConvolutionMode, Type::kConvolutionMode, int(kCrossCorrelation));
  convolution.set(Attribute::kConvolutionSpatialDims, Type::kInt64, int64_t(2));
  pair(Attribute::kConvolutionPrePads, g.top, g.left);
  pair(Attribute::kConvolutionPostPads, g.bottom, g.right);
  pair(Attribute::kConvolutionStrides, g.stride_y, g.stride_x);
  pair(Attribute::kConvolutionDilations, g.dilation_y, g.dilation_x);
  (void)convolution.finalize();
  parts_.push_back(std::make_unique<CudnnDescriptor>(*library_, Kind::kConvolutionForward));
  CudnnDescriptor& forward = *parts_.back();
  forward.set(Attribute::kForwardX, x);
  forward.set(Attribute::kForwardW, w);
  forward.set(Attribute::kForwardY, *value);
  forward.set(Attribute::kForwardConvolution, convolution);
  forward.set(Attribute::kForwardAlpha, Type::kFloat, float(fused.scale));
  forward.set(Attribute::kForwardBeta, Type::kFloat, 0.0f);
  (void)forward.finalize();
  operations_.push_back(forward.get());

  const auto next = [&](int mode, const CudnnDescriptor* b) {
    CudnnDescriptor& y = result(--left == 0);
    combine(pointwise(mode, fused.high), *value, b, y);
    value = &y;
  };
  if (fused.residual >= 0)
    next(kPointwiseAdd, &put(kResidual, type, g.images, filters, g.out_height, g.out_width));
  if (fused.bias >= 0) next(kPointwiseAdd, &tensor(kBias, type, {1, filters, 1, 1}, {filters, 1, filters, filters}));
  if (fused.relu) next(kPointwiseRelu, nullptr);

  parts_.push_back(std::make_unique<CudnnDescriptor>(*library_, Kind::kGraph));
  graph_ = parts_.back().get();
  graph_->set(Attribute::kGraphHandle, Type::kHandle, handle);
  graph_->set(Attribute::kGraphOperations, Type::kDescriptor, std::span<const Descriptor>(operations_));
  (void)graph_->finalize();
  for (const auto& part : parts_) PLANISH_RETURN_IF_ERROR(part->status());
  return ok_status();
}

Status ConvGraph::allowed(uint32_t notes) const {
  for (const int note : {kNoteDownConvert, kNoteReducedReduction, kNoteFft, kNoteNondeterministic, kNoteWinograd})
    if (has(notes, note)) return unsupported(cat("an engine with numerical note ", note));
  if (f32_ && !tf32_ && has(notes, kNoteTensorCore)) return unsupported("an engine that rounds f32 operands");
  return ok_status();
}

Result<Configuration> ConvGraph::describe(CudnnDescriptor& configuration) {
  Configuration out;
  CudnnDescriptor engine(*library_, Kind::kEngine);
  Descriptor engine_at = engine.get();
  if (!configuration.read(Attribute::kConfigEngine, Type::kDescriptor, 1, &engine_at) ||
      !engine.read(Attribute::kEngineIndex, Type::kInt64, 1, &out.engine))
    return unsupported("a configuration without an engine");
  int32_t notes[kNoteCount] = {}, behaviors[kBehaviorCount] = {};
  uint32_t mask = 0;
  const int64_t note_count = engine.read(Attribute::kEngineNumericalNote, Type::kNumericalNote, kNoteCount, notes);
  for (int64_t i = 0; i < std::min<int64_t>(note_count, kNoteCount); ++i) mask |= 1u << (notes[i] & 31);
  PLANISH_RETURN_IF_ERROR(allowed(mask));
  out.tensor_cores = has(mask, kNoteTensorCore);
  const int64_t behavior_count =
      engine.read(Attribute::kEngineBehaviorNote, Type::kBehaviorNote, kBehaviorCount, behaviors);
  for (int64_t i = 0; i < std::min<int64_t>(behavior_count, kBehaviorCount); ++i)
    out.compiled_at_run_time |= behaviors[i] == kBehaviorRuntimeCompiled;
  std::vector<CudnnDescriptor> knobs;
  std::vector<Descriptor> knobs_at;
  for (int i = 0; i < kMostKnobs; ++i) {
    knobs.emplace_back(*library_, Kind::kKnobChoice);
    knobs_at.push_back(knobs.back().get());
  }
  const int64_t count = configuration.read(Attribute::kConfigKnobs, Type::kDescriptor, kMostKnobs, knobs_at.data());
  for (int64_t i = 0; i < std::min<int64_t>(count, kMostKnobs); ++i) {
    int32_t knob = -1;
    int64_t value = 0;
    if (knobs[size_t(i)].read(Attribute::kKnobType, Type::kKnobType, 1, &knob) &&
        knobs[size_t(i)].read(Attribute::kKnobValue, Type::kInt64, 1, &value))
      out.knobs.emplace(knob, value);
  }
  return out;
}

Result<ConvGraph::Plan> ConvGraph::finish(Handle handle, CudnnDescriptor& configuration) {
  Plan plan{{}, CudnnDescriptor(*library_, Kind::kPlan), 0, false};
  plan.descriptor.set(Attribute::kPlanHandle, Type::kHandle, handle);
  plan.descriptor.set(Attribute::kPlanConfig, configuration);
  PLANISH_RETURN_IF_ERROR(plan.descriptor.finalize());
  if (!plan.descriptor.read(Attribute::kPlanWorkspace, Type::kInt64, 1, &plan.workspace_bytes) ||
      plan.workspace_bytes > kMostWorkspace)
    return unsupported(cat("a plan that takes ", plan.workspace_bytes, " bytes of workspace"));
  return plan;
}

Result<std::vector<Configuration>> ConvGraph::proposals(Handle handle, int most) {
  std::vector<Configuration> out, compiled;
  for (const int mode : {kHeuristicsA, kHeuristicsFallback}) {
    CudnnDescriptor heuristics(*library_, Kind::kHeuristics);
    heuristics.set(Attribute::kHeuristicsGraph, *graph_);
    heuristics.set(Attribute::kHeuristicsMode, Type::kHeuristicsMode, mode);
    if (!heuristics.finalize().ok()) continue;
    std::vector<CudnnDescriptor> found;
    std::vector<Descriptor> found_at;
    for (int i = 0; i < kMostConfigurations; ++i) {
      found.emplace_back(*library_, Kind::kEngineConfig);
      found_at.push_back(found.back().get());
    }
    const int64_t count = heuristics.read(Attribute::kHeuristicsResults, Type::kDescriptor, kMostConfigurations,
                                          found_at.data());
    for (int64_t i = 0; i < std::min<int64_t>(count, kMostConfigurations) && int(out.size()) < most; ++i) {
      auto configuration = describe(found[size_t(i)]);
      if (!configuration.ok()) continue;
      auto& list = configuration->compiled_at_run_time ? compiled : out;
      if (std::find(list.begin(), list.end(), *configuration) != list.end()) continue;
      // A kernel that is compiled at run time costs a second: it is asked for below, if at all.
      if (configuration->compiled_at_run_time || finish(handle, found[size_t(i)]).ok())
        list.push_back(std::move(*configuration));
    }
  }
  for (size_t i = 0, taken = 0; i < compiled.size() && taken < size_t(kMostCompiled) && int(out.size()) < 2; ++i)
    if (plan(handle, compiled[i]).ok()) {
      out.push_back(std::move(compiled[i]));
      ++taken;
    }
  return out;
}

Result<ConvGraph::Plan> ConvGraph::plan(Handle handle, const Configuration& configuration) {
  std::vector<std::unique_ptr<CudnnDescriptor>> parts;
  const auto part = [&](Kind kind) -> CudnnDescriptor& {
    return *parts.emplace_back(std::make_unique<CudnnDescriptor>(*library_, kind));
  };
  CudnnDescriptor& engine = part(Kind::kEngine);
  engine.set(Attribute::kEngineGraph, *graph_);
  engine.set(Attribute::kEngineIndex, Type::kInt64, configuration.engine);
  PLANISH_RETURN_IF_ERROR(engine.finalize());
  std::vector<Descriptor> knobs;
  for (const auto& [knob, value] : configuration.knobs) {
    CudnnDescriptor& choice = part(Kind::kKnobChoice);
    choice.set(Attribute::kKnobType, Type::kKnobType, int32_t(knob));
    choice.set(Attribute::kKnobValue, Type::kInt64, value);
    PLANISH_RETURN_IF_ERROR(choice.finalize());
    knobs.push_back(choice.get());
  }
  CudnnDescriptor& made = part(Kind::kEngineConfig);
  made.set(Attribute::kConfigEngine, engine);
  if (!knobs.empty()) made.set(Attribute::kConfigKnobs, Type::kDescriptor, std::span<const Descriptor>(knobs));
  PLANISH_RETURN_IF_ERROR(made.finalize());
  PLANISH_ASSIGN_OR_RETURN(const Configuration described, describe(made));
  PLANISH_ASSIGN_OR_RETURN(Plan plan, finish(handle, made));
  plan.parts = std::move(parts);
  plan.tensor_cores = described.tensor_cores;
  return plan;
}

Status ConvGraph::run(const Cudnn& library, Handle handle, const Plan& plan, const FusedProduct& fused,
                      const kernel::RunArgs& args, const void* weights, void* workspace) {
  const auto operand = [&](int index) -> const void* { return args.operands[size_t(index)].data; };
  std::vector<int64_t> ids = {kX, kW, kY};
  std::vector<const void*> at = {operand(fused.product.left.value), weights, args.results[0].data};
  if (fused.bias >= 0) {
    ids.push_back(kBias);
    at.push_back(operand(fused.bias));
  }
  if (fused.residual >= 0) {
    ids.push_back(kResidual);
    at.push_back(operand(fused.residual));
  }
  CudnnDescriptor pack(library, Kind::kVariantPack);
  pack.set(Attribute::kPackIds, Type::kInt64, std::span<const int64_t>(ids));
  pack.set(Attribute::kPackPointers, Type::kPointer, std::span<const void* const>(at));
  pack.set(Attribute::kPackWorkspace, Type::kPointer, workspace);
  PLANISH_RETURN_IF_ERROR(pack.finalize());
  PLANISH_RETURN_IF_ERROR(library.status(library.cudnnSetStream(handle, args.stream), "cudnnSetStream"));
  return library.status(library.cudnnBackendExecute(handle, plan.descriptor.get(), pack.get()),
                        "cudnnBackendExecute");
}

}  // namespace planish::cuda::cudnn
