// Our kernels beside cuBLASLt's and cuDNN's on one problem after the other: whether the libraries'
// kernels are right as we call them, and who is faster. Needs a GPU, NVRTC and the libraries; not part of
// the test suite (tests/cuda/library_test.cc is).
//
//   cuda_library_race OUT.jsonl check|gemm|resnetN|vggN ...      N: the batch
//
// check: odd sizes in f32, tf32, f16 and bf16, every proposal, per element against the interpreter.
// The others: all of a problem's candidates in interleaved rounds, the best four of either side again, then
// our best and the library's best, sample by sample in turn, so that both run in one power state; matrix
// products also for a second each, in turns. One line of JSON a problem.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>

#include "backend/api/device_with_info.h"
#include "backend/conformance/conformance.h"
#include "backend/cuda/device/cuda_device.h"
#include "backend/cuda/families/contraction/product.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/library/library_kernel_def.h"
#include "backend/cuda/testing/network_layers.h"
#include "base/text.h"
#include "kernel/set_layouts.h"
#include "kernel/supported.h"
#include "ops/register_ops.h"
#include "tuner/compile_ahead.h"
#include "tuner/measure.h"
#include "tuner/tuner.h"

namespace planish::cuda {
namespace {

using ir::DataType;
using kernel::Problem;
using tuner::Candidate;

struct Case {
  std::string name;
  Problem problem;
  bool tf32 = false;
  bool sustained = false;
};

// Precision of a case: what operands are, and whether products of f32 may be rounded.
struct Precision {
  const char* name;
  DataType type;
  bool tf32;
};
constexpr Precision kPrecisions[] = {{"f32", DataType::kF32, false}, {"tf32", DataType::kF32, true},
                                     {"f16", DataType::kF16, false}, {"bf16", DataType::kBF16, false}};

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Values that tf32 holds exactly where products may be rounded to it: then nothing is.
ir::Tensor random_tensor(const ir::TensorType& type, uint32_t seed, double scale, bool tf32) {
  ir::Tensor out(type.dtype, ir::to_dims(type.shape));
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, float(scale));
  for (int64_t i = 0; i < out.count(); ++i) {
    float value = normal(generator);
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    bits &= tf32 ? ~0x1fffu : ~0u;
    std::memcpy(&value, &bits, 4);
    out.set_f64(i, value);
  }
  return out;
}

std::vector<Case> odd_cases() {
  const Behind relu{true, false, Activation::kRelu}, all{true, true, Activation::kRelu}, none{};
  const Behind bias{true, false, Activation::kNone}, sum{true, true, Activation::kNone};
  const ConvCase convs[] = {
      {2, 64, 19, 23, 72, 3, 3, 1, 1, 1, 1, 1, relu}, {3, 40, 17, 17, 24, 3, 3, 2, 1, 1, 1, 1, all},
      {1, 8, 30, 21, 16, 5, 3, 1, 2, 1, 1, 1, none},  {2, 24, 13, 9, 40, 3, 3, 1, 2, 2, 2, 1, bias},
      {2, 3, 33, 31, 20, 7, 7, 2, 3, 3, 1, 1, relu},  {2, 24, 9, 9, 36, 3, 3, 1, 1, 1, 1, 6, relu},
      {2, 31, 11, 7, 33, 1, 1, 1, 0, 0, 1, 1, sum},   {128, 64, 7, 7, 64, 1, 1, 1, 0, 0, 1, 1, relu}};
  const ProductCase products[] = {
      {{}, 300, 136, 200, true, {}, all},   {{}, 1, 1000, 2048, true, {}, relu}, {{3}, 50, 64, 128, true, {}, bias},
      {{}, 131, 73, 67, true, {}, none},    {{2, 3}, 100, 64, 136, false, {2, 3}, none},
      {{4}, 17, 104, 40, false, {}, sum},   {{}, 7, 33, 96, true, {}, relu},     {{5}, 33, 31, 29, false, {5}, none}};
  const GemmCase gemms[] = {{256, 200, 136, true, true, false, 0.5, 1, {}}, {120, 72, 64, false, true, false, 1, 1, {72}},
                            {33, 65, 48, false, true, true, 1, 1, {33, 65}}, {96, 65, 47, true, true, true, 1.5, 1, {}}};
  std::vector<Case> out;
  for (const Precision& p : kPrecisions) {
    const auto add = [&](const char* what, size_t i, Problem problem) {
      out.push_back({cat(what, i, " ", p.name), std::move(problem), p.tf32, false});
    };
    for (size_t i = 0; i < std::size(convs); ++i) add("conv", i, conv_problem(convs[i], p.type));
    for (size_t i = 0; i < std::size(products); ++i) add("matmul", i, product_problem(products[i], p.type));
    for (size_t i = 0; i < std::size(gemms); ++i) add("gemm", i, gemm_problem(gemms[i], p.type));
  }
  return out;
}

class Race {
 public:
  explicit Race(std::ostream& out) : out_(out) {
    register_families(kernels_);
    register_cublaslt(libraries_);
    register_cudnn(libraries_);
    ops::register_all_ops(ops_);
  }

  Status open() {
    PLANISH_ASSIGN_OR_RETURN(device_, make_cuda_device(0));
    return ok_status();
  }

  // Every proposal against the interpreter. Returns how many were wrong.
  int check(const std::vector<Case>& cases) {
    int wrong = 0;
    int64_t right = 0;
    for (const Case& c : cases) {
      conformance::Subject subject{c.name, c.problem, {}};
      const auto contraction = product_of(c.problem);
      const double depth = contraction.ok() ? double(contraction->depth * contraction->taps()) : 1;
      for (size_t i = 0; i < c.problem.operands.size(); ++i)
        subject.operands.push_back(random_tensor(c.problem.operands[i].type, uint32_t(i + 1),
                                                 i == 1 ? 1 / std::sqrt(depth) : 1, c.tf32));
      const auto device = of(c, kLibraryPlans);
      const conformance::Report report = conformance::check(ops_, libraries_, *device, subject);
      nlohmann::json line{{"check", c.name}, {"runs", report.runs}, {"wrong", report.failures.size()},
                          {"refusals", report.refusals}};
      if (!report.failures.empty()) line["first"] = report.failures[0];
      out_ << line.dump() << std::endl;
      int64_t runs = 0;
      for (const auto& [kernel, count] : report.runs) runs += count;
      wrong += int(report.failures.size());
      right += runs - int64_t(report.failures.size());
      if (report.device_lost) return wrong + 1;
    }
    std::cout << "check: " << cases.size() << " problems, " << right << " right, " << wrong << " wrong" << std::endl;
    return wrong;
  }

  void race(const std::vector<Case>& cases) {
    constexpr int kAllPlans = 100;
    std::vector<std::vector<Entry>> entries;
    std::vector<tuner::CompileJob> jobs;
    for (const Case& c : cases) entries.push_back(entries_of(c, of(c, kAllPlans)->info()));
    for (const auto& list : entries)
      for (const Entry& e : list)
        if (!e.library) jobs.push_back({e.kernel, &e.problem, &e.tactic});
    const double begin = seconds();
    tuner::compile_ahead(jobs, device_->info());
    std::cout << cases.size() << " problems, " << jobs.size() << " kernels of ours compiled in "
              << seconds() - begin << " s" << std::endl;
    for (size_t i = 0; i < cases.size(); ++i) race(cases[i], entries[i]);
  }

 private:
  struct Entry {
    const kernel::KernelDef* kernel = nullptr;
    Problem problem;  // with layouts
    kernel::Tactic tactic;
    double predicted_us = 0;
    bool library = false;
  };

  std::shared_ptr<backend::Device> of(const Case& c, int plans) const {
    auto device = backend::with_libraries(backend::with_precision(device_, c.tf32 ? "tf32" : ""), kernel::kLibrariesRace);
    kernel::DeviceInfo info = device->info();
    info.properties.insert_or_assign(std::string(kLibraryPlansProperty), std::to_string(plans));
    return std::make_shared<backend::DeviceWithInfo>(device, std::move(info));
  }

  // What races: a dozen of ours as a build would choose them, and every proposal of the libraries.
  std::vector<Entry> entries_of(const Case& c, const kernel::DeviceInfo& info) const {
    std::vector<Entry> own, out;
    for (const auto& def : kernels_.all()) {
      if (!kernel::supported(*def, c.problem, info).ok()) continue;
      const bool library = dynamic_cast<const kernel::LibraryKernel*>(def.get());
      for (const kernel::LayoutChoice& layouts : def->layouts(c.problem, info)) {
        Problem laid = c.problem;
        kernel::set_layouts(laid, layouts);
        for (const kernel::Tactic& t : def->tactics(laid, info))
          (library ? out : own).push_back({def.get(), laid, t, def->predict_us(laid, t, info), library});
      }
    }
    std::stable_sort(own.begin(), own.end(),
                     [](const Entry& a, const Entry& b) { return a.predicted_us < b.predicted_us; });
    if (own.size() > 12) own.resize(12);
    own.insert(own.end(), std::make_move_iterator(out.begin()), std::make_move_iterator(out.end()));
    return own;
  }

  std::vector<Candidate> measured(backend::Device& device, const std::vector<Entry>& entries,
                                  std::span<const ir::Tensor> constants, int rounds) {
    std::vector<Candidate> candidates;
    for (const Entry& e : entries) candidates.push_back({e.kernel, e.tactic, &e.problem, e.predicted_us, -1, ""});
    tuner::TunerOptions options;
    options.max_us_per_problem = 2e7;
    options.rounds = rounds;
    options.warmth = &warmth_;
    tuner::Tuner tuner(device, nullptr, options);
    if (Status s = tuner.measure(candidates, constants); !s.ok()) std::cout << s.to_string() << std::endl;
    return candidates;
  }

  static int fastest(const std::vector<Entry>& entries, const std::vector<Candidate>& times, bool library) {
    int best = -1;
    for (int i = 0; i < int(times.size()); ++i)
      if (entries[size_t(i)].library == library && times[size_t(i)].measured_us > 0 &&
          (best < 0 || times[size_t(i)].measured_us < times[size_t(best)].measured_us))
        best = i;
    return best;
  }

  // Of either side, in their order.
  static std::vector<Entry> fastest_few(const std::vector<Entry>& entries, const std::vector<Candidate>& times) {
    constexpr size_t kFew = 4;
    std::vector<size_t> order;
    for (size_t i = 0; i < times.size(); ++i)
      if (times[i].measured_us > 0) order.push_back(i);
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return times[a].measured_us < times[b].measured_us; });
    std::vector<Entry> out;
    size_t taken[2] = {};
    for (const size_t i : order)
      if (taken[entries[i].library]++ < kFew) out.push_back(entries[i]);
    return out;
  }

  void race(const Case& c, const std::vector<Entry>& entries) {
    const auto device = of(c, kLibraryPlans);
    std::vector<ir::Tensor> constants;
    for (const kernel::Operand& o : c.problem.operands) {
      constants.emplace_back();
      if (!o.constant) continue;
      ir::Tensor t(o.type.dtype, ir::to_dims(o.type.shape));
      tuner::fill_random(t.mutable_data_as<std::byte>(), o.type.dtype, t.bytes(), constants.size());
      constants.back() = std::move(t);
    }
    const auto is_library = [](const Entry& e) { return e.library; };
    nlohmann::json line{{"case", c.name}, {"proposals", std::count_if(entries.begin(), entries.end(), is_library)}};
    const std::vector<Candidate> all = measured(*device, entries, constants, 3);
    // The best few again, side by side: what is fast behind a slow kernel need not be behind a fast one.
    const std::vector<Entry> few = fastest_few(entries, all);
    const std::vector<Candidate> again = measured(*device, few, constants, 9);
    const int own = fastest(few, again, false), library = fastest(few, again, true);
    if (own < 0 || library < 0) {
      for (const Candidate& one : all)
        if (!one.refused.empty()) line["refused"] = one.refused;
      out_ << line.dump() << std::endl;
      return;
    }
    const std::vector<Entry> two = {few[size_t(own)], few[size_t(library)]};
    const std::vector<Candidate> duel = measured(*device, two, constants, 25);
    const auto name = [](const Entry& e) { return cat(e.kernel->name(), " ", e.tactic.to_string()); };
    line.update({{"own_us", duel[0].measured_us}, {"library_us", duel[1].measured_us}, {"own", name(two[0])},
                 {"library", name(two[1])}});
    if (auto state = device_->state(); state.ok())
      line.update({{"clock_mhz", state->clock_mhz}, {"watts", state->power_watts}});
    if (c.sustained) line.update(sustained(*device, two, duel, constants));
    out_ << line.dump() << std::endl;
    std::cout << c.name << ": ours " << duel[0].measured_us << " us, library " << duel[1].measured_us << " us"
              << std::endl;
  }

  // Each for about a second at a time, in turns, so that most of its samples are of settled clocks.
  nlohmann::json sustained(backend::Device& device, const std::vector<Entry>& two,
                           const std::vector<Candidate>& duel, std::span<const ir::Tensor> constants) {
    std::vector<double> samples[2];
    double clock[2] = {};
    for (int turn = 0; turn < 6; ++turn) {
      const size_t who = size_t(turn % 2);
      constexpr double kSampleUs = 5000;  // about what one round takes
      const int rounds = int(1e6 / std::max(kSampleUs, 3 * duel[who].measured_us));
      const auto times = measured(device, {two[who]}, constants, rounds);
      if (times[0].measured_us > 0) samples[who].push_back(times[0].measured_us);
      if (auto state = device_->state(); state.ok()) clock[who] = state->clock_mhz;
    }
    for (const auto& list : samples)
      if (list.empty()) return nlohmann::json::object();
    return {{"sustained_own_us", tuner::summarize(samples[0]).median},
            {"sustained_library_us", tuner::summarize(samples[1]).median},
            {"sustained_own_mhz", clock[0]}, {"sustained_library_mhz", clock[1]}};
  }

  std::ostream& out_;
  opdef::OpRegistry ops_;
  kernel::KernelRegistry kernels_, libraries_;
  std::shared_ptr<backend::Device> device_;
  tuner::Warmth warmth_;
};

int run(int argc, char** argv) {
  std::ofstream out(argv[1], std::ios::app);
  Race race(out);
  if (Status s = race.open(); !s.ok()) return std::cout << s.to_string() << "\n", 77;
  int wrong = 0;
  for (int i = 2; i < argc; ++i) {
    const std::string part = argv[i];
    const auto batch = [&](size_t prefix) { return std::atoll(part.c_str() + prefix); };
    std::vector<Case> cases;
    const auto add = [&](const std::string& net, const NetworkLayer& l) {
      cases.push_back({cat(net, " ", l.name), conv_problem(l.conv, DataType::kF16)});
    };
    if (part == "check") {
      wrong += race.check(odd_cases());
    } else if (part == "gemm") {
      for (int64_t n : {4096, 8192})
        cases.push_back({cat("gemm ", n), product_problem({{}, n, n, n}, DataType::kF16), false, true});
    } else if (part.rfind("resnet", 0) == 0) {
      add(cat("resnet50 b", batch(6)), resnet50_stem(batch(6)));
      for (const NetworkLayer& l : resnet50_layers(batch(6))) add(cat("resnet50 b", batch(6)), l);
    } else if (part.rfind("vgg", 0) == 0) {
      for (const NetworkLayer& l : vgg_layers(batch(3))) add(cat("vgg b", batch(3)), l);
    } else {
      return std::cout << "unknown part " << part << "\n", 2;
    }
    race.race(cases);
  }
  return wrong ? 1 : 0;
}

}  // namespace
}  // namespace planish::cuda

int main(int argc, char** argv) {
  if (argc >= 3) return planish::cuda::run(argc, argv);
  std::cout << "usage: cuda_library_race OUT.jsonl check|gemm|resnetN|vggN ...\n";
  return 2;
}
