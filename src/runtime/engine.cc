#include "runtime/engine.h"

#include <algorithm>
#include <new>

#include "base/hash.h"
#include "base/text.h"
#include "base/thread_team.h"

namespace planish::runtime {
namespace {

// Packed weights of the process, by content: engines that pack the same constants the same way
// share one blob for as long as any of them lives.
class PackedWeights {
 public:
  static PackedWeights& instance() {
    static PackedWeights weights;
    return weights;
  }
  Result<std::shared_ptr<const kernel::Blob>> get(
      const std::string& key, const std::function<Result<kernel::Blob>()>& make) {
    {
      std::lock_guard lock(mutex_);
      if (auto blob = blobs_[key].lock()) return blob;
    }
    PLANISH_ASSIGN_OR_RETURN(kernel::Blob made, make());
    auto blob = std::make_shared<const kernel::Blob>(std::move(made));
    std::lock_guard lock(mutex_);
    std::erase_if(blobs_, [](const auto& entry) { return entry.second.expired(); });
    blobs_[key] = blob;
    return blob;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<const kernel::Blob>> blobs_;
};

// Constants on devices, by device and content: uploaded once for all engines of the process.
class UploadedConstants {
 public:
  static UploadedConstants& instance() {
    static UploadedConstants& constants = *new UploadedConstants();
    return constants;
  }
  Result<std::shared_ptr<backend::Memory>> get(backend::Device& device,
                                               const plan::Constant& constant,
                                               ir::MemorySpace space) {
    const Key key(&device, constant.hash, constant.tensor.bytes());
    std::lock_guard lock(mutex_);
    if (auto memory = uploaded_[key].lock()) return memory;
    PLANISH_ASSIGN_OR_RETURN(auto made, device.allocate(constant.tensor.bytes(), space));
    PLANISH_ASSIGN_OR_RETURN(auto stream, device.create_stream());
    PLANISH_RETURN_IF_ERROR(device.copy(*stream, made->data(), space, constant.tensor.data(),
                                        ir::MemorySpace::kHost, constant.tensor.bytes()));
    PLANISH_RETURN_IF_ERROR(stream->synchronize());
    std::shared_ptr<backend::Memory> memory = std::move(made);
    std::erase_if(uploaded_, [](const auto& entry) { return entry.second.expired(); });
    uploaded_[key] = memory;
    return memory;
  }

 private:
  using Key = std::tuple<const backend::Device*, uint64_t, int64_t>;
  std::mutex mutex_;
  std::map<Key, std::weak_ptr<backend::Memory>> uploaded_;
};

std::string step_name(const plan::Program& program, size_t step) {
  const plan::Step& s = program.steps[step];
  return cat("step ", step, " (", s.kernel, s.sources.empty() ? "" : cat(" from '", s.sources[0],
                                                                        "'"), ")");
}

}  // namespace

Result<std::shared_ptr<Engine>> Engine::create(plan::Plan plan,
                                               std::shared_ptr<backend::Device> device,
                                               const kernel::KernelRegistry& registry,
                                               const EngineOptions& options) {
  std::shared_ptr<Engine> engine(new Engine());
  engine->plan_ = std::move(plan);
  engine->device_ = std::move(device);
  engine->options_ = options;
  PLANISH_RETURN_IF_ERROR(engine->prepare(registry));
  return engine;
}

Status Engine::prepare(const kernel::KernelRegistry& registry) {
  const plan::Program& p = plan_.program;
  if (p.device_kind != device_->info().kind)
    return Status(Code::kIncompatible, cat("the plan is for device kind '", p.device_kind,
                                           "', the device is '", device_->info().kind, "'"));
  std::vector<std::string> missing;
  for (size_t i = 0; i < p.steps.size(); ++i) {
    const kernel::KernelDef* kernel = registry.find(p.steps[i].kernel);
    if (!kernel)
      missing.push_back(cat(step_name(p, i), ": no such kernel here"));
    else if (kernel->device_kind() != p.device_kind && !options_.host)
      missing.push_back(cat(step_name(p, i), ": no ", kernel->device_kind(), " device to run it"));
    else if (kernel->version() != p.steps[i].kernel_version)
      missing.push_back(cat(step_name(p, i), ": plan has version ", p.steps[i].kernel_version,
                            ", this runtime ", kernel->version()));
    kernels_.push_back(kernel);
  }
  if (!missing.empty())
    return Status(Code::kIncompatible,
                  cat("the plan needs kernels that this process lacks: ", join(missing, "; ")));
  trace_roots();
  PLANISH_RETURN_IF_ERROR(check_spaces());
  PLANISH_RETURN_IF_ERROR(check_steps());
  PLANISH_RETURN_IF_ERROR(prepare_bodies(registry));
  PLANISH_RETURN_IF_ERROR(upload_constants());
  return pack_weights();
}

// What some step, view or output reads on the device as it is; weights that were packed away are not.
Status Engine::upload_constants() {
  const plan::Program& p = plan_.program;
  device_constants_.resize(p.constants.size());
  std::vector<bool> needed(p.values.size());
  for (size_t s = 0; s < p.steps.size(); ++s) {
    const plan::Step& step = p.steps[s];
    for (size_t i = 0; i < step.operands.size(); ++i)
      if (const int v = step.operands[i]; v >= 0 && !kernels_[s]->packs(step.problem, int(i)))
        needed[size_t(root_[size_t(v)])] = true;
  }
  for (const int v : p.outputs) needed[size_t(root_[size_t(v)])] = true;
  for (size_t v = 0; v < p.values.size(); ++v) {
    const plan::ProgramValue& value = p.values[v];
    if (!needed[v] || value.kind != plan::ValueKind::kConstant ||
        value.type.space == ir::MemorySpace::kHost)
      continue;
    PLANISH_ASSIGN_OR_RETURN(
        device_constants_[size_t(value.constant)],
        UploadedConstants::instance().get(*device_, p.constants[size_t(value.constant)],
                                          value.type.space));
  }
  return ok_status();
}

const kernel::DeviceInfo& Engine::device_info_of(int step) const {
  return runs_on_host(step) ? options_.host->info() : device_->info();
}

// A device whose home is the host knows no other memory; what the CPU's kernels read and write lies
// where the CPU looks for it.
Status Engine::check_spaces() const {
  const plan::Program& p = plan_.program;
  const bool at_home = device_->home() == ir::MemorySpace::kHost;
  if (at_home)
    for (const plan::ProgramValue& value : p.values)
      if (value.type.space != ir::MemorySpace::kHost)
        return data_loss(cat("value '", value.name, "' is ", to_string(value.type),
                             ", expected host memory: the device has no other"));
  for (size_t s = 0; s < p.steps.size() && !at_home; ++s) {
    if (!runs_on_host(int(s))) continue;
    for (const std::vector<int>* numbers : {&p.steps[s].operands, &p.steps[s].results})
      for (const int v : *numbers)
        if (v >= 0 && p.values[size_t(v)].type.space == ir::MemorySpace::kDevice)
          return data_loss(cat("value '", p.values[size_t(v)].name, "' is ",
                               to_string(p.values[size_t(v)].type),
                               ", expected memory that a kernel of the CPU reaches"))
              .at(step_name(p, s));
  }
  return ok_status();
}

// Kernels are asked about nothing that does not follow from its ops.
Status Engine::check_steps() const {
  if (!options_.check_problem) return ok_status();
  const plan::Program& p = plan_.program;
  for (size_t s = 0; s < p.steps.size(); ++s)
    if (Status status = options_.check_problem(p.steps[s].problem); !status.ok())
      return status.at(step_name(p, s));
  return ok_status();
}

void Engine::trace_roots() {
  const plan::Program& p = plan_.program;
  const int step_count = int(p.steps.size());
  root_.resize(p.values.size());
  for (size_t v = 0; v < p.values.size(); ++v) {
    int at = int(v);
    while (p.values[size_t(at)].parent >= 0) at = p.values[size_t(at)].parent;
    root_[v] = at;
  }
  first_write_.assign(p.values.size(), -1);
  last_use_.assign(p.values.size(), -1);
  end_of_life_.assign(p.values.size(), -1);
  order_ = plan::StepOrder(p);
  const auto touch = [&](int value, int step) {
    const auto root = size_t(root_[size_t(value)]);
    last_use_[root] = step;
    end_of_life_[root] = std::max(end_of_life_[root], order_.last_beside(step));
  };
  for (int s = 0; s < step_count; ++s) {
    for (int v : p.steps[size_t(s)].results) {
      int& first = first_write_[size_t(root_[size_t(v)])];
      if (first < 0) first = s;
      touch(v, s);
    }
    for (int v : p.steps[size_t(s)].operands)
      if (v >= 0) touch(v, s);
  }
  output_of_.assign(p.values.size(), -1);
  for (size_t k = 0; k < p.outputs.size(); ++k) {
    const int v = p.outputs[k], r = root_[size_t(v)];
    last_use_[size_t(r)] = end_of_life_[size_t(r)] = step_count;
    // A root is written straight into the output when the output is all of it.
    const plan::ProgramValue& value = p.values[size_t(v)];
    const plan::ProgramValue& root = p.values[size_t(r)];
    bool whole = root.kind == plan::ValueKind::kTemporary && output_of_[size_t(r)] < 0 &&
                 ir::element_count(value.type.shape) == ir::element_count(root.type.shape) &&
                 root.type.layout.is_row_major() && value.type.layout.is_row_major() &&
                 value.type.dtype == root.type.dtype && first_write_[size_t(r)] >= 0 &&
                 value.type.space == root.type.space;
    for (int at = v; whole && at != r; at = p.values[size_t(at)].parent)
      whole = p.values[size_t(at)].offset == ir::Dim(0) && !p.values[size_t(at)].strided;
    if (whole && !p.steps[size_t(first_write_[size_t(r)])].binds_symbols)
      output_of_[size_t(r)] = int(k);
  }
}

Status Engine::pack_weights() {
  const plan::Program& p = plan_.program;
  packed_.resize(p.steps.size());
  if (p.steps.empty()) return ok_status();  // views of inputs alone
  std::vector<Status> status(p.steps.size());
  const auto pack = [&](int64_t begin, int64_t end, int) {
    for (int64_t s = begin; s < end; ++s) {
      try {
        status[size_t(s)] = pack_step(size_t(s));
      } catch (const std::bad_alloc&) {
        status[size_t(s)] = resource_exhausted("no memory for packed weights").at(step_name(p, size_t(s)));
      }
    }
  };
  // Steps are packed side by side, one at a time: their weights differ in size.
  ThreadTeam team(std::clamp(host_info().threads, 1, int(std::max<size_t>(p.steps.size(), 1))),
                  "planish-load");
  team.parallel_for(int64_t(p.steps.size()), pack, 1);
  for (Status& s : status) PLANISH_RETURN_IF_ERROR(std::move(s));
  return ok_status();
}

Status Engine::pack_step(size_t s) {
  const plan::Program& p = plan_.program;
  const plan::Step& step = p.steps[s];
  bool packs = false;
  // What is packed does not depend on dims, but a kernel may pack more where they are symbolic.
  const bool fixed =
      std::all_of(step.problem.operands.begin(), step.problem.operands.end(),
                  [](const kernel::Operand& o) { return !o.present || ir::is_constant(o.type.shape); });
  std::string key = cat(step.kernel, " ", step.kernel_version, " ", step.tactic.to_string(), " ",
                        device_info_of(int(s)).isa, " ",
                        kernel::fingerprint(step.problem, /*with_dims=*/false),
                        fixed ? " fixed" : " symbolic");
  std::vector<ir::Tensor> constants(step.operands.size());
  for (size_t i = 0; i < step.operands.size(); ++i) {
    const int v = step.operands[i];
    if (v < 0 || p.values[size_t(v)].kind != plan::ValueKind::kConstant) continue;
    const plan::Constant& constant = p.constants[size_t(p.values[size_t(v)].constant)];
    constants[i] = constant.tensor;
    if (kernels_[s]->packs(step.problem, int(i))) {
      packs = true;
      key += cat(" ", i, ":", constant.hash);
    }
  }
  if (!packs) return ok_status();
  // Bytes that a plan brings stand under their own hash: they must not pass for what another engine
  // would pack.
  if (!step.packed.empty()) {
    const Hash128 hash = hash128(step.packed);
    key += cat(" stored ", hash.low, " ", hash.high);
  }
  auto blob = PackedWeights::instance().get(key, [&]() -> Result<kernel::Blob> {
    if (!step.packed.empty()) return kernel::Blob{ZeroedBytes(std::span<const std::byte>(step.packed))};
    return kernels_[s]->pack(step.problem, step.tactic, device_info_of(int(s)), constants);
  });
  if (!blob.ok()) return blob.status().at(step_name(p, s));
  packed_[s] = std::move(blob).value();
  return ok_status();
}

std::optional<std::vector<int64_t>> Engine::dims_of(int value, const Binding& binding) const {
  std::vector<int64_t> dims;
  for (const ir::Dim& d : plan_.program.values[size_t(value)].type.shape) {
    auto known = d.evaluate([&](std::string_view name) -> std::optional<int64_t> {
      auto found = binding.find(name);
      return found == binding.end() ? std::nullopt : std::optional<int64_t>(found->second);
    });
    if (!known) return std::nullopt;
    dims.push_back(*known);
  }
  return dims;
}

const void* Engine::constant_data(int constant) const {
  return plan_.program.constants[size_t(constant)].tensor.data();
}
const void* Engine::device_constant_data(int constant) const {
  const auto& memory = device_constants_[size_t(constant)];
  return memory ? memory->data() : nullptr;
}

int64_t Engine::weight_bytes() const {
  int64_t total = 0;
  for (const plan::Constant& c : plan_.program.constants) total += c.tensor.bytes();
  for (const auto& step : bodies_)
    for (const auto& body : step) total += body->weight_bytes();
  return total;
}

int64_t Engine::packed_bytes() const {
  int64_t total = 0;
  std::vector<const kernel::Blob*> seen;
  for (const auto& blob : packed_) {
    if (!blob || std::find(seen.begin(), seen.end(), blob.get()) != seen.end()) continue;
    seen.push_back(blob.get());
    total += int64_t(blob->bytes.size());
  }
  for (const auto& step : bodies_)
    for (const auto& body : step) total += body->packed_bytes();
  return total;
}

bool Engine::rounds_differently() const {
  const auto differs = [](const auto& one) { return one->rounds_differently(); };
  return std::any_of(kernels_.begin(), kernels_.end(), differs) ||
         std::any_of(bodies_.begin(), bodies_.end(), [&](const auto& bodies) {
           return std::any_of(bodies.begin(), bodies.end(), differs);
         });
}

int Engine::cached_instances() const {
  std::lock_guard lock(mutex_);
  return int(instances_.size());
}

Result<Binding> Engine::bind_inputs(std::span<const std::vector<int64_t>> input_dims) const {
  const plan::Program& p = plan_.program;
  if (input_dims.size() != p.inputs.size())
    return invalid_argument(cat("got ", input_dims.size(), " inputs, expected ", p.inputs.size()));
  Binding binding;
  std::map<std::string, std::string, std::less<>> bound_by;
  for (size_t i = 0; i < p.inputs.size(); ++i) {
    const plan::ProgramValue& input = p.values[size_t(p.inputs[i])];
    const auto wrong = [&](std::string_view why) {
      return invalid_argument(cat("input '", input.name, "': got shape ", bracketed(input_dims[i]),
                                  ", expected ", ir::to_string(input.type.shape), why));
    };
    if (input_dims[i].size() != input.type.shape.size()) return wrong("");
    for (size_t d = 0; d < input_dims[i].size(); ++d) {
      const int64_t got = input_dims[i][d];
      const ir::Dim& dim = input.type.shape[d];
      if (got < 0) return wrong(cat(" (dim ", d, " is not set)"));
      if (dim.is_constant()) {
        if (dim.value() != got) return wrong("");
        continue;
      }
      const std::string symbol = dim.symbol_name();
      if (symbol.empty()) continue;
      auto [it, fresh] = binding.emplace(symbol, got);
      if (fresh) bound_by[symbol] = input.name;
      else if (it->second != got)
        return wrong(cat("; ", symbol, " is ", it->second, " by input '", bound_by[symbol], "'"));
      auto info = p.symbols.find(symbol);
      if (info == p.symbols.end()) continue;
      if (got < std::min<int64_t>(info->second.low, 1) && got < info->second.low)
        return wrong(cat("; ", symbol, " must be at least ", info->second.low));
      if (info->second.high && got > *info->second.high)
        return wrong(cat("; ", symbol, " must be at most ", *info->second.high));
    }
  }
  // Dims that are expressions must agree with what the plain symbols give.
  for (size_t i = 0; i < p.inputs.size(); ++i) {
    const auto dims = dims_of(p.inputs[i], binding);
    if (!dims)
      return data_loss(cat("input '", p.values[size_t(p.inputs[i])].name, "' has the shape ",
                           ir::to_string(p.values[size_t(p.inputs[i])].type.shape),
                           ", which the inputs' dims do not decide"));
    if (*dims != input_dims[i])
      return invalid_argument(cat("input '", p.values[size_t(p.inputs[i])].name, "': got shape ",
                                  bracketed(input_dims[i]), ", expected ", bracketed(*dims)));
  }
  return binding;
}

Result<std::shared_ptr<const Instance>> Engine::instance(
    std::span<const std::vector<int64_t>> input_dims) const {
  std::vector<std::vector<int64_t>> key(input_dims.begin(), input_dims.end());
  {
    std::lock_guard lock(mutex_);
    for (auto it = instances_.begin(); it != instances_.end(); ++it) {
      if (it->first != key) continue;
      instances_.splice(instances_.begin(), instances_, it);
      return instances_.front().second;
    }
  }
  PLANISH_ASSIGN_OR_RETURN(Binding binding, bind_inputs(input_dims));
  auto made = std::make_shared<Instance>();
  made->engine_ = this;
  PLANISH_ASSIGN_OR_RETURN(made->first_, bind_phase(nullptr, binding));
  made->binding_ = std::move(binding);
  std::lock_guard lock(mutex_);
  instances_.emplace_front(std::move(key), made);
  while (int(instances_.size()) > std::max(1, options_.instance_cache)) instances_.pop_back();
  return std::shared_ptr<const Instance>(made);
}

Result<std::shared_ptr<const Phase>> Instance::later_phase(const Phase& previous,
                                                           const Binding& binding) const {
  const std::pair key(previous.end_step, binding);
  {
    std::lock_guard lock(mutex_);
    auto found = later_.find(key);
    if (found != later_.end()) return found->second;
  }
  PLANISH_ASSIGN_OR_RETURN(auto phase, engine_->bind_phase(&previous, binding));
  std::lock_guard lock(mutex_);
  // Running contexts hold what they use. A run passes through every phase once.
  const auto& steps = engine_->program().steps;
  const auto phases = std::count_if(steps.begin(), steps.end(), [](const plan::Step& step) {
    return step.binds_symbols;
  });
  if (later_.size() >= std::max<size_t>(64, 2 * size_t(phases))) later_.clear();
  later_[key] = phase;
  return phase;
}

}  // namespace planish::runtime
