// What a benchmark measured, and how it is printed and written as JSON.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "planish/context.h"
#include "planish/engine.h"

namespace planish::cli {

struct LatencyStats {
  double min = 0, mean = 0, median = 0, p90 = 0, p95 = 0, p99 = 0, max = 0;  // ms
};
// Percentiles by nearest rank; zeros for no samples.
LatencyStats latency_stats(std::vector<double> samples_ms);

// When one worker ran, in milliseconds on a clock that all share.
struct WorkerSpan {
  double begin_ms = 0, end_ms = 0;
};
// From the first worker's begin to the last one's end, in seconds; 0 for no workers.
double covered_seconds(const std::vector<WorkerSpan>& spans);

// What bounds a step, and how near to that ceiling it came.
struct Ceiling {
  const char* unit = "";  // "memory", "tensor cores", "plain cores"; "" where no ceiling is known
  double fraction = 0;    // of the ceiling; above 1 where operands were still in a cache
};
Ceiling ceiling_of(const StepCost& cost, double us);

// What keeps the device from being busy, as a warning; "" when nothing does.
std::string bound_by(const RunTimes& times);

// Mean of one step over the profiled runs.
struct StepMean {
  int step = 0;
  double us = 0;
};

struct BenchResult {
  std::string source, device, isa;
  int threads = 0, contexts = 0;
  std::vector<std::vector<int64_t>> input_dims;
  LatencyStats latency;
  int64_t iterations = 0;
  double seconds = 0;         // of measuring
  double throughput = 0;      // runs per second, all contexts
  double build_ms = 0, load_ms = 0, first_run_ms = 0;
  int64_t peak_memory_bytes = 0;
  MemoryReport memory;
  bool has_device_times = false;  // medians of RunTimes; the enqueue time is the calling thread's
  RunTimes device_us;
  std::optional<DeviceState> before, after;  // the measuring, where the device tells
  std::vector<StepMean> profile;  // empty without --profile
};

std::string to_text(const BenchResult& result, const Engine& engine,
                    const std::vector<StepCost>& costs);
nlohmann::ordered_json to_json(const BenchResult& result, const Engine& engine,
                               const std::vector<StepCost>& costs);

}  // namespace planish::cli
