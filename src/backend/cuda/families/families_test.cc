// Every family over every operator's cases, without a GPU: each case's node alone, and the regions
// that the pipeline makes of it between pointwise neighbours, in fp32, fp16 and bf16, in every
// layout and tactic that a family offers, run on the host and compared with the interpreter in
// double. Prints how many problems each family took. Kernels with inline assembly are only compiled
// elsewhere.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <functional>
#include <map>
#include <set>

#include "backend/cuda/emit/nvrtc.h"
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/testing/compile_testing.h"
#include "backend/cuda/testing/host_run_testing.h"
#include "base/text.h"
#include "eval/interpreter.h"
#include "eval/reference_kernel.h"
#include "frontend/onnx/onnx_import.h"
#include "opdef/infer.h"
#include "opdef/make_problem.h"
#include "ops/all_cases.h"
#include "ops/case_inputs.h"
#include "ops/register_ops.h"
#include "passes/pipeline.h"

namespace planish::cuda {
namespace {

using ir::DataType;
using kernel::Problem;
using opdef::OpCase;

const opdef::OpRegistry& registry() {
  static const auto* all = [] {
    auto* r = new opdef::OpRegistry;
    ops::register_all_ops(*r);
    return r;
  }();
  return *all;
}

const kernel::KernelRegistry& families() {
  static const auto* all = [] {
    auto* r = new kernel::KernelRegistry;
    register_families(*r);
    return r;
  }();
  return *all;
}

// One node's computation with its operands and what they give.
struct Sample {
  std::string title;
  Problem problem;
  std::vector<ir::Tensor> operands;
  std::vector<ir::Tensor> expected;  // in double where the type is a float
};

struct Built {
  std::unique_ptr<ir::Graph> graph;
  std::vector<ir::Tensor> inputs;
};

// `wrapped`: floating outputs are halved and shifted, floating inputs doubled, so that regions
// form.
Result<Built> build(const OpCase& c, DataType dtype, bool wrapped) {
  Built out;
  out.graph = std::make_unique<ir::Graph>();
  ir::Graph& g = *out.graph;
  const auto scalar = [&](DataType type, double value) {
    return g.add_constant(g.unique_name("s"), ir::Tensor::from_f64(type, {}, std::span(&value, 1)));
  };
  std::vector<ir::Value*> operands;
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    opdef::InputCase input = c.inputs[i];
    if (input.dtype == DataType::kF32) input.dtype = dtype;
    // Recurrent layers and convolutions have weights.
    const bool recurrent = c.op == "LSTM" || c.op == "GRU" || c.op == "RNN";
    if ((recurrent && i >= 1 && i <= 3) || (c.op == "Conv" && i >= 1)) input.constant = true;
    const ir::Tensor t = ops::make_input(input, i + 1);
    if (input.absent) {
      operands.push_back(nullptr);
    } else if (input.constant) {
      operands.push_back(g.add_constant(cat("c", i), t));
    } else {
      operands.push_back(g.add_input(cat("x", i), t.type()));
      out.inputs.push_back(t);
      if (wrapped && i == 0 && ir::is_float(t.dtype()) && ir::bits_of(t.dtype()) >= 16)
        operands.back() =
            g.add_node("Mul", {operands[i], scalar(t.dtype(), 0.5)}, {}, {t.type()})->outputs[0];
    }
  }
  ir::Attributes attrs;
  for (const auto& [key, value] : c.attrs) attrs[key] = ir::clone(value);
  opdef::fill_defaults(*registry().find(c.op), attrs);
  ir::Node* node =
      g.add_node(c.op, operands, attrs, std::vector<ir::TensorType>(size_t(c.output_count)));
  PLANISH_RETURN_IF_ERROR(opdef::infer_graph(registry(), g));
  for (ir::Value* v : node->outputs) {
    if (wrapped && ir::is_float(v->type.dtype) && ir::bits_of(v->type.dtype) >= 16) {
      v = g.add_node("Mul", {v, scalar(v->type.dtype, 0.5)}, {}, {v->type})->outputs[0];
      v = g.add_node("Add", {v, scalar(v->type.dtype, 1)}, {}, {v->type})->outputs[0];
    }
    g.outputs.push_back(v);
  }
  PLANISH_RETURN_IF_ERROR(opdef::infer_graph(registry(), g));
  if (!wrapped) return out;
  passes::PassOptions options;
  passes::PassContext context(registry(), options);
  PLANISH_RETURN_IF_ERROR(passes::optimize(g, context));
  return out;
}

// The nodes of a graph as problems with their operands.
Status add_samples(const std::string& title, const Built& built, std::vector<Sample>& out) {
  std::map<const ir::Value*, ir::Tensor> known;
  for (size_t i = 0; i < built.graph->inputs.size(); ++i)
    known[built.graph->inputs[i]] = built.inputs[i];
  eval::Options options;
  options.observer = [&](const ir::Value& v, const ir::Tensor& t) { known[&v] = t; };
  PLANISH_RETURN_IF_ERROR(
      eval::interpret(registry(), *built.graph, built.inputs, options).status());
  for (const auto& node : built.graph->nodes()) {
    const opdef::OpDef* op = registry().find(node->op);
    if (!op || op->random || op->has_subgraphs) {
      if (node->op != "Region") continue;
    }
    bool fixed = true;
    for (const ir::Value* v : node->outputs) fixed &= ir::is_constant(v->type.shape);
    if (!fixed) continue;
    Sample sample;
    sample.title = cat(title, " ", node->op);
    PLANISH_ASSIGN_OR_RETURN(sample.problem, opdef::make_problem(registry(), *node));
    std::vector<ir::Tensor> wide;
    std::vector<const ir::Tensor*> pointers;
    for (const ir::Value* v : node->inputs) {
      sample.operands.push_back(!v ? ir::Tensor() : v->constant ? *v->constant : known[v]);
      const ir::Tensor& t = sample.operands.back();
      wide.push_back(ir::is_float(t.dtype()) ? t.converted(DataType::kF64) : t);
    }
    for (size_t i = 0; i < node->inputs.size(); ++i)
      pointers.push_back(node->inputs[i] ? &wide[i] : nullptr);
    auto expected = eval::evaluate_problem(registry(), sample.problem, pointers, true);
    if (!expected.ok()) {  // an operator that is about its operands' types
      for (size_t i = 0; i < pointers.size(); ++i)
        if (pointers[i]) pointers[i] = &sample.operands[i];
      expected = eval::evaluate_problem(registry(), sample.problem, pointers);
    }
    if (!expected.ok()) return expected.status();
    sample.expected = std::move(*expected);
    out.push_back(std::move(sample));
  }
  return ok_status();
}

void set_layouts(Problem& problem, const kernel::LayoutChoice& layouts) {
  for (size_t i = 0; i < problem.operands.size() && i < layouts.operands.size(); ++i)
    problem.operands[i].type.layout = layouts.operands[i];
  for (size_t i = 0; i < problem.results.size() && i < layouts.results.size(); ++i) {
    if (problem.results[i] < int(problem.operands.size())) continue;
    const auto [stage, output] = problem.stage_of(problem.results[i]);
    problem.stages[size_t(stage)].outputs[size_t(output)].layout = layouts.results[i];
  }
}

// Position in memory of every element in row-major order.
std::vector<int64_t> positions(const std::vector<int64_t>& dims, const ir::Layout& layout) {
  std::vector<int64_t> out, index(dims.size(), 0);
  const int64_t count = ir::element_count(dims);
  for (int64_t i = 0; i < count; ++i) {
    int64_t at = 0;
    for (size_t k = 0; k < dims.size(); ++k) {
      const size_t d = layout.perm.empty() ? k : size_t(layout.perm[k]);
      at = at * dims[d] + index[d];
    }
    out.push_back(at);
    for (size_t d = dims.size(); d-- > 0 && ++index[d] == dims[d];) index[d] = 0;
  }
  return out;
}

// Bytes between two guards, 64-byte aligned.
class Buffer {
 public:
  explicit Buffer(int64_t bytes)
      : bytes_(bytes), data_(size_t(bytes) + 3 * kGuard, std::byte{0xff}) {}
  std::byte* data() {
    return reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(data_.data()) + kGuard + 63) &
                                        ~uintptr_t(63));
  }
  bool guards_hold() {
    const std::byte* begin = data();
    for (const std::byte& b : data_)
      if ((&b < begin || &b >= begin + bytes_) && b != std::byte{0xff}) return false;
    return true;
  }

 private:
  static constexpr int64_t kGuard = 256;
  int64_t bytes_;
  std::vector<std::byte> data_;
};

Buffer to_layout(const ir::Tensor& t, const ir::Layout& layout) {
  Buffer out(t.bytes());
  const int64_t size = ir::bits_of(t.dtype()) / 8;
  const auto at = positions(t.dims(), layout);
  for (size_t i = 0; i < at.size() && size; ++i)
    std::memcpy(out.data() + at[i] * size, t.data_as<std::byte>() + int64_t(i) * size,
                size_t(size));
  return out;
}

ir::Tensor from_layout(Buffer& from, const ir::TensorType& type) {
  ir::Tensor out(type.dtype, ir::to_dims(type.shape));
  const int64_t size = ir::bits_of(type.dtype) / 8;
  const auto at = positions(out.dims(), type.layout);
  for (size_t i = 0; i < at.size(); ++i)
    std::memcpy(out.mutable_data_as<std::byte>() + int64_t(i) * size, from.data() + at[i] * size,
                size_t(size));
  return out;
}

std::string difference(const ir::Tensor& got, const ir::Tensor& expected) {
  double largest = 0;
  for (int64_t i = 0; i < expected.count(); ++i)
    if (std::isfinite(expected.f64(i))) largest = std::max(largest, std::fabs(expected.f64(i)));
  const double u = ir::unit_roundoff(DataType::kF32), u_out = ir::unit_roundoff(got.dtype());
  for (int64_t i = 0; i < got.count(); ++i) {
    double a = got.f64(i), b = expected.f64(i);
    if (ir::is_float(got.dtype())) b = ir::round_to(got.dtype(), b);
    // Regions of narrow types round in their middle too, where values may be larger.
    const double bound =
        ir::is_float(got.dtype()) ? 64 * u * std::max(largest, 1.0) + 4 * u_out * largest : 0;
    if (a == b || (std::isnan(a) && std::isnan(b)) || std::fabs(a - b) <= bound) continue;
    return cat("[", i, "]: got ", a, ", expected ", b, " within ", bound);
  }
  return "";
}

struct Attempt {
  const Sample* sample;
  std::string title;
  Problem problem;
  EmittedStep step;
  kernel::Blob packed;
  int number = -1;
};

class FamilyCases : public ::testing::TestWithParam<DataType> {};

// How many problems a family took; what nobody took.
struct Tally {
  std::map<std::string, int> taken;
  std::map<std::string, std::string> refused;
};

void add_attempts(const Sample& sample, std::vector<Attempt>& out, Tally& tally) {
  const kernel::DeviceInfo device = testing_device();
  bool taken = false;
  std::string why;
  for (const auto& kernel : families().all()) {
    if (Status s = kernel->supports(sample.problem, device); !s.ok()) {
      if (s.code() != Code::kUnimplemented) why = s.message();
      continue;
    }
    const auto* emitted = dynamic_cast<const EmittedKernelDef*>(kernel.get());
    if (!emitted) continue;  // a copy, by the driver
    taken = true;
    ++tally.taken[kernel->name()];
    // Each layout with its first and its last tactic, the ways that differ most.
    std::vector<std::pair<kernel::LayoutChoice, kernel::Tactic>> ways;
    for (const kernel::LayoutChoice& layouts : kernel->layouts(sample.problem, device)) {
      Problem problem = sample.problem;
      set_layouts(problem, layouts);
      const std::vector<kernel::Tactic> tactics = kernel->tactics(problem, device);
      ways.emplace_back(layouts, tactics.front());
      if (tactics.size() > 1) ways.emplace_back(layouts, tactics.back());
    }
    // Of a problem's ways one that its name draws: over all problems each comes up often. The device
    // runs them all (scripts/gpu_check conformance), and so does PLANISH_EVERY_WAY=1 here.
    if (!std::getenv("PLANISH_EVERY_WAY")) {
      const size_t drawn = std::hash<std::string>()(sample.title + kernel->name()) % ways.size();
      ways = {ways[drawn]};
    }
    for (const auto& [layouts, tactic] : ways) {
      Attempt attempt{&sample, "", sample.problem, {}, {}, -1};
      set_layouts(attempt.problem, layouts);
      std::string words;
      for (const ir::Layout& layout : layouts.results) words += " " + ir::to_string(layout);
      attempt.title = cat(sample.title, " ", kernel->name(), " ", tactic.to_string(), words);
      auto step = emitted->emit(attempt.problem, tactic, device);
      ASSERT_TRUE(step.ok()) << attempt.title << ": " << step.status().to_string();
      auto packed = kernel->pack(attempt.problem, tactic, device, sample.operands);
      ASSERT_TRUE(packed.ok()) << attempt.title << ": " << packed.status().to_string();
      attempt.step = std::move(*step);
      attempt.packed = std::move(*packed);
      EXPECT_GT(kernel->predict_us(attempt.problem, tactic, device), 0) << attempt.title;
      out.push_back(std::move(attempt));
    }
  }
  if (!taken) tally.refused[std::string(sample.problem.root_op())] = cat(sample.title, ": ", why);
}

bool runs_on_host(const EmittedStep& step) {
  for (const EmittedKernel& kernel : step.kernels) {
    if (!kernel.maps.empty() ||
        kernel.source.find("asm", std::strlen(kPrelude)) != std::string::npos)
      return false;
  }
  return true;
}

void check(const HostRunner& runner, Attempt& a) {
  std::vector<Buffer> operands, results;
  std::vector<void*> operand_data, result_data;
  for (size_t i = 0; i < a.problem.operands.size(); ++i)
    operands.push_back(a.problem.operands[i].present
                           ? to_layout(a.sample->operands[i], a.problem.operands[i].type.layout)
                           : Buffer(0));
  for (Buffer& b : operands) operand_data.push_back(b.data());
  for (size_t i = 0; i < a.problem.results.size(); ++i) {
    const ir::TensorType& type = a.problem.result_type(int(i));
    results.emplace_back(ir::bytes_of(type.dtype, ir::element_count(type.shape).value()));
  }
  for (Buffer& b : results) result_data.push_back(b.data());
  const Status status = runner.run(a.number, operand_data, result_data, a.packed.bytes.data());
  ASSERT_TRUE(status.ok()) << a.title << ": " << status.to_string();
  for (size_t i = 0; i < results.size(); ++i) {
    EXPECT_TRUE(results[i].guards_hold()) << a.title << ": written outside of result " << i;
    const ir::Tensor got = from_layout(results[i], a.problem.result_type(int(i)));
    const std::string wrong = difference(got, a.sample->expected[i]);
    EXPECT_EQ(wrong, "") << a.title << " result " << i << "\n"
                         << (a.step.kernels.empty()
                                 ? ""
                                 : a.step.kernels[0].source.substr(std::strlen(kPrelude)));
  }
}

std::vector<Sample> all_samples(DataType dtype) {
  const char* only = std::getenv("PLANISH_ONLY_OP");  // a prefix
  std::vector<Sample> samples;
  for (const OpCase& c : ops::all_cases()) {
    if (registry().find(c.op)->random || (only && c.op.rfind(only, 0) != 0)) continue;
    for (bool wrapped : {false, true}) {
      auto built = build(c, dtype, wrapped);
      if (!built.ok()) continue;  // the operator has no such type
      const Status added =
          add_samples(cat(c.op, ".", c.name, wrapped ? " wrapped" : ""), *built, samples);
      if (!added.ok() && dtype == DataType::kF32)
        ADD_FAILURE() << c.op << "." << c.name << ": " << added.to_string();
    }
  }
  return samples;
}

TEST_P(FamilyCases, GiveWhatTheInterpreterGives) {
  const std::vector<Sample> samples = all_samples(GetParam());
  std::set<std::string> seen;
  std::vector<Attempt> attempts;
  Tally tally;
  for (const Sample& sample : samples)
    if (seen.insert(kernel::fingerprint(sample.problem)).second)
      add_attempts(sample, attempts, tally);
  HostRunner runner;
  for (Attempt& a : attempts)
    if (runs_on_host(a.step)) a.number = runner.add(a.step);
  const Status built = runner.build();
  ASSERT_TRUE(built.ok()) << built.to_string();
  for (Attempt& a : attempts)
    if (a.number >= 0) check(runner, a);
  std::cout << samples.size() << " nodes, " << attempts.size() << " kernels\n";
  for (const auto& [name, count] : tally.taken)
    std::cout << "  " << name << " took " << count << "\n";
  for (const auto& [op, why] : tally.refused)
    std::cout << "  nobody took " << op << ", as in " << why << "\n";
}

// Operations whose library code has a stack of its own.
bool calls_library(const Problem& problem) {
  using kernel::ScalarOp;
  for (const kernel::Stage& stage : problem.stages) {
    if (!stage.expr) continue;
    for (const kernel::ExprNode& n : stage.expr->nodes)
      if (n.op == ScalarOp::kSin || n.op == ScalarOp::kCos || n.op == ScalarOp::kTan ||
          n.dtype == DataType::kF64)
        return true;
  }
  return false;
}

// For every family and operator one kernel of the first and of the last kind.
TEST_P(FamilyCases, SampleCompiles) {
  PLANISH_NEEDS_NVRTC();
  const std::vector<Sample> samples = all_samples(GetParam());
  std::vector<Attempt> attempts;
  Tally tally;
  for (const Sample& sample : samples) add_attempts(sample, attempts, tally);
  std::map<std::string, const EmittedStep*> chosen;
  std::map<std::string, const Attempt*> about;
  for (const Attempt& a : attempts) {
    if (a.step.kernels.empty()) continue;
    for (const std::string& key : {cat("first ", a.step.kernels[0].entry),
                                   cat("last ", a.problem.root_op(), a.step.kernels.size())}) {
      if (key[0] == 'f' && chosen.count(key)) continue;
      chosen[key] = &a.step;
      about[key] = &a;
    }
  }
  int number = 0;
  for (const auto& [key, step] : chosen) {
    SCOPED_TRACE(about[key]->title);
    expect_compiles(*step, "sm_90a", calls_library(about[key]->problem));
    const bool for_hopper = step->kernels[0].entry.find("_sm90") != std::string::npos;
    if (++number % 8 == 0 && !for_hopper)
      expect_compiles(*step, "sm_80", calls_library(about[key]->problem));
  }
  std::cout << number << " steps compiled\n";
}

// Conversions stand between steps and come from no operator's case.
TEST(Conversions, BetweenLayouts) {
  const ir::Layout plain, last = ir::Layout::channels_last(4);
  std::vector<Sample> samples;
  std::vector<std::pair<ir::Layout, ir::Layout>> ways;
  for (DataType dtype : {DataType::kF32, DataType::kF16, DataType::kI8})
    for (const std::vector<int64_t>& dims :
         {std::vector<int64_t>{2, 40, 7, 9}, {1, 3, 33, 20}, {3, 64, 1, 70}})
      for (bool back : {false, true}) {
        Sample sample;
        sample.title =
            cat("LayoutConvert ", ir::name_of(dtype), bracketed(dims), back ? " back" : "");
        opdef::InputCase input{
            .dtype = dtype, .dims = dims, .low = -100, .high = 100, .values = {}};
        sample.operands = {ops::make_input(input, 1)};
        sample.expected = sample.operands;
        kernel::Stage stage;
        stage.op = "LayoutConvert";
        stage.inputs = {0};
        stage.outputs = {{dtype, ir::to_shape(dims), back ? plain : last}};
        sample.problem.operands.resize(1);
        sample.problem.operands[0].type = {dtype, ir::to_shape(dims), back ? last : plain};
        sample.problem.stages = {stage};
        sample.problem.results = {1};
        samples.push_back(std::move(sample));
      }
  std::vector<Attempt> attempts;
  std::set<std::string> names;
  for (const Sample& sample : samples)
    for (const auto& kernel : families().all()) {
      const auto* emitted = dynamic_cast<const EmittedKernelDef*>(kernel.get());
      if (!emitted || !kernel->supports(sample.problem, testing_device()).ok()) continue;
      for (const kernel::Tactic& tactic : kernel->tactics(sample.problem, testing_device())) {
        auto step = emitted->emit(sample.problem, tactic, testing_device());
        ASSERT_TRUE(step.ok()) << sample.title << ": " << step.status().to_string();
        attempts.push_back({&sample,
                            cat(sample.title, " ", kernel->name(), " ", tactic.to_string()),
                            sample.problem,
                            *step,
                            {},
                            -1});
        names.insert(kernel->name());
      }
    }
  EXPECT_TRUE(names.count("cuda.tile_copy") && names.count("cuda.element"));
  HostRunner runner;
  for (Attempt& a : attempts) a.number = runner.add(a.step);
  const Status built = runner.build();
  ASSERT_TRUE(built.ok()) << built.to_string();
  for (Attempt& a : attempts) check(runner, a);
}

// The models in $PLANISH_MODELS at batch 1: which of their computations have a kernel here.
TEST(Models, HaveKernels) {
  const char* folder = std::getenv("PLANISH_MODELS");
  if (!folder) GTEST_SKIP() << "PLANISH_MODELS names no folder of ONNX files";
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (file.path().extension() != ".onnx") continue;
    auto graph = frontend::import_onnx_file(file.path().string(), {}, registry());
    ASSERT_TRUE(graph.ok()) << file.path() << ": " << graph.status().to_string();
    passes::PassOptions options;
    passes::PassContext context(registry(), options);
    ASSERT_TRUE(passes::optimize(**graph, context).ok()) << file.path();
    std::map<std::string, int> taken;
    std::map<std::string, std::string> refused;
    for (const auto& node : (*graph)->nodes()) {
      const opdef::OpDef* op = registry().find(node->op);
      if (op && op->is_view) continue;
      auto problem = opdef::make_problem(registry(), *node);
      ASSERT_TRUE(problem.ok()) << problem.status().to_string();
      auto fixed = kernel::concrete(*problem, [](std::string_view name) {
        return std::optional<int64_t>(name == "N" || name == "batch" ? 1 : 64);
      });
      if (!fixed.ok()) continue;
      std::string name, why = "no family";
      for (const auto& kernel : families().all()) {
        const Status s = kernel->supports(*fixed, testing_device());
        if (s.ok() && name.empty()) name = kernel->name();
        if (!s.ok() && s.code() != Code::kUnimplemented)
          why = cat(kernel->name(), ": ", s.message());
      }
      if (name.empty())
        refused[kernel::describe(*fixed)] = why;
      else
        ++taken[name];
    }
    std::cout << file.path().stem().string() << ":";
    for (const auto& [name, count] : taken) std::cout << " " << name << " " << count;
    std::cout << "\n";
    for (const auto& [what, why] : refused) std::cout << "  " << what << ": " << why << "\n";
  }
}

INSTANTIATE_TEST_SUITE_P(Types, FamilyCases,
                         ::testing::Values(DataType::kF32, DataType::kF16, DataType::kBF16),
                         [](const auto& info) { return std::string(ir::name_of(info.param)); });

}  // namespace
}  // namespace planish::cuda
