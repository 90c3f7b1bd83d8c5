// planish bench: how fast a plan or a model runs, measured from outside as a user would see it.
//
// Every context runs on a thread of its own after a warm-up; each run's wall time is one latency
// sample. Per-layer times come from separate runs with the profiler on, because the profiler's own
// clock readings cost time. --serve-rounds hands the schedule to another program, which compares
// several contenders in alternating rounds.
#include <fmt/format.h>

#include <barrier>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <thread>

#include "arrays.h"
#include "bench_result.h"
#include "command.h"
#include "files.h"
#include "planish/verify.h"
#include "source.h"

namespace planish::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string source, json;
  std::vector<std::string> inputs;
  int64_t iterations = 0;
  double duration = 3, warm_up_ms = 200;
  int contexts = 1;
  bool profile = false, serve_rounds = false;
  BuildFlags flags;
};

double ms_between(Clock::time_point a, Clock::time_point b) {
  return std::chrono::duration<double, std::milli>(b - a).count();
}

// The largest resident set of this process so far.
int64_t peak_memory_bytes() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
  return 0;
}

// One context with its inputs set.
struct Worker {
  std::optional<Context> context;
  std::vector<double> samples_ms;
  Clock::time_point begin, end;  // of measuring, noted by the worker's own thread
  Status status;
};

Status prepare(Worker& worker, const Engine& engine, const std::vector<Tensor>& inputs,
               int threads) {
  ContextOptions options;
  options.threads = threads;
  auto context = Context::create(engine, options);
  if (!context.ok()) return context.status();
  worker.context = std::move(*context);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Status status =
        worker.context->set_input(int(i), inputs[i].data(), inputs[i].dims());
    if (!status.ok()) return status;
  }
  return {};
}

Status warm_up(Worker& worker, double ms) {
  RunOptions options;
  options.cancel = interrupt();
  const auto begin = Clock::now();
  do {
    if (const Status status = worker.context->run(options); !status.ok()) return status;
  } while (ms_between(begin, Clock::now()) < ms);
  return {};
}

// Runs until both the wanted number of runs and, when none was asked for, the time are reached.
void measure(Worker& worker, const Options& options) {
  constexpr int64_t kLeastRuns = 10;
  RunOptions run_options;
  run_options.cancel = interrupt();
  worker.begin = worker.end = Clock::now();
  for (int64_t i = 0;; ++i) {
    const auto before = worker.end;
    const bool enough = options.iterations > 0
                            ? i >= options.iterations
                            : i >= kLeastRuns &&
                                  ms_between(worker.begin, before) >= options.duration * 1e3;
    if (enough) return;
    worker.status = worker.context->run(run_options);
    if (!worker.status.ok()) return;
    worker.end = Clock::now();
    worker.samples_ms.push_back(ms_between(before, worker.end));
  }
}

Result<std::vector<StepMean>> profile(Worker& worker, const Engine& engine) {
  constexpr int kRuns = 50;
  constexpr double kMostMs = 3000;
  std::vector<double> sums(engine.steps().size());
  RunOptions options;
  options.cancel = interrupt();
  options.profiler = [&](const StepTiming& time) { sums[size_t(time.step)] += time.duration_us; };
  const auto begin = Clock::now();
  int runs = 0;
  while (runs < kRuns && (runs == 0 || ms_between(begin, Clock::now()) < kMostMs)) {
    if (const Status status = worker.context->run(options); !status.ok()) return status;
    ++runs;
  }
  std::vector<StepMean> means;
  for (size_t i = 0; i < sums.size(); ++i) means.push_back({int(i), sums[i] / runs});
  return means;
}

// Medians of where the time of runs went, the steps replayed in a row so that short runs are told
// from the cost of timing them.
Result<RunTimes> device_times(Worker& worker) {
  constexpr int kRuns = 21;
  constexpr double kReplayUs = 2000;
  RunTimes times;
  RunOptions options;
  options.cancel = interrupt();
  options.times = &times;
  if (const Status status = worker.context->run(options); !status.ok()) return status;
  const double once = std::max(times.compute_us, 1.0);
  std::vector<double> h2d, compute, d2h, enqueue;
  for (int i = 0; i < kRuns; ++i) {
    options.compute_repeats = 1;
    if (const Status status = worker.context->run(options); !status.ok()) return status;
    h2d.push_back(times.h2d_us);
    d2h.push_back(times.d2h_us);
    enqueue.push_back(times.enqueue_us);
    options.compute_repeats = std::max(1, int(kReplayUs / once));
    if (const Status status = worker.context->run(options); !status.ok()) return status;
    compute.push_back(times.compute_us);
  }
  const auto median = [](std::vector<double> values) {
    return latency_stats(std::move(values)).median;
  };
  return RunTimes{median(h2d), median(compute), median(d2h), median(enqueue)};
}

// "ready", then for each line K on standard input K runs and one JSON line.
int serve_rounds(Worker& worker, const std::string& source) {
  fmt::print("ready\n");
  std::fflush(stdout);
  RunOptions options;
  options.cancel = interrupt();
  for (std::string line; std::getline(std::cin, line);) {
    char* end = nullptr;
    const long count = std::strtol(line.c_str(), &end, 10);
    if (end == line.c_str() || count < 1)
      return fail_usage(fmt::format("'{}': expected a number of runs", line));
    std::vector<double> samples;
    for (long i = 0; i < count; ++i) {
      const auto before = Clock::now();
      if (const Status status = worker.context->run(options); !status.ok()) return fail(status.at(source));
      samples.push_back(ms_between(before, Clock::now()));
    }
    const LatencyStats stats = latency_stats(std::move(samples));
    const nlohmann::ordered_json out{
        {"median_ms", stats.median}, {"min_ms", stats.min}, {"mean_ms", stats.mean}};
    fmt::print("{}\n", out.dump());
    std::fflush(stdout);
  }
  return kGood;
}

Result<std::vector<Tensor>> bench_inputs(const Engine& engine,
                                         const std::map<std::string, Tensor>& given) {
  auto random = random_inputs(engine, 1);
  if (given.empty() || !random.ok()) return random;
  std::map<std::string, Tensor> all = given;
  const auto inputs = engine.inputs();
  for (size_t i = 0; i < inputs.size(); ++i) all.emplace(inputs[i].name, (*random)[i]);
  return match_inputs(inputs, all);
}

Status measure_all(std::vector<Worker>& workers, const Options& options, BenchResult& result) {
  std::barrier start(long(workers.size()) + 1);
  std::vector<std::thread> threads;
  for (Worker& worker : workers) {
    threads.emplace_back([&] {
      worker.status = warm_up(worker, options.warm_up_ms);
      start.arrive_and_wait();
      if (worker.status.ok()) measure(worker, options);
    });
  }
  start.arrive_and_wait();
  for (std::thread& thread : threads) thread.join();
  std::vector<double> samples;
  std::vector<WorkerSpan> spans;
  for (const Worker& worker : workers) {
    if (!worker.status.ok()) return worker.status;
    spans.push_back({ms_between(workers[0].begin, worker.begin),
                     ms_between(workers[0].begin, worker.end)});
    samples.insert(samples.end(), worker.samples_ms.begin(), worker.samples_ms.end());
  }
  result.seconds = covered_seconds(spans);
  result.iterations = int64_t(samples.size());
  result.throughput = result.seconds > 0 ? double(samples.size()) / result.seconds : 0;
  result.latency = latency_stats(std::move(samples));
  return {};
}

int bench_command(const Options& options) {
  auto given = read_inputs(options.inputs);
  if (!given.ok()) return fail(given.status());
  std::map<std::string, std::vector<int64_t>> dims;
  for (const auto& [name, tensor] : *given)
    if (!name.empty()) dims[name] = tensor.dims();
  Opened opened = open_source(options.source, options.flags, {}, dims);
  if (!opened.source) return opened.exit_code;
  const Engine& engine = *opened.source->engine;
  const auto failed = [&](const Status& status) { return fail(status.at(options.source)); };
  auto inputs = bench_inputs(engine, *given);
  if (!inputs.ok()) return failed(inputs.status());

  BenchResult result;
  result.source = options.source;
  result.device = engine.device().name;
  result.isa = engine.device().isa;
  result.contexts = options.contexts;
  // Several contexts share the cores unless told otherwise.
  result.threads = options.flags.threads > 0       ? options.flags.threads
                   : engine.device().kind != "cpu" ? 0  // a device's contexts: as the host has
                                                   : std::max(1, engine.threads() / options.contexts);
  result.build_ms = opened.source->build_ms;
  result.load_ms = opened.source->load_ms;
  for (const Tensor& input : *inputs) result.input_dims.push_back(input.dims());
  std::vector<Worker> workers(size_t(options.contexts));
  for (Worker& worker : workers) {
    const auto begin = Clock::now();
    Status status = prepare(worker, engine, *inputs, result.threads);
    if (status.ok()) {
      RunOptions run_options;
      run_options.cancel = interrupt();
      status = worker.context->run(run_options);
    }
    if (!status.ok()) return failed(status);
    if (&worker == workers.data()) result.first_run_ms = ms_between(begin, Clock::now());
  }
  if (options.serve_rounds) return serve_rounds(workers[0], options.source);
  const auto note_state = [&](std::optional<DeviceState>& state) {
    if (auto told = engine.device_state(); told.ok()) state = *told;
  };
  note_state(result.before);
  if (const Status status = measure_all(workers, options, result); !status.ok())
    return failed(status);
  note_state(result.after);
  if (engine.device().kind != "cpu") {
    auto times = device_times(workers[0]);
    if (!times.ok()) return failed(times.status());
    result.has_device_times = true;
    result.device_us = *times;
  }
  if (options.profile) {
    auto means = profile(workers[0], engine);
    if (!means.ok()) return failed(means.status());
    result.profile = std::move(*means);
  }
  if (auto memory = engine.memory(result.input_dims); memory.ok()) result.memory = *memory;
  result.peak_memory_bytes = peak_memory_bytes();
  const std::vector<StepCost> costs = workers[0].context->step_costs();
  if (options.json != "-") fmt::print("{}", to_text(result, engine, costs));
  if (!options.json.empty()) {
    const std::string text =
        to_json(result, engine, costs)
            .dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
        "\n";
    if (const Status saved = write_file(options.json, text); !saved.ok()) return fail(saved);
  }
  return kGood;
}

}  // namespace

void add_bench(CLI::App& app, int& code) {
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("bench", "Measure latency and throughput");
  command.add_option("PLAN|MODEL", options->source, "Plan, or model (ONNX, TensorFlow) to build in memory")
      ->required();
  command.add_option("--iterations", options->iterations,
                     "Runs per context, in place of a duration")
      ->type_name("N")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 40));
  command.add_option("--duration", options->duration, "Seconds to measure; default 3")
      ->type_name("S")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--warm-up", options->warm_up_ms,
                     "Milliseconds to run before measuring; default 200")
      ->type_name("MS")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--contexts", options->contexts, "Contexts that run side by side")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  command.add_flag("--profile", options->profile, "Add a table of the steps with their times");
  command.add_option("--json", options->json, "Write the figures as JSON; -: to standard output")
      ->type_name("FILE");
  command.add_option("--input", options->inputs,
                     "An input: .npy, .pb or .npz; those not given are random; repeatable")
      ->type_name("NAME=FILE")
      ->allow_extra_args(false);
  command.add_flag("--serve-rounds", options->serve_rounds,
                   "Print 'ready'; then for each line K on standard input do K runs and print one "
                   "JSON line with median_ms, min_ms, mean_ms");
  options->flags.add_to(command, "Build (of a model)");
  command.callback([options, &code] { code = bench_command(*options); });
}

}  // namespace planish::cli
