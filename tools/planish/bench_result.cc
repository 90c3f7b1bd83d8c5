#include "bench_result.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "text.h"

namespace planish::cli {
namespace {

int reference_steps(const Engine& engine) {
  return int(std::count_if(engine.steps().begin(), engine.steps().end(),
                           [](const StepDesc& step) { return step.reference; }));
}

std::string rate(double per_run, double us, double unit) {
  return per_run > 0 && us > 0 ? fmt::format("{:.1f}", per_run / (us * 1e-6) / unit) : "";
}

std::string sources_of(const StepDesc& step) {
  return shorten(printable(fmt::format("{}", fmt::join(step.sources, " + "))), 56);
}

// Of steps on a device: the functions that ran there, the units they ran on, and what bounds them.
std::string device_table(const BenchResult& result, const Engine& engine,
                         const std::vector<StepCost>& costs) {
  double total = 0;
  for (const StepMean& step : result.profile) total += step.us;
  const bool beside = std::any_of(engine.steps().begin(), engine.steps().end(),
                                  [](const StepDesc& step) { return step.stream != 0; });
  Table table({{beside ? "#/stream" : "#", true}, {"from"}, {"kernel"}, {"cores"}, {"time", true}, {"share", true},
               {"TFLOP/s", true}, {"GB/s", true}, {"of ceiling", true}, {"bound by"}});
  for (const StepMean& mean : result.profile) {
    const StepDesc& step = engine.steps()[size_t(mean.step)];
    const StepCost cost = size_t(mean.step) < costs.size() ? costs[size_t(mean.step)] : StepCost{};
    const Ceiling ceiling = ceiling_of(cost, mean.us);
    const bool named = !cost.device_kernels.empty();
    std::string kernel = named ? fmt::format("{}", fmt::join(cost.device_kernels, " + "))
                               : step.kernel + (step.reference ? " (reference)" : "");
    if (cost.any_size) kernel += " (any size)";
    const std::string number = beside ? fmt::format("{}/{}", mean.step, step.stream)
                                      : std::to_string(mean.step);
    table.add({number, sources_of(step), kernel,
               !named ? "" : cost.tensor_cores ? "tensor" : "plain", format_us(mean.us),
               fmt::format("{:.1f} %", total > 0 ? 100 * mean.us / total : 0),
               rate(cost.flops, mean.us, 1e12), rate(double(cost.bytes_moved), mean.us, 1e9),
               *ceiling.unit ? fmt::format("{:.0f} %", 100 * ceiling.fraction) : "", ceiling.unit});
  }
  return table.to_string() + fmt::format("  sum of steps {}\n", format_us(total));
}

std::string profile_table(const BenchResult& result, const Engine& engine,
                          const std::vector<StepCost>& costs) {
  if (result.has_device_times) return device_table(result, engine, costs);
  double total = 0;
  for (const StepMean& step : result.profile) total += step.us;
  Table table({{"#", true}, {"from"}, {"kernel"}, {"time", true}, {"share", true},
               {"GFLOP/s", true}, {"GB/s", true}});
  for (const StepMean& mean : result.profile) {
    const StepDesc& step = engine.steps()[size_t(mean.step)];
    const StepCost cost = size_t(mean.step) < costs.size() ? costs[size_t(mean.step)] : StepCost{};
    table.add({std::to_string(mean.step), sources_of(step), step.kernel + (step.reference ? " (reference)" : ""), format_us(mean.us),
               fmt::format("{:.1f} %", total > 0 ? 100 * mean.us / total : 0),
               rate(cost.flops, mean.us, 1e9), rate(double(cost.bytes_moved), mean.us, 1e9)});
  }
  return table.to_string() + fmt::format("  sum of steps {}\n", format_us(total));
}

std::string state_text(const DeviceState& s) {
  return fmt::format("{:.0f} MHz, memory {:.0f} MHz, {:.0f} W, {:.0f} C", s.clock_mhz,
                     s.memory_clock_mhz, s.power_watts, s.temperature_c);
}

nlohmann::ordered_json state_json(const DeviceState& s) {
  return {{"clock_mhz", s.clock_mhz},
          {"memory_clock_mhz", s.memory_clock_mhz},
          {"power_watts", s.power_watts},
          {"temperature_c", s.temperature_c}};
}

}  // namespace

std::string bound_by(const RunTimes& t) {
  if (t.enqueue_us > t.compute_us)
    return "the host bounds the run: enqueueing takes longer than computing";
  if (t.h2d_us + t.d2h_us > t.compute_us)
    return "copies bound the run: they take longer than computing";
  return "";
}

Ceiling ceiling_of(const StepCost& cost, double us) {
  if (us <= 0 || cost.peak_bytes_per_s <= 0 || cost.peak_flops <= 0) return {};
  const double memory_us = double(cost.bytes_moved) / cost.peak_bytes_per_s * 1e6;
  const double compute_us = cost.flops / cost.peak_flops * 1e6;
  if (memory_us >= compute_us) return {"memory", memory_us / us};
  return {cost.tensor_cores ? "tensor cores" : "plain cores", compute_us / us};
}

LatencyStats latency_stats(std::vector<double> samples) {
  LatencyStats stats;
  if (samples.empty()) return stats;
  std::sort(samples.begin(), samples.end());
  const auto percentile = [&](double p) {
    const auto rank = size_t(std::ceil(p / 100 * double(samples.size())));
    return samples[std::min(samples.size(), std::max<size_t>(rank, 1)) - 1];
  };
  stats.min = samples.front();
  stats.max = samples.back();
  stats.mean = std::accumulate(samples.begin(), samples.end(), 0.0) / double(samples.size());
  const size_t middle = samples.size() / 2;
  stats.median =
      samples.size() % 2 ? samples[middle] : (samples[middle - 1] + samples[middle]) / 2;
  stats.p90 = percentile(90);
  stats.p95 = percentile(95);
  stats.p99 = percentile(99);
  return stats;
}

double covered_seconds(const std::vector<WorkerSpan>& spans) {
  if (spans.empty()) return 0;
  double begin = spans[0].begin_ms, end = spans[0].end_ms;
  for (const WorkerSpan& span : spans) {
    begin = std::min(begin, span.begin_ms);
    end = std::max(end, span.end_ms);
  }
  return (end - begin) / 1e3;
}

std::string to_text(const BenchResult& result, const Engine& engine,
                    const std::vector<StepCost>& costs) {
  std::string out;
  const auto line = [&](std::string_view head, const std::string& rest) {
    out += fmt::format("  {:<11} {}\n", head, rest);
  };
  out += fmt::format("{} on {} ({}), {}\n", result.source, result.device, result.isa,
                     result.threads ? fmt::format("{} x {} threads", result.contexts, result.threads)
                                    : fmt::format("{} contexts", result.contexts));
  for (size_t i = 0; i < result.input_dims.size(); ++i)
    line(i ? "" : "inputs", fmt::format("{} {}", printable(engine.inputs()[i].name),
                                        format_dims(result.input_dims[i])));
  const LatencyStats& l = result.latency;
  line("throughput", fmt::format("{:.1f} runs/s ({} runs in {:.2f} s)", result.throughput,
                                 result.iterations, result.seconds));
  line("latency", fmt::format("median {:.3f} ms, mean {:.3f}, min {:.3f}", l.median, l.mean, l.min));
  line("", fmt::format("p90 {:.3f}, p95 {:.3f}, p99 {:.3f}, max {:.3f}", l.p90, l.p95, l.p99, l.max));
  if (result.has_device_times) {
    const RunTimes& t = result.device_us;
    line("device", fmt::format("H2D {}, compute {}, D2H {}; enqueue {}", format_us(t.h2d_us),
                               format_us(t.compute_us), format_us(t.d2h_us),
                               format_us(t.enqueue_us)));
    if (const std::string bound = bound_by(t); !bound.empty()) line("", "warning: " + bound);
  }
  if (result.before) line("clocks", "before " + state_text(*result.before));
  if (result.after) line(result.before ? "" : "clocks", "after " + state_text(*result.after));
  if (result.build_ms > 0) line("build", fmt::format("{:.0f} ms", result.build_ms));
  line("load", fmt::format("{:.1f} ms, first run {:.1f} ms", result.load_ms, result.first_run_ms));
  line("memory", fmt::format("peak {}, arena {} per context, weights {}, packed {}",
                             format_bytes(result.peak_memory_bytes),
                             format_bytes(result.memory.arena_bytes),
                             format_bytes(result.memory.weight_bytes),
                             format_bytes(result.memory.packed_bytes)));
  line("steps", fmt::format("{}, {} of them on reference kernels", engine.steps().size(),
                            reference_steps(engine)));
  if (!result.profile.empty()) out += "\n" + profile_table(result, engine, costs);
  return out;
}

nlohmann::ordered_json to_json(const BenchResult& result, const Engine& engine,
                               const std::vector<StepCost>& costs) {
  const LatencyStats& l = result.latency;
  nlohmann::ordered_json out{
      {"source", result.source},
      {"device", result.device},
      {"isa", result.isa},
      {"threads", result.threads},
      {"contexts", result.contexts},
      {"iterations", result.iterations},
      {"seconds", result.seconds},
      {"throughput_per_s", result.throughput},
      {"latency_ms",
       {{"min", l.min}, {"mean", l.mean}, {"median", l.median}, {"p90", l.p90}, {"p95", l.p95},
        {"p99", l.p99}, {"max", l.max}}},
      {"build_ms", result.build_ms},
      {"load_ms", result.load_ms},
      {"first_run_ms", result.first_run_ms},
      {"peak_memory_bytes", result.peak_memory_bytes},
      {"arena_bytes", result.memory.arena_bytes},
      {"weight_bytes", result.memory.weight_bytes},
      {"packed_bytes", result.memory.packed_bytes},
      {"steps", engine.steps().size()},
      {"reference_steps", reference_steps(engine)}};
  if (result.has_device_times) {
    const RunTimes& t = result.device_us;
    out["device_us"] = {{"h2d", t.h2d_us}, {"compute", t.compute_us}, {"d2h", t.d2h_us},
                        {"enqueue", t.enqueue_us}};
    if (const std::string bound = bound_by(t); !bound.empty()) out["warning"] = bound;
  }
  if (result.before) out["device_state"]["before"] = state_json(*result.before);
  if (result.after) out["device_state"]["after"] = state_json(*result.after);
  nlohmann::ordered_json inputs = nlohmann::ordered_json::object();
  for (size_t i = 0; i < result.input_dims.size(); ++i)
    inputs[engine.inputs()[i].name] = result.input_dims[i];
  out["inputs"] = inputs;
  if (result.profile.empty()) return out;
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  for (const StepMean& mean : result.profile) {
    const StepDesc& step = engine.steps()[size_t(mean.step)];
    const StepCost cost = size_t(mean.step) < costs.size() ? costs[size_t(mean.step)] : StepCost{};
    layers.push_back({{"step", mean.step},
                      {"kernel", step.kernel},
                      {"tactic", step.tactic},
                      {"description", step.description},
                      {"sources", step.sources},
                      {"reference", step.reference},
                      {"stream", step.stream},
                      {"us", mean.us},
                      {"flops", cost.flops},
                      {"bytes_moved", cost.bytes_moved}});
    if (cost.device_kernels.empty()) continue;
    const Ceiling ceiling = ceiling_of(cost, mean.us);
    layers.back()["device_kernels"] = cost.device_kernels;
    layers.back()["tensor_cores"] = cost.tensor_cores;
    layers.back()["any_size"] = cost.any_size;
    layers.back()["bound_by"] = ceiling.unit;
    layers.back()["fraction_of_ceiling"] = ceiling.fraction;
  }
  out["layers"] = layers;
  return out;
}

}  // namespace planish::cli
