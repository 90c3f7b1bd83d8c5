#include "tuner/tuner.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <new>
#include <thread>

#include "base/activity.h"
#include "base/text.h"
#include "tuner/measure.h"

namespace planish::tuner {
namespace {

using kernel::BufferRef;

double steady_us() {
  return std::chrono::duration<double, std::micro>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

int64_t bytes_of(const ir::TensorType& type) {
  return ir::bytes_of(type.dtype,
                      ir::physical_element_count(ir::to_dims(type.shape), type.layout));
}

}  // namespace

// One candidate ready to run.
struct Tuner::Bound {
  Candidate* candidate;
  kernel::Blob packed;
  kernel::Blob artifact;
  std::unique_ptr<kernel::Launchable> launchable;
  std::vector<std::unique_ptr<backend::Memory>> memory;
  std::vector<BufferRef> operands, results;
  const std::vector<BufferSets::Set>* sets = nullptr;  // on a device with memory of its own
  std::unique_ptr<backend::Memory> workspace;
};

// What other candidates need not wait for: kernel and weights.
Status Tuner::bind(Bound& bound, std::span<const ir::Tensor> constants) const {
  const backend::Device& device = device_;
  const Candidate& c = *bound.candidate;
  const kernel::Problem& problem = *c.problem;
  PLANISH_ASSIGN_OR_RETURN(bound.artifact, c.kernel->compile(problem, c.tactic, device.info()));
  PLANISH_ASSIGN_OR_RETURN(bound.packed,
                           c.kernel->pack(problem, c.tactic, device.info(), constants));
  kernel::BindArgs args;
  args.problem = &problem;
  args.tactic = &c.tactic;
  args.device = &device.info();
  args.packed = bound.packed.bytes;
  args.artifact = bound.artifact.bytes;
  args.constants = constants;
  PLANISH_ASSIGN_OR_RETURN(bound.launchable, c.kernel->bind(args));
  return ok_status();
}

Status Tuner::give_memory(Bound& bound, std::span<const ir::Tensor> constants) {
  backend::Device& device = device_;
  const kernel::Problem& problem = *bound.candidate->problem;
  PLANISH_ASSIGN_OR_RETURN(
      bound.workspace,
      device.allocate(bound.launchable->workspace_bytes() + 64, device.home()));
  if (device.home() != ir::MemorySpace::kHost) {
    PLANISH_ASSIGN_OR_RETURN(bound.sets, sets_.sets_for(problem));
    return ok_status();
  }
  const auto buffer = [&](const ir::TensorType& type, uint64_t seed) -> Result<BufferRef> {
    const int64_t bytes = bytes_of(type);
    PLANISH_ASSIGN_OR_RETURN(auto memory, device.allocate(bytes + 64, device.home()));
      fill_random(memory->data(), type.dtype, bytes, seed);
    BufferRef ref{memory->data(), 0};
    bound.memory.push_back(std::move(memory));
    return ref;
  };
  for (size_t i = 0; i < problem.operands.size(); ++i) {
    const kernel::Operand& operand = problem.operands[i];
    BufferRef ref;
    if (operand.present && operand.constant && i < constants.size() && constants[i].count() > 0) {
      ref.data = const_cast<void*>(constants[i].data());
    } else if (operand.present) {
      PLANISH_ASSIGN_OR_RETURN(ref, buffer(operand.type, i + 1));
    }
    bound.operands.push_back(ref);
  }
  for (size_t i = 0; i < problem.results.size(); ++i) {
    PLANISH_ASSIGN_OR_RETURN(BufferRef ref, buffer(problem.result_type(int(i)), 77 + i));
    bound.results.push_back(ref);
  }
  return ok_status();
}

Tuner::Tuner(backend::Device& device, TimeStore* store, TunerOptions options)
    : device_(device),
      store_(store),
      sets_(device),
      options_(std::move(options)),
      team_(device.info().kind == "cpu" ? device.info().threads : 1, "tuner") {
  if (!options_.now_us) options_.now_us = steady_us;
  if (!options_.warmth) options_.warmth = &own_warmth_;
}

std::string Tuner::key(const Candidate& c) const {
  const kernel::DeviceInfo& d = device_.info();
  const std::string compiler = c.kernel->compiler();
  return cat(c.kernel->name(), " v", c.kernel->version(), compiler.empty() ? "" : " by ", compiler, " [",
             c.tactic.to_string(), "] on ", d.kind, " ", d.name, " ", d.isa, " x", d.threads,
             is_long(c) ? ", clocks settled: " : ": ", kernel::fingerprint(*c.problem));
}

bool Tuner::is_long(const Candidate& c) const {
  return device_.home() != ir::MemorySpace::kHost && c.predicted_us >= options_.long_us;
}

Status Tuner::look_up(std::span<Candidate> candidates) {
  for (Candidate& c : candidates) {
    if (!store_) continue;
    if (auto known = store_->find(key(c))) {
      c.measured_us = *known;
      ++cached_count_;
    }
  }
  return ok_status();
}

// One time of one candidate.
Result<double> Tuner::sample(const Bound& bound) {
  kernel::RunArgs args;
  args.operands = bound.operands;
  args.results = bound.results;
  args.workspace = bound.workspace->data();
  args.team = &team_;
  if (device_.home() == ir::MemorySpace::kHost) {
    const double start = options_.now_us();
    PLANISH_RETURN_IF_ERROR(bound.launchable->run(args));
    return options_.now_us() - start;
  }
  const Candidate& c = *bound.candidate;
  const Activity timing([&] {
    return cat("timing ", c.kernel->name(), " [", c.tactic.to_string(), "] of ", kernel::describe(*c.problem));
  });
  std::vector<kernel::RunArgs> rotated;
  for (const BufferSets::Set& set : *bound.sets) {
    kernel::RunArgs& one = rotated.emplace_back(args);
    one.operands = set.operands;
    one.results = set.results;
  }
  const double begin = options_.now_us();
  PLANISH_ASSIGN_OR_RETURN(std::vector<double> times,
                           device_.time_us(*bound.launchable, rotated, 3));
  options_.warmth->worked(begin, options_.now_us());
  if (times.empty()) return internal_error("the device gave no sample");
  return summarize(std::move(times)).median;
}

// The best guess runs until the device has the clocks that it keeps, where the candidates are long.
void Tuner::settle_clocks(const std::vector<Bound>& running) {
  if (running.size() < 2) return;
  for (const Bound& bound : running)
    if (!is_long(*bound.candidate)) return;
  constexpr int kMostSamples = 5000;  // a clock that stands still would never say so
  for (int i = 0; i < kMostSamples && !options_.warmth->settled(options_.now_us()); ++i)
    if ((options_.out_of_time && options_.out_of_time()) || !sample(running[0]).ok()) return;  // the race says why
}

// By several threads where a device has memory of its own: packing weights takes the host longer than
// a sample takes the device.
void Tuner::bind_all(std::vector<Bound>& all, std::span<const ir::Tensor> constants) const {
  const bool on_host = device_.home() == ir::MemorySpace::kHost;
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i; (i = next++) < all.size();) {
      try {
        if (const Status s = bind(all[i], constants); !s.ok()) all[i].candidate->refused = s.to_string();
      } catch (const std::bad_alloc&) {  // must not leave a thread
        all[i].candidate->refused = "no memory to bind it";
      }
    }
  };
  const size_t cores = on_host ? 1 : std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::thread> threads;
  for (size_t i = 1; i < std::min(cores, all.size()); ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
}

Status Tuner::measure(std::span<Candidate> candidates, std::span<const ir::Tensor> constants) {
  std::vector<Bound> running;
  for (Candidate& c : candidates) {
    if (store_) {
      if (auto known = store_->find(key(c))) {
        c.measured_us = *known;
        ++cached_count_;
        continue;
      }
    }
    running.emplace_back().candidate = &c;
  }
  bind_all(running, constants);
  std::erase_if(running, [&](Bound& bound) {
    if (bound.candidate->refused.empty())
      if (const Status s = give_memory(bound, constants); !s.ok()) bound.candidate->refused = s.to_string();
    return !bound.candidate->refused.empty();
  });
  settle_clocks(running);
  const double begin = options_.now_us();
  MeasureOptions rounds;
  rounds.rounds = options_.rounds;
  rounds.hopeless = options_.hopeless_factor;
  rounds.hopeless_later = options_.drop_factor;
  rounds.out_of_time = [&] {
    return (options_.out_of_time && options_.out_of_time()) ||
           options_.now_us() - begin > options_.max_us_per_problem;
  };
  const auto measured =
      measure_rounds(running.size(), [&](size_t i) { return sample(running[i]); }, rounds);
  for (size_t i = 0; i < running.size(); ++i) {
    Candidate& c = *running[i].candidate;
    const Measurement& m = measured[i];
    if (!m.status.ok()) c.refused = m.status.to_string();
    if (m.samples == 0) continue;
    c.measured_us = m.us;
    ++measured_count_;
    if (store_) store_->put(key(c), m.us, m.spread_us);
  }
  sets_.clear();
  return ok_status();
}

}  // namespace planish::tuner
