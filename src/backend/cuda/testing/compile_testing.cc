#include "backend/cuda/testing/compile_testing.h"

#include <gtest/gtest.h>

#include <deque>

#include "backend/cuda/emit/cubin.h"
#include "backend/cuda/emit/nvrtc.h"

namespace planish::cuda {

kernel::DeviceInfo testing_device(const std::string& isa) {
  kernel::DeviceInfo info;
  info.kind = "cuda";
  info.name = "NVIDIA H200";
  info.isa = isa;
  info.l1_bytes = 233472;
  info.l2_bytes = 62914560;
  info.l3_bytes = 0;
  info.peak_gflops = 66900;
  info.memory_gbps = 4800;
  info.properties = {{"ordinal", "0"}, {"sm_count", "132"}, {"clock_mhz", "1980"}};
  const int version = sm_version(info);
  const int shared = version < 80 ? 65536 : version == 80 ? 166912 : version < 90 || version >= 120 ? 101376 : 232448;
  info.properties["shared_bytes_per_block"] = std::to_string(shared);
  return info;
}

std::vector<PtxasReport> expect_compiles(const EmittedStep& step, const std::string& isa,
                                         bool may_use_stack) {
  std::vector<PtxasReport> reports;
  EXPECT_FALSE(step.kernels.empty());
  for (const EmittedKernel& kernel : step.kernels) {
    auto compiled = compile_source(kernel.source, isa);
    EXPECT_TRUE(compiled.ok()) << kernel.entry << ": " << compiled.status().to_string() << "\n"
                               << kernel.source;
    if (!compiled.ok()) continue;
    EXPECT_NE(kernel.source.find(kernel.entry), std::string::npos) << kernel.entry;
    const PtxasReport& report = compiled->report;
    EXPECT_EQ(report.spill_bytes, 0) << kernel.entry << "\n" << compiled->log;
    if (!may_use_stack) {
      EXPECT_EQ(report.stack_bytes, 0) << kernel.entry << "\n" << compiled->log;
    }
    EXPECT_FALSE(report.serialized) << kernel.entry << "\n" << compiled->log;
    EXPECT_GT(report.registers, 0) << compiled->log;
    // Names say what a kernel computes with. Fused bottlenecks take mma.sync on Hopper, too.
    const bool is_bottleneck = kernel.entry.rfind("bottleneck_", 0) == 0;
    const auto counts = count_instructions(*compiled->cubin);
    EXPECT_TRUE(counts.ok()) << counts.status().to_string();
    if (counts.ok() && kernel.entry.find("_sm90") != std::string::npos) {
      EXPECT_GT(is_bottleneck ? counts->mma : counts->wgmma, 0) << kernel.entry;
    }
    if (counts.ok() && kernel.entry.find("_mma_") != std::string::npos) {
      EXPECT_GT(counts->mma, 0) << kernel.entry;
    }
    reports.push_back(report);
  }
  return reports;
}

const EmittedKernelDef& registered(void (*add)(kernel::KernelRegistry&), std::string_view name) {
  static std::deque<kernel::KernelRegistry> registries;
  add(registries.emplace_back());
  return static_cast<const EmittedKernelDef&>(*registries.back().find(name));
}

kernel::Problem stage_problem(std::string op, ir::Attributes attrs, std::vector<ir::TensorType> operands,
                              std::vector<ir::TensorType> results) {
  kernel::Problem problem;
  kernel::Stage stage;
  stage.op = std::move(op);
  stage.attrs = std::move(attrs);
  for (ir::TensorType& type : operands) {
    stage.inputs.push_back(int(problem.operands.size()));
    problem.operands.emplace_back().type = std::move(type);
  }
  for (size_t i = 0; i < results.size(); ++i)
    problem.results.push_back(int(problem.operands.size() + i));
  stage.outputs = std::move(results);
  problem.stages.push_back(std::move(stage));
  return problem;
}

kernel::Problem pointwise_problem(std::vector<ir::TensorType> operands, kernel::Expr expr,
                                  std::vector<ir::TensorType> results) {
  kernel::Problem problem = stage_problem(std::string(kernel::kExprStage), {}, std::move(operands), std::move(results));
  problem.stages[0].expr = std::move(expr);
  return problem;
}

}  // namespace planish::cuda
