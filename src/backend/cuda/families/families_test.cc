// Every family over every operator's cases, without a GPU: each case's node alone, and the regions
// that the pipeline makes of it between pointwise neighbours, in fp32, fp16 and bf16, in a drawn
// sample of the layouts and tactics that a family offers, run on the host and compared with the
// interpreter in double. Prints how many problems each family took.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <iostream>
#include <map>
#include <set>

#include "backend/cuda/emit/nvrtc.h"
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/testing/compile_testing.h"
#include "backend/cuda/testing/host/host_check_testing.h"
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

constexpr size_t kDrawn = 600;  // kernels of one type

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
    // Recurrent layers have weights, and so have convolutions among neighbours.
    const bool recurrent = c.op == "LSTM" || c.op == "GRU" || c.op == "RNN";
    if ((recurrent && i >= 1 && i <= 3) || (c.op == "Conv" && wrapped && i >= 1)) input.constant = true;
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

class FamilyCases : public ::testing::TestWithParam<DataType> {};

// How many problems a family took; what nobody took.
struct Tally {
  std::map<std::string, int> taken;
  std::map<std::string, std::string> refused;
};

// A kernel that takes a sample, and how.
struct Way {
  const Sample* sample;
  const EmittedKernelDef* def;
  kernel::LayoutChoice layouts;
  kernel::Tactic tactic;

  // What a few of which stand for all: the modes of an operator (linear, cubic) are kinds of their own.
  std::string kind() const {
    const ir::Attributes& attrs = sample->problem.stages[0].attrs;
    const auto mode = attrs.find("mode");
    const auto* text = mode == attrs.end() ? nullptr : std::get_if<std::string>(&mode->second);
    return cat(def->name(), " ", sample->problem.root_op(), text ? cat(" ", *text) : "",
               sample->problem.stages.size() > 1 ? " region" : "");
  }
  Result<HostCase> make() const {
    return host_case(sample->title, *def, with_layouts(sample->problem, layouts), tactic, testing_device(),
                     sample->operands, sample->expected);
  }
};

// Each layout with its first and its last tactic, the ways that differ most.
void add_ways(const Sample& sample, std::vector<Way>& out, Tally& tally) {
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
    for (const kernel::LayoutChoice& layouts : kernel->layouts(sample.problem, device)) {
      const Problem problem = with_layouts(sample.problem, layouts);
      const std::vector<kernel::Tactic> tactics = kernel->tactics(problem, device);
      EXPECT_GT(kernel->predict_us(problem, tactics.front(), device), 0) << sample.title;
      out.push_back({&sample, emitted, layouts, tactics.front()});
      if (tactics.size() > 1) out.push_back({&sample, emitted, layouts, tactics.back()});
    }
  }
  if (!taken) tally.refused[std::string(sample.problem.root_op())] = cat(sample.title, ": ", why);
}

// At most `most` of them: one of each kind, then whatever their names draw. All with
// PLANISH_EVERY_WAY=1, as on a device (scripts/gpu_check conformance).
std::vector<Way> drawn(std::vector<Way> ways, size_t most) {
  if (std::getenv("PLANISH_EVERY_WAY")) return ways;
  std::vector<std::pair<uint64_t, size_t>> order;
  for (size_t i = 0; i < ways.size(); ++i)
    order.push_back({std::hash<std::string>()(cat(ways[i].sample->title, ways[i].kind(), ways[i].tactic.to_string())), i});
  std::sort(order.begin(), order.end());
  std::set<std::string> kinds;
  for (auto& [draw, i] : order)
    if (kinds.insert(ways[i].kind()).second) draw = 0;
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Way> out;
  for (size_t i = 0; i < order.size() && (i < most || order[i].first == 0); ++i) out.push_back(ways[order[i].second]);
  std::cout << ways.size() << " ways, " << kinds.size() << " kinds, " << out.size() << " drawn\n";
  return out;
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
  std::vector<Way> ways;
  Tally tally;
  for (const Sample& sample : samples)
    if (seen.insert(kernel::fingerprint(sample.problem)).second) add_ways(sample, ways, tally);
  std::vector<HostCase> cases;
  for (const Way& way : drawn(std::move(ways), kDrawn)) {
    auto made = way.make();
    ASSERT_TRUE(made.ok()) << way.sample->title << ": " << made.status().to_string();
    cases.push_back(std::move(*made));
  }
  for (const std::string& wrong : run_on_host(cases)) ADD_FAILURE() << wrong;
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

// The step's problem on a GPU of another architecture: a reason, or what that GPU's best guess compiles to.
bool compiles_elsewhere(const EmittedKernelDef& def, const Problem& problem, const std::string& isa) {
  const kernel::DeviceInfo device = testing_device(isa);
  if (const Status s = def.supports(problem, device); !s.ok()) {
    EXPECT_EQ(s.code(), Code::kUnsupported) << s.to_string();
    EXPECT_NE(s.message(), "");
    return false;
  }
  auto step = def.emit(problem, def.tactics(problem, device).at(0), device);
  EXPECT_TRUE(step.ok()) << step.status().to_string();
  if (step.ok()) expect_compiles(*step, isa, calls_library(problem));
  return true;
}

// Of every kind of kernel one compiles, without spills; each third one for another architecture, too.
TEST_P(FamilyCases, SampleCompiles) {
  PLANISH_NEEDS_NVRTC();
  std::vector<std::string> others;
  for (const char* isa : {"sm_75", "sm_80", "sm_86", "sm_89", "sm_100a", "sm_120a"})
    if (compiles_for(isa).ok()) others.push_back(isa);
  std::map<std::string, int> elsewhere;
  const std::vector<Sample> samples = all_samples(GetParam());
  std::vector<Way> ways;
  Tally tally;
  for (const Sample& sample : samples) add_ways(sample, ways, tally);
  int number = 0;
  for (const Way& way : drawn(std::move(ways), 0)) {
    auto step = way.make();
    ASSERT_TRUE(step.ok()) << way.sample->title << ": " << step.status().to_string();
    if (step->step.kernels.empty()) continue;
    SCOPED_TRACE(step->title);
    expect_compiles(step->step, "sm_90a", calls_library(step->problem));
    if (++number % 3 || others.empty()) continue;
    const std::string& isa = others[size_t(number / 3) % others.size()];
    elsewhere[isa] += compiles_elsewhere(*way.def, step->problem, isa);
  }
  std::cout << number << " steps compiled";
  for (const std::string& isa : others) {
    std::cout << ", " << elsewhere[isa] << " for " << isa;
    EXPECT_GT(elsewhere[isa], 0) << isa;
  }
  std::cout << "\n";
}

// The functions that all kernels share, on every architecture that NVRTC knows.
TEST(Prelude, CompilesForEveryArchitecture) {
  PLANISH_NEEDS_NVRTC();
  const std::string source = cat(kPrelude, R"(
extern "C" __global__ void all(float* f, double* d, u16* h, u32* p, i64* n, V4* v) {
  grid_wait();
  f[0] = max_nan(f[1], f[2]); f[3] = min_nan(f[4], f[5]); f[6] = floor_mod(f[7], f[8]);
  d[0] = max_nan(d[1], d[2]); d[3] = min_nan(d[4], d[5]); d[6] = floor_mod(d[7], d[8]);
  h[0] = f32_to_f16(f[9] + f16_to_f32(h[1])); h[2] = f32_to_bf16(f[10] + bf16_to_f32(h[3]));
  p[0] = pack_f16x2(f[11], f16_low(p[1]) + f16_high(p[2])); p[3] = pack_bf16x2(f[12], bf16_low(p[4]) + bf16_high(p[5]));
  n[0] = trunc_i64(d[9]); n[1] = power_i64(n[2], n[3]); st16(v, ld16(v + 1)); st16(v + 2, ld16_nc(v + 3));
  grid_launch();
})");
  int count = 0;
  for (const char* isa : {"sm_75", "sm_80", "sm_86", "sm_87", "sm_89", "sm_90a", "sm_100a", "sm_120a"}) {
    if (!compiles_for(isa).ok()) continue;
    ++count;
    auto compiled = compile_source(source, isa);
    EXPECT_TRUE(compiled.ok()) << isa << ": " << compiled.status().to_string();
  }
  EXPECT_GE(count, 6);  // NVRTC 12.4 knows these up to sm_90
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
  std::vector<HostCase> cases;
  std::set<std::string> names;
  for (const Sample& sample : samples)
    for (const auto& kernel : families().all()) {
      const auto* emitted = dynamic_cast<const EmittedKernelDef*>(kernel.get());
      if (!emitted || !kernel->supports(sample.problem, testing_device()).ok()) continue;
      for (const kernel::Tactic& tactic : kernel->tactics(sample.problem, testing_device())) {
        auto made = host_case(sample.title, *emitted, sample.problem, tactic, testing_device(), sample.operands, sample.expected);
        ASSERT_TRUE(made.ok()) << sample.title << ": " << made.status().to_string();
        cases.push_back(std::move(*made));
        names.insert(kernel->name());
      }
    }
  EXPECT_TRUE(names.count("cuda.tile_copy") && names.count("cuda.element"));
  for (const std::string& wrong : run_on_host(cases)) ADD_FAILURE() << wrong;
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
