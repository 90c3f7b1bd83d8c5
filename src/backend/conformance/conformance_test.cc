// Every operator's cases on every kernel of a device: as they stand, with all operands but the first
// constant, and with an epilogue behind.
//
// Contractions come first. Kernels are compiled on all cores, a batch of problems ahead of the one that
// runs. A kernel that loses the device ends the run, for nothing else works in the process: the last
// line then says where to go on, and so it does when --seconds are over. --lines adds one JSON line per
// problem to a file: number, of (how many there are), name, right, wrong (texts), refused; --resume passes over those in it.
// --share K/N takes every Nth problem from K on, for N processes side by side.
//
// Usage: conformance_test [--device cpu|cuda|onednn] [--filter TEXT] [--tactics N] [--from N] [--lines FILE]
//                         [--resume FILE] [--share K/N] [--seconds N] [--libraries 1]
// Exit code: 0 all right, 1 a wrong result, 3 the device was lost, 4 out of time, 77 no such device here.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <future>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "backend/api/device_with_info.h"
#include "backend/conformance/conformance.h"
#include "backend/cpu/cpu_backend.h"
#ifdef PLANISH_HAS_CUDA
#include "backend/cuda/cuda_backend.h"
#endif
#ifdef PLANISH_HAS_ONEDNN
#include "backend/onednn/onednn_backend.h"
#endif
#include "base/text.h"
#include "eval/control_kernel.h"
#include "opdef/infer.h"
#include "ops/all_cases.h"
#include "ops/case_inputs.h"
#include "ops/register_ops.h"
#include "passes/pipeline.h"
#include "tuner/compile_ahead.h"

namespace planish::conformance {
namespace {

constexpr int64_t kMostElements = 1 << 18;  // of a case's operands together

enum class Variant { kPlain, kConstants, kEpilogue };
constexpr Variant kVariants[] = {Variant::kPlain, Variant::kConstants, Variant::kEpilogue};

struct Built {
  std::unique_ptr<ir::Graph> graph = std::make_unique<ir::Graph>();
  std::vector<ir::Tensor> inputs;
};

// x * 0.5 + b per channel, or + 1 where there is none, then the positive part.
void add_epilogue(ir::Graph& g, ir::Value*& v) {
  const auto constant = [&](std::vector<int64_t> dims) {
    opdef::InputCase input;
    input.dtype = v->type.dtype;
    input.dims = std::move(dims);
    return g.add_constant(g.unique_name("e"), ops::make_input(input, 99));
  };
  std::vector<int64_t> channel;
  if (v->type.rank() >= 2 && v->type.shape[1].is_constant()) {
    channel.assign(size_t(v->type.rank()) - 1, 1);
    channel[0] = v->type.shape[1].value();
  }
  v = g.add_node("Mul", {v, constant({})}, {}, {v->type})->outputs[0];
  v = g.add_node("Add", {v, constant(channel)}, {}, {v->type})->outputs[0];
  v = g.add_node("Relu", {v}, {}, {v->type})->outputs[0];
}

Result<Built> build(const opdef::OpRegistry& registry, const opdef::OpCase& c, Variant variant) {
  Built out;
  ir::Graph& g = *out.graph;
  std::vector<ir::Value*> operands;
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    const bool constant = c.inputs[i].constant || (variant != Variant::kPlain && i > 0);
    const ir::Tensor t = ops::make_input(c.inputs[i], i + 1);
    if (c.inputs[i].absent) {
      operands.push_back(nullptr);
    } else if (constant) {
      operands.push_back(g.add_constant(cat("c", i), t));
    } else {
      operands.push_back(g.add_input(cat("x", i), t.type()));
      out.inputs.push_back(t);
    }
  }
  ir::Attributes attrs;
  for (const auto& [key, value] : c.attrs) attrs[key] = ir::clone(value);
  opdef::fill_defaults(*registry.find(c.op), attrs);
  ir::Node* node = g.add_node(c.op, operands, std::move(attrs),
                              std::vector<ir::TensorType>(size_t(c.output_count)));
  PLANISH_RETURN_IF_ERROR(opdef::infer_graph(registry, g));
  g.outputs = node->outputs;
  if (variant != Variant::kEpilogue) return out;
  if (c.output_count != 1 || node->outputs[0]->type.dtype != ir::DataType::kF32)
    return unsupported("no epilogue");
  add_epilogue(g, g.outputs[0]);
  PLANISH_RETURN_IF_ERROR(opdef::infer_graph(registry, g));
  passes::PassContext context(registry);
  PLANISH_RETURN_IF_ERROR(
      passes::run_pass(*passes::find_pass("fuse_regions"), g, context).status());
  return out;
}

struct Totals {
  int64_t subjects = 0, failures = 0, attempts = 0, refused = 0;
  std::map<std::string, int64_t> runs;
  std::set<std::string> without;  // ops that no kernel takes in any case
  std::set<std::string> with;
};

struct CaseSubject {
  Subject subject;
  std::string op, title;
};

void add_subjects(const opdef::OpRegistry& registry, const opdef::OpCase& c,
                  std::vector<CaseSubject>& out) {
  static constexpr std::string_view kNames[] = {"", " constants", " epilogue"};
  for (const Variant variant : kVariants) {
    auto built = build(registry, c, variant);
    if (!built.ok()) continue;
    for (const auto& node : built->graph->nodes()) {
      auto subject = subject_of(registry, *node, built->inputs,
                                cat(c.op, ".", c.name, kNames[size_t(variant)]));
      if (!subject.ok()) continue;  // not fused: its parts have their own cases
      out.push_back({std::move(*subject), c.op, cat(c.op, ".", c.name)});
    }
  }
}

// Compiles the kernels of these subjects into the kernels' own caches.
void compile_all(const kernel::KernelRegistry& kernels, const kernel::DeviceInfo& device,
                 std::span<const CaseSubject> subjects, std::span<const size_t> numbers, int tactics,
                 const std::atomic<bool>& stop) {
  std::vector<Attempt> attempts;
  for (const size_t n : numbers)
    for (Attempt& a : attempts_of(kernels, device, subjects[n].subject, tactics, nullptr))
      attempts.push_back(std::move(a));
  std::vector<tuner::CompileJob> jobs;
  for (const Attempt& a : attempts) jobs.push_back({a.kernel, &a.problem, &a.tactic});
  tuner::compile_ahead(jobs, device, [&] { return stop.load(); });
}

bool is_contraction(const std::string& op) {
  return op == "Conv" || op == "ConvTranspose" || op == "MatMul" || op == "Gemm" || op == "Attention";
}

// Numbers of the problems that a file of lines has.
std::set<size_t> numbers_in(const std::string& file) {
  std::set<size_t> out;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (const auto json = nlohmann::json::parse(line, nullptr, false); json.contains("number")) out.insert(json["number"].get<size_t>());
  return out;
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void add_line(std::ofstream& lines, size_t number, size_t count, const CaseSubject& one, const Report& report) {
  if (!lines.is_open()) return;
  int64_t runs = 0;
  for (const auto& [kernel, count] : report.runs) runs += count;
  nlohmann::json line{{"number", number},
                      {"of", count},
                      {"name", one.subject.name},
                      {"right", runs - int64_t(report.failures.size())},
                      {"wrong", report.failures}};
  if (report.runs.empty()) line["refused"] = true;
  lines << line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
}

// Every `count`th problem from `first` on.
struct Share {
  size_t first = 0, count = 1;
};

std::optional<Share> parse_share(const std::string& text) {
  Share share;
  int end = 0;
  if (std::sscanf(text.c_str(), "%zu/%zu%n", &share.first, &share.count, &end) != 2 ||
      size_t(end) != text.size() || share.first >= share.count)
    return std::nullopt;
  return share;
}

std::unique_ptr<backend::Backend> backend_of(const std::string& kind) {
  if (kind == "cpu") return cpu::make_cpu_backend();
#ifdef PLANISH_HAS_CUDA
  if (kind == "cuda") return cuda::make_cuda_backend();
#endif
#ifdef PLANISH_HAS_ONEDNN
  if (kind == "onednn") return onednn::make_onednn_backend();
#endif
  return nullptr;
}

int run(int argc, char** argv) {
  const auto begin = std::chrono::steady_clock::now();
  std::string kind = "cpu", filter, lines_file, resume;
  int tactics = 4;
  size_t from = 0;
  std::optional<Share> share = Share();
  double seconds = 1e9;
  bool libraries = false;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view arg = argv[i];
    if (arg == "--device") kind = argv[i + 1];
    else if (arg == "--filter") filter = argv[i + 1];
    else if (arg == "--tactics") tactics = std::stoi(argv[i + 1]);
    else if (arg == "--from") from = std::stoul(argv[i + 1]);
    else if (arg == "--lines") lines_file = argv[i + 1];
    else if (arg == "--resume") resume = argv[i + 1];
    else if (arg == "--share") share = parse_share(argv[i + 1]);
    else if (arg == "--seconds") seconds = std::stod(argv[i + 1]);
    else if (arg == "--libraries") libraries = std::string_view(argv[i + 1]) == "1";
    else return std::cerr << "unknown option " << arg << "\n", 2;
  }
  if (!share) return std::cerr << "--share takes K/N with K below N\n", 2;
  const auto backend = backend_of(kind);
  if (!backend) return std::cout << "skipped: built without a backend '" << kind << "'\n", 77;
  if (Status s = backend->available(); !s.ok())
    return std::cout << "skipped: " << s.to_string() << "\n", 77;
  opdef::OpRegistry registry;
  ops::register_all_ops(registry);
  kernel::KernelRegistry kernels;
  backend->register_kernels(kernels);
  if (kind == "cpu") kernels.add(eval::make_control_kernel(registry));
  // oneDNN brings kernels for the CPU and no device.
  auto device = (kind == "onednn" ? cpu::make_cpu_backend()->device(0, 2) : backend->device(0, 2));
  if (!device.ok()) return std::cout << "skipped: " << device.status().to_string() << "\n", 77;
  if (libraries) *device = backend::with_libraries(*device, kernel::kLibrariesRace);
  std::vector<CaseSubject> subjects;
  for (const opdef::OpCase& c : ops::all_cases()) {
    if (cat(c.op, ".", c.name).find(filter) == std::string::npos) continue;
    int64_t elements = 0;
    for (const opdef::InputCase& input : c.inputs)
      elements += input.absent ? 0 : ir::element_count(std::span<const int64_t>(input.dims));
    if (elements <= kMostElements) add_subjects(registry, c, subjects);
  }
  std::stable_partition(subjects.begin(), subjects.end(), [](const CaseSubject& s) { return is_contraction(s.op); });
  const std::set<size_t> done = numbers_in(resume);
  std::vector<size_t> numbers;
  for (size_t s = from; s < subjects.size(); ++s)
    if (s % share->count == share->first && !done.count(s)) numbers.push_back(s);
  std::ofstream lines;
  if (!lines_file.empty()) lines.open(lines_file, std::ios::app);
  Totals totals;
  const auto batch = [&](size_t first) {
    constexpr size_t kBatch = 96;
    return first < numbers.size() ? std::span(numbers).subspan(first, std::min(kBatch, numbers.size() - first))
                                  : std::span<const size_t>();
  };
  std::atomic<bool> stop{false};
  const auto compile = [&](size_t first) {
    compile_all(kernels, (*device)->info(), subjects, batch(first), tactics, stop);
  };
  std::future<void> ahead = std::async(std::launch::async, compile, size_t(0));
  const struct Stop {  // whichever way this ends, nothing more is compiled
    std::atomic<bool>& flag;
    ~Stop() { flag = true; }
  } at_end{stop};
  double said = 0;
  size_t compiled = 0;  // numbers in front of this one are
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (i == compiled) {
      ahead.get();
      compiled += batch(i).size();
      ahead = std::async(std::launch::async, compile, compiled);
    }
    const size_t s = numbers[i];
    const double now = seconds_since(begin);
    if (now >= seconds)
      return std::cout << "out of time; go on with --from " << s << " of " << subjects.size() << std::endl, 4;
    if (now - said >= 10) {
      said = now;
      std::cout << i << " of " << numbers.size() << " problems, " << totals.attempts - totals.failures << " right, "
                << totals.failures << " wrong, " << totals.refused << " refused, " << int(now) << " s" << std::endl;
    }
    const CaseSubject& one = subjects[s];
    const Report report = check(registry, kernels, **device, one.subject, tactics);
    add_line(lines, s, subjects.size(), one, report);
    ++totals.subjects;
    for (const auto& [kernel, runs] : report.runs) {
      totals.runs[kernel] += runs;
      totals.attempts += runs;
    }
    totals.refused += report.runs.empty();
    (report.runs.empty() ? totals.without : totals.with).insert(one.op);
    for (const std::string& failure : report.failures) {
      ++totals.failures;
      std::cout << failure << "\n  run again: conformance_test --device " << kind << " --filter "
                << one.title << std::endl;
    }
    if (report.device_lost)
      return std::cout << "the device is lost; go on with --from " << s + 1 << " of "
                       << subjects.size() << std::endl, 3;
  }
  for (const auto& [kernel, runs] : totals.runs) std::cout << "  " << runs << "\t" << kernel << "\n";
  std::vector<std::string> without;
  for (const std::string& op : totals.without)
    if (!totals.with.count(op)) without.push_back(op);
  std::cout << "on the reference in every case: " << join(without, " ") << "\n"
            << totals.subjects << " problems on " << (*device)->info().name << ": "
            << totals.failures << " wrong\n";
  return totals.failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace planish::conformance

int main(int argc, char** argv) { return planish::conformance::run(argc, argv); }
