// Random graphs from seeds, each by every road of graph_check.h; and the summary over shards.
//
// Usage: random_graphs [--device cpu|cuda] --first SEED --count N [--coverage FILE] [--seconds N]
//                                                         checks N graphs, for N seconds at most
//        random_graphs [--device cpu|cuda] --graph SEED   one graph, printed and shrunk
//        random_graphs --summarize FILES...               what the shards covered
// On a device other than the CPU a failure is shrunk by --graph alone: each trial compiles kernels.
// Exit code: 0 good, 1 a graph failed or something was not covered enough, 3 the device was lost, 77
// no such device here.
#include <chrono>
#include <cstring>
#include <fstream>
#include <iostream>
#include <optional>
#include <set>

#include "base/text.h"
#include "graph_check.h"
#include "passes/pipeline.h"

namespace planish::tests {
namespace {

constexpr int64_t kFewestGraphs = 2000, kFewestGraphsOfOp = 20, kFewestFirings = 50;

// Lines "op Conv 31": graphs that hold it; "rule fold_scale/gemm 12": times fired; "kernel NAME n".
using Counts = std::map<std::string, int64_t>;

void count_ops(const ir::Graph& graph, std::set<std::string>& ops) {
  for (const auto& node : graph.nodes()) {
    ops.insert(node->op);
    for (const auto& [key, value] : node->attrs)
      if (const auto* body = std::get_if<ir::GraphPtr>(&value)) count_ops(**body, ops);
  }
}

std::string again(const Machine& machine, uint64_t seed) {
  return cat("run again: random_graphs ", machine.host ? "--device cuda " : "", "--graph ", seed, "\n");
}

void print_failure(const Machine& machine, RandomGraph graph, uint64_t seed,
                   const std::string& failure) {
  std::cout << "graph " << seed << ": " << failure << "\n";
  const RandomGraph small = shrink(machine, std::move(graph), seed);
  ir::PrintOptions options;
  options.inline_elements = 16;
  const GraphReport report = check_graph(machine, small, seed);
  std::cout << "shrunk: " << report.failure << "\n"
            << ir::print(*small.graph, options) << "steps:\n" << report.steps
            << again(machine, seed) << std::flush;
}

struct Range {
  uint64_t first = 0;
  int64_t count = 0;
  double seconds = 1e9;
  std::string coverage;  // a file for what was covered; empty: none
};

int check_range(const Machine& machine, const Range& range) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  const auto cases = cases_by_op(*machine.ops);
  Counts counts;
  int failed = 0;
  bool lost = false;
  for (uint64_t seed = range.first; seed < range.first + uint64_t(range.count) && !lost; ++seed) {
    if (std::chrono::duration<double>(Clock::now() - begin).count() >= range.seconds) break;
    RandomGraph graph = make_random_graph(*machine.ops, cases, seed);
    GraphReport report = check_graph(machine, graph, seed);
    ++counts["graphs"];
    counts["nodes"] += graph.graph->node_count();
    counts["with symbolic dims"] += !graph.graph->symbols.empty();
    counts["run at two sizes"] += !graph.resized_feeds.empty();
    std::set<std::string> ops;
    count_ops(*graph.graph, ops);
    for (const std::string& op : ops) ++counts["op " + op];
    for (const auto& [rule, times] : report.fired) counts["rule " + rule] += times;
    for (const auto& [kernel, times] : report.kernels) counts["kernel " + kernel] += times;
    if (report.failure.empty()) continue;
    ++failed;
    lost = report.device_lost;
    if (machine.host) std::cout << "graph " << seed << ": " << report.failure << "\n" << again(machine, seed) << std::flush;
    else print_failure(machine, std::move(graph), seed, report.failure);
  }
  if (!range.coverage.empty()) {
    std::ofstream file(range.coverage);
    for (const auto& [what, times] : counts) file << times << ' ' << what << '\n';
  }
  std::cout << counts["graphs"] << " graphs from seed " << range.first << ", " << counts["nodes"]
            << " nodes, " << counts["with symbolic dims"] << " with symbolic dims, "
            << counts["run at two sizes"] << " run at two sizes: " << failed << " failed"
            << (lost ? "; the device is lost" : "") << "\n";
  return lost ? 3 : failed == 0 ? 0 : 1;
}

int check_one(const Machine& machine, uint64_t seed) {
  RandomGraph graph = make_random_graph(*machine.ops, cases_by_op(*machine.ops), seed);
  std::cout << ir::print(*graph.graph);
  const std::string failure = check_graph(machine, graph, seed).failure;
  if (failure.empty()) {
    std::cout << "graph " << seed << ": good\n";
    return 0;
  }
  print_failure(machine, std::move(graph), seed, failure);
  return 1;
}

int summarize(std::span<char*> files) {
  Counts counts;
  for (const char* path : files) {
    std::ifstream file(path);
    int64_t times;
    std::string what;
    while (file >> times && std::getline(file >> std::ws, what)) counts[what] += times;
  }
  int missing = 0;
  const auto line = [&](const std::string& what, int64_t got, int64_t least) {
    std::cout << "  " << got << "\t" << what << (got < least ? cat("  FEWER THAN ", least) : "")
              << "\n";
    missing += got < least;
  };
  for (const char* what : {"nodes", "with symbolic dims", "run at two sizes"})
    line(what, counts[what], 0);
  line("graphs", counts["graphs"], kFewestGraphs);
  const auto machine = Machine::make().value();
  std::cout << "graphs that hold each operator:\n";
  for (const opdef::OpDef* op : machine->ops->all())
    if (!op->onnx.empty() ? op->onnx[0].domain != "planish" : true)
      line(op->name, counts["op " + op->name], kFewestGraphsOfOp);
  std::cout << "times that each pass fired:\n";
  for (const passes::Pass& pass : passes::all_passes()) {
    int64_t times = 0;
    for (const auto& [what, n] : counts)
      if (what == cat("rule ", pass.name) || what.starts_with(cat("rule ", pass.name, "/"))) times += n;
    line(std::string(pass.name), times, kFewestFirings);
  }
  std::cout << "steps on each kernel:\n";
  for (const auto& [what, times] : counts)
    if (what.starts_with("kernel ")) line(what.substr(7), times, 0);
  if (missing) std::cout << missing << " not covered enough\n";
  return missing == 0 ? 0 : 1;
}

int run(int argc, char** argv) {
  Range range;
  std::string kind = "cpu";
  std::optional<uint64_t> one;
  for (int i = 1; i + 1 < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg == "--summarize") return summarize({argv + i + 1, size_t(argc - i - 1)});
    if (arg == "--device") kind = argv[++i];
    else if (arg == "--graph") one = std::stoull(argv[++i]);
    else if (arg == "--first") range.first = std::stoull(argv[++i]);
    else if (arg == "--count") range.count = std::stoll(argv[++i]);
    else if (arg == "--seconds") range.seconds = std::stod(argv[++i]);
    else if (arg == "--coverage") range.coverage = argv[++i];
  }
  if (one || range.count > 0) {
    const auto machine = Machine::make(kind);
    if (!machine.ok()) return std::cout << "skipped: " << machine.status().to_string() << "\n", 77;
    return one ? check_one(**machine, *one) : check_range(**machine, range);
  }
  std::cerr << "usage: random_graphs [--device cpu|cuda] --first SEED --count N [--coverage FILE] "
               "[--seconds N] | --graph SEED | --summarize FILES...\n";
  return 2;
}

}  // namespace
}  // namespace planish::tests

int main(int argc, char** argv) { return planish::tests::run(argc, argv); }
