#include "check/run_race.h"

#include <algorithm>
#include <set>

#include "base/activity.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/text.h"
#include "check/like_steps.h"
#include "check/verify.h"
#include "tuner/measure.h"

namespace planish::check {
namespace {

constexpr double kGain = 0.995;     // a way must be faster by this to be taken
constexpr double kSampleUs = 2000;  // runs in a row that make a sample

// Who compiles the program's kernels: another version makes others.
std::string compilers_of(const plan::Program& program, const kernel::KernelRegistry& kernels) {
  std::set<std::string> compilers;
  for (const plan::Step& step : program.steps)
    if (const kernel::KernelDef* kernel = kernels.find(step.kernel)) compilers.insert(kernel->compiler());
  return join(std::vector<std::string>(compilers.begin(), compilers.end()));
}

// Everything that decides the time of the program's runs but the launches.
std::string describe_program(const plan::Program& program, const backend::Device& device,
                             const RaceOptions& options) {
  const kernel::DeviceInfo& info = device.info();
  std::string text = cat(info.kind, " ", info.name, " ", info.isa, ": ");
  for (const plan::Step& step : program.steps)
    text += cat(kind_of(step), " ", bracketed(step.operands), bracketed(step.results), "\n");
  for (const auto& dims : options.input_dims) text += bracketed(dims);
  return text;
}

}  // namespace

std::string describe_launches(const std::vector<plan::Launch>& launches) {
  std::string out;
  for (const plan::Launch& launch : launches)
    out += cat(launch.stream, launch.programmatic ? "" : "!", launch.waits.empty() ? "" : "<",
               join(launch.waits), ";");
  return out;
}

RunRace::RunRace(std::string name, const plan::Program& program, const std::string& detail,
                 std::shared_ptr<backend::Device> device, const kernel::KernelRegistry& kernels,
                 const RaceOptions& options)
    : name_(std::move(name)), device_(std::move(device)), kernels_(kernels), options_(options),
      begin_(std::chrono::steady_clock::now()) {
  Hasher hasher;
  hasher.add_text(describe_program(program, *device_, options_) + detail + compilers_of(program, kernels));
  subject_ = cat(name_, " of ", program.steps.size(), " steps ", hasher.hash64(), ": ");
  ended_ = options_.times && options_.times->find(cat(subject_, "ended"));
}

std::optional<RunRace::Outcome> RunRace::compare(const std::string& what, const std::string& key,
                                                 const std::function<Result<Ways>()>& make) {
  const std::string first = cat(subject_, key, " first"), second = cat(subject_, key, " second");
  std::optional<double> current_us, other_us;
  if (options_.times) {
    current_us = options_.times->find(first);
    other_us = options_.times->find(second);
  }
  if (!current_us || !other_us) {
    if (ended_ || late()) return std::nullopt;
    const Activity timing([&] { return cat("timing whole runs, ", name_, ": ", what); });
    const auto measured = measure(make);
    if (!measured) return std::nullopt;
    std::tie(current_us, other_us) = *measured;
    if (options_.times) {
      options_.times->put(first, *current_us, 0);
      options_.times->put(second, *other_us, 0);
    }
  }
  if (summary_.tried++ == 0) summary_.plain_us = summary_.us = *current_us;
  const Outcome outcome{*current_us, *other_us, *other_us < *current_us * kGain};
  PLANISH_LOG(kInfo, name_, ": ", what, ": ", *other_us, " us against ", *current_us,
              outcome.taken ? ", taken" : "");
  if (outcome.taken) summary_.us *= *other_us / *current_us;
  return outcome;
}

void RunRace::end() {
  const bool cut_short = failed_ || (options_.out_of_time && options_.out_of_time());
  if (options_.times && !ended_ && !cut_short) options_.times->put(cat(subject_, "ended"), 1, 0);
}

bool RunRace::late() const {
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin_;
  return failed_ || spent.count() > options_.seconds || (options_.out_of_time && options_.out_of_time());
}

Result<std::shared_ptr<const runtime::Engine>> RunRace::engine_of(const plan::Program& program) const {
  plan::Plan plan;
  plan.program = program;
  runtime::EngineOptions options;
  options.host = options_.host;
  PLANISH_ASSIGN_OR_RETURN(std::shared_ptr<const runtime::Engine> engine,
                           runtime::Engine::create(std::move(plan), device_, kernels_, options));
  return engine;
}

Status RunRace::make_inputs(const plan::Program& program) {
  if (!inputs_.empty()) return ok_status();
  PLANISH_ASSIGN_OR_RETURN(auto stream, device_->create_stream());
  for (const ir::Tensor& input : random_inputs(program, options_.input_dims, 1)) {
    PLANISH_ASSIGN_OR_RETURN(auto memory, device_->allocate(input.bytes(), device_->home()));
    PLANISH_RETURN_IF_ERROR(device_->copy(*stream, memory->data(), device_->home(), input.data(),
                                          ir::MemorySpace::kHost, input.bytes()));
    PLANISH_RETURN_IF_ERROR(stream->synchronize());
    inputs_.push_back(std::move(memory));
  }
  return ok_status();
}

Result<std::unique_ptr<runtime::ExecutionContext>> RunRace::context_of(const Way& way) {
  runtime::ContextOptions options;
  options.launches = way.launches;
  PLANISH_RETURN_IF_ERROR(make_inputs(way.engine->program()));
  PLANISH_ASSIGN_OR_RETURN(auto context, runtime::ExecutionContext::create(way.engine, options));
  for (size_t i = 0; i < inputs_.size(); ++i)
    PLANISH_RETURN_IF_ERROR(context->set_input(int(i), inputs_[i]->data(), options_.input_dims[i],
                                               device_->home()));
  return context;
}

// Microseconds of a run in either way, sampled in turns; nullopt when one cannot run.
std::optional<std::pair<double, double>> RunRace::measure(const std::function<Result<Ways>()>& make) {
  const Result<Ways> ways = make();
  Status status = ways.status();
  std::vector<std::unique_ptr<runtime::ExecutionContext>> contexts;
  for (const Way Ways::*which : {&Ways::current, &Ways::other}) {
    if (!status.ok()) break;
    auto context = context_of((*ways).*which);
    status = context.status();
    if (status.ok()) contexts.push_back(std::move(*context));
  }
  runtime::RunTimes times;
  runtime::RunOptions options;
  options.times = &times;
  for (const auto& context : contexts)
    if (status.ok()) status = context->run(options);  // captures
  if (!status.ok()) {
    PLANISH_LOG(kInfo, name_, " were not timed: ", status.to_string());
    failed_ = true;
    return std::nullopt;
  }
  options.compute_repeats = int(std::clamp(kSampleUs / std::max(times.compute_us, 1.0), 1.0, 200.0));
  const auto sample = [&](size_t way) -> Result<double> {
    PLANISH_RETURN_IF_ERROR(contexts[way]->run(options));
    return times.compute_us;
  };
  tuner::MeasureOptions rounds;
  rounds.out_of_time = [this] { return late(); };
  const auto measured = tuner::measure_rounds(contexts.size(), sample, rounds);
  for (const tuner::Measurement& m : measured)
    if (m.samples == 0) return std::nullopt;
  return std::pair(measured[0].us, measured[1].us);
}

}  // namespace planish::check
