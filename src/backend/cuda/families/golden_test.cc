// The text of a few kernels of every family as stored under tests/golden/cuda: a change of what is printed shows as
// a difference that a person reads. PLANISH_UPDATE_GOLDEN=1 writes the files anew.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/testing/compile_testing.h"
#include "backend/cuda/testing/contraction_testing.h"
#include "backend/cuda/testing/sample_problems.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using ir::DataType;
using ir::Layout;
using ir::TensorType;
using kernel::Problem;

struct Golden {
  std::string name, family;
  kernel::Tactic tactic;
  Problem problem;
  std::string isa = "sm_90a";
};

// A problem of sample_problems() in the layout that the sample names.
Problem sample(std::string_view family, std::string_view title) {
  kernel::KernelRegistry registry;
  register_families(registry);
  for (const SampleProblem& s : sample_problems())
    if (s.family == family && s.title == title && s.isa == "sm_90a")
      return laid_out(*registry.find(s.family), s.problem, testing_device(), s.layout);
  ADD_FAILURE() << "no sample " << family << " " << title;
  return {};
}

kernel::Expr scaled_sum(DataType dtype) {
  kernel::ExprBuilder b;
  // One after the other: arguments of one call are evaluated in an order of the compiler's own.
  const int zero = b.imm(0, dtype), shift = b.arg(2, dtype), scale = b.arg(1, dtype);
  const int scaled = b.mul(b.arg(0, dtype), scale);
  return b.finish({b.max(b.add(scaled, shift), zero)}, 3);
}

std::vector<Golden> goldens() {
  const Layout last = Layout::channels_last(4);
  const TensorType image = {DataType::kF16, {2, 64, 28, 28}, last};
  std::vector<Golden> out;
  out.push_back({"pointwise_channels_last",
                 "cuda.element",
                 {{{"v", 8}}},
                 pointwise_problem({image, {DataType::kF16, {64, 1, 1}}, image},
                                   scaled_sum(DataType::kF16), {image})});
  const ir::Attributes window = {{"kernel_shape", std::vector<int64_t>{3, 3}},
                                 {"strides", std::vector<int64_t>{2, 2}},
                                 {"pads", std::vector<int64_t>{1, 1, 1, 1}}};
  out.push_back({"max_pool_channels_last",
                 "cuda.element",
                 {{{"v", 8}}},
                 stage_problem("MaxPool", window, {image}, {{DataType::kF16, {2, 64, 14, 14}, last}})});
  out.push_back({"softmax",
                 "cuda.rows",
                 {{{"team", 32}, {"v", 8}}},
                 stage_problem("Softmax", {{"axis", int64_t(-1)}}, {{DataType::kF16, {96, 1000}}},
                           {{DataType::kF16, {96, 1000}}})});
  out.push_back(
      {"matmul_fp32",
       "cuda.simt",
       {{{"tile", 1}}},
       stage_problem("MatMul", {}, {{DataType::kF32, {3, 70, 40}}, {DataType::kF32, {40, 100}}},
                 {{DataType::kF32, {3, 70, 100}}})});
  out.push_back({"conv_mma_sm80",
                 "cuda.contraction_plain",
                 {},
                 conv_problem({2, 32, 14, 14, 48, 3, 3, 1, 1, 1, 1, 1, {true, true, Activation::kRelu}}, DataType::kF16),
                 "sm_80"});
  out.push_back({"attention_plain", "cuda.attention_plain", {}, attention_problem({1, 2, 50, 50, 40}, DataType::kF32)});
  const TensorType planar = {DataType::kF16, {2, 40, 7, 9}};
  out.push_back({"to_channels_last",
                 "cuda.tile_copy",
                 {},
                 stage_problem("LayoutConvert", {}, {planar}, {{DataType::kF16, {2, 40, 7, 9}, last}})});
  // Families whose tactics are many name one here: a cost model that changes its mind changes no text.
  const auto add = [&](std::string name, std::string family, std::string_view title, kernel::Tactic tactic) {
    Problem problem = sample(family, title);
    out.push_back({std::move(name), std::move(family), std::move(tactic), std::move(problem)});
  };
  add("conv_residual_wgmma", "cuda.contraction_wgmma", "residual", {{{"b", 1}, {"g", 1}, {"occ", 2}, {"w", 64}}});
  add("conv_window_wgmma", "cuda.window_wgmma", "residual", {{{"b", 1}, {"g", 2}, {"row", 128}, {"w", 96}, {"x", 1}}});
  add("conv_stem_wgmma", "cuda.stem_wgmma", "resnet", {{{"occ", 2}}});
  add("conv_stem_pool_wgmma", "cuda.stem_wgmma", "pooled_channels_last", {{{"occ", 1}, {"rows", 4}}});
  add("conv_pair_wgmma", "cuda.pair_wgmma", "no_residual", {{{"g", 2}}});
  add("stack_mma", "cuda.stack_mma", "squeeze", {{{"c", 4}}});
  add("bottleneck_mma", "cuda.bottleneck_mma", "stride2",
      {{{"across", 1}, {"chunk", 64}, {"columns", 14}, {"down", 4}, {"loaders", 0}, {"occ", 2}, {"rows", 2}}});
  add("attention_wgmma", "cuda.attention_wgmma", "bert_masked", {{{"g", 1}}});
  add("attention_ring_wgmma", "cuda.attention_wgmma", "many", {{{"g", 2}, {"occ", 1}, {"ring", 2}, {"teams", 1}}});
  add("depthwise", "cuda.depthwise", "stride2", {{{"rows", 2}, {"strip", 1}, {"v", 2}}});
  add("average_pool", "cuda.pool", "AveragePool", {{{"rows", 2}, {"strip", 1}, {"v", 2}}});
  add("lstm", "cuda.recurrent", "LSTM", {{{"samples", 2}}});
  add("top_k_ranked", "cuda.top_k", "ten", {{{"select", 0}}});
  add("top_k_selected", "cuda.top_k", "ten", {{{"select", 1}}});
  add("suppression", "cuda.suppression", "boxes900", {});
  add("pointwise_contiguous", "cuda.pointwise", "one_scale", {{{"vectors", 2}}});
  return out;
}

TEST(GoldenKernels, ReadAsStored) {
  kernel::KernelRegistry registry;
  register_families(registry);
  const std::filesystem::path folder = PLANISH_GOLDEN_CUDA;
  std::set<std::string> families;
  for (const Golden& golden : goldens()) {
    const auto* family = dynamic_cast<const EmittedKernelDef*>(registry.find(golden.family));
    ASSERT_NE(family, nullptr) << golden.family;
    const kernel::DeviceInfo device = testing_device(golden.isa);
    const Status supported = family->supports(golden.problem, device);
    ASSERT_TRUE(supported.ok()) << golden.name << ": " << supported.to_string();
    // Without a tactic named: the best guess, which is part of what is stored.
    const kernel::Tactic tactic =
        golden.tactic == kernel::Tactic{} ? family->tactics(golden.problem, device).at(0) : golden.tactic;
    auto step = family->emit(golden.problem, tactic, device);
    ASSERT_TRUE(step.ok()) << golden.name << ": " << step.status().to_string();
    ASSERT_FALSE(step->kernels.empty()) << golden.name;
    std::string text = cat("// ", kernel::describe(golden.problem));
    for (const EmittedKernel& kernel : step->kernels)
      text += cat("\n// grid ", kernel.grid.x, " ", kernel.grid.y, " ", kernel.grid.z, ", block ", kernel.block.x,
                  ", tactic ", tactic.to_string(), "\n", kernel.source.substr(std::strlen(kPrelude)));
    const std::filesystem::path path = folder / (golden.name + ".cu");
    if (std::getenv("PLANISH_UPDATE_GOLDEN")) std::ofstream(path) << text;
    std::ifstream in(path);
    const std::string stored(std::istreambuf_iterator<char>(in), {});
    EXPECT_EQ(text, stored) << path << " (PLANISH_UPDATE_GOLDEN=1 writes it anew)";
    families.insert(golden.family);
  }
  for (const auto& def : registry.all())
    EXPECT_TRUE(!dynamic_cast<const EmittedKernelDef*>(def.get()) || families.count(def->name())) << def->name();
}

}  // namespace
}  // namespace planish::cuda
