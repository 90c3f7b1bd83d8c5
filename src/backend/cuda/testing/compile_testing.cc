#include "backend/cuda/testing/compile_testing.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "backend/cuda/emit/nvrtc.h"

namespace planish::cuda {
namespace {

// The number in front of `words`, added over all their occurrences.
int number_before(const std::string& log, const std::string& words) {
  int sum = 0;
  for (size_t at = log.find(words); at != std::string::npos; at = log.find(words, at + 1)) {
    size_t begin = at;
    while (begin > 0 && std::isdigit(static_cast<unsigned char>(log[begin - 1]))) --begin;
    sum += std::atoi(log.substr(begin, at - begin).c_str());
  }
  return sum;
}

}  // namespace

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
  info.properties = {{"ordinal", "0"}, {"sm_count", "132"}, {"shared_bytes_per_block", "232448"},
                     {"clock_mhz", "1980"}};
  return info;
}

PtxasReport read_ptxas(const std::string& log) {
  PtxasReport report;
  const size_t used = log.find("Used ");
  if (used != std::string::npos) report.registers = std::atoi(log.c_str() + used + 5);
  report.stack_bytes = number_before(log, " bytes stack frame");
  report.spill_bytes =
      number_before(log, " bytes spill stores") + number_before(log, " bytes spill loads");
  report.serialized = log.find("serialized") != std::string::npos;
  return report;
}

std::vector<PtxasReport> expect_compiles(const EmittedStep& step, const std::string& isa,
                                         bool may_use_stack) {
  setenv("PLANISH_CUDA_CACHE", "none", 1);  // the compiler's log is what is looked at
  std::vector<PtxasReport> reports;
  EXPECT_FALSE(step.kernels.empty());
  for (const EmittedKernel& kernel : step.kernels) {
    auto compiled = compile_source(kernel.source, isa);
    EXPECT_TRUE(compiled.ok()) << kernel.entry << ": " << compiled.status().to_string() << "\n"
                               << kernel.source;
    if (!compiled.ok()) continue;
    EXPECT_NE(kernel.source.find(kernel.entry), std::string::npos) << kernel.entry;
    const PtxasReport report = read_ptxas(compiled->log);
    EXPECT_EQ(report.spill_bytes, 0) << kernel.entry << "\n" << compiled->log;
    if (!may_use_stack) {
      EXPECT_EQ(report.stack_bytes, 0) << kernel.entry << "\n" << compiled->log;
    }
    EXPECT_FALSE(report.serialized) << kernel.entry << "\n" << compiled->log;
    EXPECT_GT(report.registers, 0) << compiled->log;
    reports.push_back(report);
  }
  return reports;
}

kernel::Problem pointwise_problem(std::vector<ir::TensorType> operands, kernel::Expr expr,
                                  std::vector<ir::TensorType> results) {
  kernel::Problem problem;
  kernel::Stage stage;
  stage.op = kernel::kExprStage;
  for (ir::TensorType& type : operands) {
    stage.inputs.push_back(int(problem.operands.size()));
    problem.operands.emplace_back().type = std::move(type);
  }
  for (size_t i = 0; i < results.size(); ++i)
    problem.results.push_back(int(problem.operands.size() + i));
  stage.outputs = std::move(results);
  stage.expr = std::move(expr);
  problem.stages.push_back(std::move(stage));
  return problem;
}

}  // namespace planish::cuda
