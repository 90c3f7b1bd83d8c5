// The text of a few kernels as stored under tests/golden/cuda: a change of what is printed shows as
// a difference that a person reads. PLANISH_UPDATE_GOLDEN=1 writes the files anew.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/testing/compile_testing.h"
#include "backend/cuda/testing/contraction_testing.h"
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

Problem one_stage(std::string op, ir::Attributes attrs, std::vector<TensorType> operands,
                  TensorType result) {
  Problem problem;
  kernel::Stage stage;
  stage.op = std::move(op);
  stage.attrs = std::move(attrs);
  for (TensorType& type : operands) {
    stage.inputs.push_back(int(problem.operands.size()));
    problem.operands.emplace_back().type = std::move(type);
  }
  stage.outputs = {std::move(result)};
  problem.stages = {std::move(stage)};
  problem.results = {int(problem.operands.size())};
  return problem;
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
                 one_stage("MaxPool", window, {image}, {DataType::kF16, {2, 64, 14, 14}, last})});
  out.push_back({"softmax",
                 "cuda.rows",
                 {{{"team", 32}, {"v", 8}}},
                 one_stage("Softmax", {{"axis", int64_t(-1)}}, {{DataType::kF16, {96, 1000}}},
                           {DataType::kF16, {96, 1000}})});
  out.push_back(
      {"matmul_fp32",
       "cuda.simt",
       {{{"tile", 1}}},
       one_stage("MatMul", {}, {{DataType::kF32, {3, 70, 40}}, {DataType::kF32, {40, 100}}},
                 {DataType::kF32, {3, 70, 100}})});
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
                 one_stage("LayoutConvert", {}, {planar}, {DataType::kF16, {2, 40, 7, 9}, last})});
  return out;
}

TEST(GoldenKernels, ReadAsStored) {
  kernel::KernelRegistry registry;
  register_families(registry);
  const std::filesystem::path folder = PLANISH_GOLDEN_CUDA;
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
    ASSERT_EQ(step->kernels.size(), 1u) << golden.name;
    const EmittedKernel& kernel = step->kernels[0];
    const std::string text = cat("// ", kernel::describe(golden.problem), "\n// grid ",
                                 kernel.grid.x, " ", kernel.grid.y, " ", kernel.grid.z, ", block ",
                                 kernel.block.x, ", tactic ", tactic.to_string(), "\n", kernel.source.substr(std::strlen(kPrelude)));
    const std::filesystem::path path = folder / (golden.name + ".cu");
    if (std::getenv("PLANISH_UPDATE_GOLDEN")) std::ofstream(path) << text;
    std::ifstream in(path);
    const std::string stored(std::istreambuf_iterator<char>(in), {});
    EXPECT_EQ(text, stored) << path << " (PLANISH_UPDATE_GOLDEN=1 writes it anew)";
  }
}

}  // namespace
}  // namespace planish::cuda
