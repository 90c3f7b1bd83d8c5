// Kernels for sizes that only a run knows: what a device compiles for the tuned shapes alone, it is asked
// to compile once more for a sample of all shapes, so that a run with a new shape needs no compiler.
#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "compiler/lowering.h"
#include "kernel/any_size_kernel.h"
#include "plan/program.h"

namespace planish::compiler {
namespace {

// Sizes that meet a kernel's cases: 1, powers of two, what lies beside them, usual batches and lengths.
constexpr int64_t kSizes[] = {1,   2,   3,   4,   5,   6,   7,   8,   12,  15,   16,   17,   24,   31,  32,
                              33,  48,  63,  64,  65,  96,  100, 127, 128, 129,  160,  192,  200,  224, 255,
                              256, 257, 320, 384, 500, 512, 513, 640, 768, 1000, 1024, 1536, 2048, 4096};
constexpr size_t kMost = 80;

using Binding = std::map<std::string, int64_t, std::less<>>;

// Sizes within the symbol's bounds, those of the profiles where there are any.
std::vector<int64_t> sizes_of(const Lowered& lowered, const std::string& symbol) {
  int64_t low = 1, high = kSizes[std::size(kSizes) - 1];
  if (const auto info = lowered.graph->symbols.find(symbol); info != lowered.graph->symbols.end()) {
    low = std::max<int64_t>(1, info->second.low);
    if (info->second.high) high = *info->second.high;
  }
  if (!lowered.max_bindings.empty()) {
    int64_t most = 0;
    for (const auto& binding : lowered.max_bindings)
      if (const auto found = binding.find(symbol); found != binding.end())
        most = std::max(most, found->second);
    if (most > 0) high = std::min(high, most);
  }
  std::set<int64_t> out = {low, std::max(low, high)};
  for (const int64_t size : kSizes)
    if (size >= low && size <= high) out.insert(size);
  return {out.begin(), out.end()};
}

// All symbols at once through their sizes, then each apart while the others stay, then mixtures.
std::vector<Binding> sample_bindings(const Lowered& lowered) {
  std::vector<std::pair<std::string, std::vector<int64_t>>> symbols;
  size_t longest = 0;
  for (const auto& [symbol, value] : lowered.opt_binding) {
    symbols.emplace_back(symbol, sizes_of(lowered, symbol));
    longest = std::max(longest, symbols.back().second.size());
  }
  std::vector<Binding> out;
  const auto add = [&](size_t step, size_t offset) {
    for (size_t i = 0; i < longest && out.size() < kMost; ++i) {
      Binding binding;
      for (size_t s = 0; s < symbols.size(); ++s) {
        const auto& sizes = symbols[s].second;
        binding[symbols[s].first] = sizes[(i * (1 + s * step) + s * offset) % sizes.size()];
      }
      out.push_back(std::move(binding));
    }
  };
  add(0, 0);
  if (symbols.size() > 1) {
    add(0, 11);
    add(2, 5);
  }
  return out;
}

struct Job {
  plan::Step* step;
  const kernel::AnySizeKernel* kernel;
  kernel::Problem exact;
  std::vector<kernel::Problem> others;
};

}  // namespace

Status add_any_size_kernels(plan::Program& program, const Lowered& lowered,
                            const Environment& environment) {
  std::vector<Job> jobs;
  std::vector<Binding> bindings;
  for (plan::Step& step : program.steps) {
    const auto* kernel =
        dynamic_cast<const kernel::AnySizeKernel*>(environment.kernels.find(step.kernel));
    if (!kernel || step.binds_symbols || !is_symbolic(step.problem)) continue;
    auto exact = lowered.at_opt(step.problem);
    if (!exact) continue;
    if (bindings.empty()) bindings = sample_bindings(lowered);
    Job job{&step, kernel, std::move(*exact), {}};
    for (const Binding& binding : bindings)
      if (auto other = lowered.at(step.problem, binding)) job.others.push_back(std::move(*other));
    jobs.push_back(std::move(job));
  }
  std::vector<Status> statuses(jobs.size());
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i; (i = next++) < jobs.size();) {
      const Job& job = jobs[i];
      auto artifact = job.kernel->compile_any_size(job.exact, job.others, job.step->tactic,
                                                   environment.device.info());
      statuses[i] = artifact.status();
      if (artifact.ok())
        job.step->artifact.assign(artifact->bytes.begin(), artifact->bytes.end());
    }
  };
  constexpr size_t kMostThreads = 16;
  const size_t cores = std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::thread> threads;
  for (size_t i = 1; i < std::min({cores, kMostThreads, jobs.size()}); ++i)
    threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < jobs.size(); ++i)
    if (!statuses[i].ok()) return statuses[i].at(jobs[i].step->kernel);
  return ok_status();
}

}  // namespace planish::compiler
