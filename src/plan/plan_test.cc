// Round trips: what goes into a plan file comes out of it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "plan/format.h"
#include "plan/plan_file.h"
#include "plan/sample_testing.h"

namespace planish::plan {
namespace {

std::vector<std::byte> bytes_of(const Plan& plan) {
  auto bytes = serialize(plan);
  EXPECT_TRUE(bytes.ok()) << bytes.status().to_string();
  return bytes.ok() ? *bytes : std::vector<std::byte>();
}

Plan reread(const std::vector<std::byte>& bytes) {
  auto plan = read_plan(bytes, nullptr);
  EXPECT_TRUE(plan.ok()) << plan.status().to_string();
  return plan.ok() ? *plan : Plan();
}

class PlanFile : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }
  std::string path_ = (std::filesystem::temp_directory_path() /
                       ("planish_plan_test_" + std::to_string(::getpid()) + ".plan"))
                          .string();
};

bool same_bits(double a, double b) {
  return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b);
}

void expect_same_attribute(const ir::Attribute& a, const ir::Attribute& b) {
  ASSERT_EQ(a.index(), b.index());
  std::visit(
      [&](const auto& x) {
        using T = std::decay_t<decltype(x)>;
        const T& y = std::get<T>(b);
        if constexpr (std::is_same_v<T, ir::Tensor>)
          EXPECT_TRUE(x.same_bytes(y));
        else if constexpr (std::is_same_v<T, ir::GraphPtr>)
          EXPECT_EQ(ir::print(*x, {.full_constants = true}),
                    ir::print(*y, {.full_constants = true}));
        else if constexpr (std::is_same_v<T, double>)
          EXPECT_TRUE(same_bits(x, y));
        else if constexpr (std::is_same_v<T, std::vector<double>>) {
          ASSERT_EQ(x.size(), y.size());
          for (size_t i = 0; i < x.size(); ++i) EXPECT_TRUE(same_bits(x[i], y[i]));
        } else
          EXPECT_EQ(x, y);
      },
      a);
}

void expect_same_expr(const kernel::Expr& a, const kernel::Expr& b) {
  EXPECT_EQ(a.outputs, b.outputs);
  EXPECT_EQ(a.arg_count, b.arg_count);
  ASSERT_EQ(a.nodes.size(), b.nodes.size());
  for (size_t i = 0; i < a.nodes.size(); ++i) {
    kernel::ExprNode x = a.nodes[i], y = b.nodes[i];
    EXPECT_TRUE(same_bits(x.imm, y.imm));
    x.imm = y.imm = 0;  // NaN is not equal to itself
    EXPECT_EQ(x, y);
  }
}

void expect_same_problem(const kernel::Problem& a, const kernel::Problem& b) {
  EXPECT_EQ(kernel::fingerprint(a), kernel::fingerprint(b));
  EXPECT_EQ(a.results, b.results);
  ASSERT_EQ(a.operands.size(), b.operands.size());
  for (size_t i = 0; i < a.operands.size(); ++i) {
    EXPECT_EQ(a.operands[i].present, b.operands[i].present);
    if (a.operands[i].present) {
      EXPECT_EQ(a.operands[i].type, b.operands[i].type);
    }
    EXPECT_EQ(a.operands[i].constant, b.operands[i].constant);
    ASSERT_EQ(a.operands[i].value.has_value(), b.operands[i].value.has_value());
    if (a.operands[i].value) {
      EXPECT_TRUE(a.operands[i].value->same_bytes(*b.operands[i].value));
    }
  }
  ASSERT_EQ(a.stages.size(), b.stages.size());
  for (size_t i = 0; i < a.stages.size(); ++i) {
    const kernel::Stage &s = a.stages[i], &t = b.stages[i];
    EXPECT_EQ(s.op, t.op);
    EXPECT_EQ(s.inputs, t.inputs);
    EXPECT_EQ(s.outputs, t.outputs);
    ASSERT_EQ(s.expr.has_value(), t.expr.has_value());
    if (s.expr) expect_same_expr(*s.expr, *t.expr);
    ASSERT_EQ(s.attrs.size(), t.attrs.size());
    for (const auto& [key, value] : s.attrs) {
      ASSERT_TRUE(t.attrs.count(key)) << key;
      expect_same_attribute(value, t.attrs.at(key));
    }
  }
}

void expect_same_program(const Program& a, const Program& b);

void expect_same_step(const Step& a, const Step& b) {
  EXPECT_EQ(a.kernel, b.kernel);
  EXPECT_EQ(a.kernel_version, b.kernel_version);
  expect_same_problem(a.problem, b.problem);
  EXPECT_EQ(a.tactic, b.tactic);
  EXPECT_EQ(a.operands, b.operands);
  EXPECT_EQ(a.results, b.results);
  EXPECT_EQ(a.sources, b.sources);
  EXPECT_EQ(a.artifact, b.artifact);
  EXPECT_EQ(a.packed, b.packed);
  EXPECT_EQ(a.reference, b.reference);
  EXPECT_EQ(a.binds_symbols, b.binds_symbols);
  EXPECT_EQ(a.expected_us, b.expected_us);
  EXPECT_EQ(a.launch, b.launch);
  ASSERT_EQ(a.considered.size(), b.considered.size());
  for (size_t i = 0; i < a.considered.size(); ++i) {
    EXPECT_EQ(a.considered[i].kernel, b.considered[i].kernel);
    EXPECT_EQ(a.considered[i].tactic, b.considered[i].tactic);
    EXPECT_EQ(a.considered[i].predicted_us, b.considered[i].predicted_us);
    EXPECT_EQ(a.considered[i].measured_us, b.considered[i].measured_us);
    EXPECT_EQ(a.considered[i].refused, b.considered[i].refused);
  }
  ASSERT_EQ(a.bodies.size(), b.bodies.size());
  for (size_t i = 0; i < a.bodies.size(); ++i) {
    EXPECT_EQ(a.bodies[i].attribute, b.bodies[i].attribute);
    expect_same_program(*a.bodies[i].program, *b.bodies[i].program);
  }
}

void expect_same_program(const Program& a, const Program& b) {
  EXPECT_EQ(a.device_kind, b.device_kind);
  EXPECT_EQ(a.device_name, b.device_name);
  EXPECT_EQ(a.isa, b.isa);
  EXPECT_EQ(a.threads, b.threads);
  ASSERT_EQ(a.symbols.size(), b.symbols.size());
  for (const auto& [name, info] : a.symbols) {
    ASSERT_TRUE(b.symbols.count(name)) << name;
    const ir::SymbolInfo& other = b.symbols.at(name);
    EXPECT_EQ(info.low, other.low);
    EXPECT_EQ(info.high, other.high);
    EXPECT_EQ(info.from_data, other.from_data);
    EXPECT_EQ(info.upper_bound, other.upper_bound);
  }
  ASSERT_EQ(a.values.size(), b.values.size());
  for (size_t i = 0; i < a.values.size(); ++i) {
    const ProgramValue &v = a.values[i], &w = b.values[i];
    EXPECT_EQ(v.name, w.name);
    EXPECT_EQ(v.type, w.type);
    EXPECT_EQ(v.kind, w.kind);
    EXPECT_EQ(v.constant, w.constant);
    EXPECT_EQ(v.parent, w.parent);
    EXPECT_EQ(v.offset, w.offset);
    EXPECT_EQ(v.strided, w.strided);
  }
  ASSERT_EQ(a.constants.size(), b.constants.size());
  for (size_t i = 0; i < a.constants.size(); ++i) {
    EXPECT_EQ(a.constants[i].name, b.constants[i].name);
    EXPECT_EQ(a.constants[i].hash, b.constants[i].hash);
    EXPECT_TRUE(a.constants[i].tensor.same_bytes(b.constants[i].tensor));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(b.constants[i].tensor.data()) % 64, 0u);
  }
  ASSERT_EQ(a.steps.size(), b.steps.size());
  for (size_t i = 0; i < a.steps.size(); ++i) expect_same_step(a.steps[i], b.steps[i]);
  EXPECT_EQ(a.inputs, b.inputs);
  EXPECT_EQ(a.outputs, b.outputs);
  EXPECT_EQ(a.output_names, b.output_names);
  ASSERT_EQ(a.profiles.size(), b.profiles.size());
  for (size_t i = 0; i < a.profiles.size(); ++i) {
    ASSERT_EQ(a.profiles[i].size(), b.profiles[i].size());
    for (size_t k = 0; k < a.profiles[i].size(); ++k) {
      EXPECT_EQ(a.profiles[i][k].input, b.profiles[i][k].input);
      EXPECT_EQ(a.profiles[i][k].min, b.profiles[i][k].min);
      EXPECT_EQ(a.profiles[i][k].opt, b.profiles[i][k].opt);
      EXPECT_EQ(a.profiles[i][k].max, b.profiles[i][k].max);
    }
  }
}

void expect_same_plan(const Plan& a, const Plan& b) {
  EXPECT_EQ(a.planish_version, b.planish_version);
  EXPECT_EQ(a.metadata, b.metadata);
  EXPECT_EQ(a.options, b.options);
  EXPECT_EQ(a.graph_text, b.graph_text);
  EXPECT_EQ(a.decisions, b.decisions);
  EXPECT_EQ(a.report, b.report);
  EXPECT_EQ(a.plugins, b.plugins);
  EXPECT_EQ(a.libraries, b.libraries);
  expect_same_program(a.program, b.program);
}

TEST_F(PlanFile, RichPlanRoundTripsThroughMemory) {
  const Plan plan = rich_plan();
  ASSERT_TRUE(verify(plan.program).ok()) << verify(plan.program).to_string();
  const auto bytes = bytes_of(plan);
  const Plan back = reread(bytes);
  expect_same_plan(plan, back);
  EXPECT_EQ(bytes_of(back), bytes);
}

TEST_F(PlanFile, BodiesRoundTrip) {
  const Plan plan = nested_plan();
  ASSERT_TRUE(verify(plan.program).ok()) << verify(plan.program).to_string();
  const auto bytes = bytes_of(plan);
  const Plan back = reread(bytes);
  expect_same_plan(plan, back);
  EXPECT_EQ(bytes_of(back), bytes);
  int steps = 0;
  for_each_step(back.program, [&](const Step&) { ++steps; });
  EXPECT_EQ(steps, 3);
}

// The halves of one buffer beside each other, and who reads it behind both.
TEST_F(PlanFile, LaunchesRoundTrip) {
  Plan plan = rich_plan();
  plan.program.steps[1].launch = {2, {}, false};
  plan.program.steps[2].launch = {0, {1}, true};
  ASSERT_TRUE(verify(plan.program).ok()) << verify(plan.program).to_string();
  const auto bytes = bytes_of(plan);
  const Plan back = reread(bytes);
  expect_same_plan(plan, back);
  EXPECT_EQ(bytes_of(back), bytes);
  plan.program.steps[2].launch.waits.clear();
  const Status refused = serialize(plan).status();
  EXPECT_NE(refused.message().find("step 2 (cpu.pointwise) runs beside step 1"), std::string::npos)
      << refused.to_string();
}
TEST_F(PlanFile, RichPlanRoundTripsThroughAFile) {
  const Plan plan = rich_plan();
  ASSERT_TRUE(write_plan(plan, path_).ok());
  for (bool copy : {false, true})
    for (bool check : {false, true}) {
      auto back = read_plan(path_, {.check_weights = check, .copy_weights = copy});
      ASSERT_TRUE(back.ok()) << back.status().to_string();
      expect_same_plan(plan, *back);
      EXPECT_EQ(bytes_of(*back), bytes_of(plan));
    }
  std::ifstream in(path_, std::ios::binary);
  const std::string content((std::istreambuf_iterator<char>(in)), {});
  const auto bytes = bytes_of(plan);
  ASSERT_EQ(content.size(), bytes.size());
  EXPECT_EQ(std::memcmp(content.data(), bytes.data(), bytes.size()), 0);
}

TEST_F(PlanFile, SamePlanSameBytes) {
  EXPECT_EQ(bytes_of(rich_plan()), bytes_of(rich_plan()));
  EXPECT_EQ(bytes_of(small_plan()), bytes_of(small_plan()));
}

TEST_F(PlanFile, EncodedPlanGivesTheSameFile) {
  auto encoded = EncodedPlan::create(rich_plan());
  ASSERT_TRUE(encoded.ok());
  const auto bytes = bytes_of(rich_plan());
  EXPECT_EQ((*encoded)->bytes(), bytes.size());
  EXPECT_EQ((*encoded)->to_memory(), bytes);
  ASSERT_TRUE((*encoded)->write(path_).ok());
  auto read = read_plan(path_, {.threads = 3});
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(bytes_of(*read), bytes);
}

TEST_F(PlanFile, EqualBytesAreStoredOnce) {
  FileHeader header;
  const auto bytes = bytes_of(rich_plan());
  std::memcpy(&header, bytes.data(), sizeof(header));
  // Two equal weights, one large attribute, one artifact of two steps, one packed blob.
  EXPECT_EQ(header.section_count, 4u);
}

TEST_F(PlanFile, ConstantsOutliveThePlanAndViewTheMapping) {
  ASSERT_TRUE(write_plan(small_plan(), path_).ok());
  ir::Tensor kept;
  {
    auto plan = read_plan(path_);
    ASSERT_TRUE(plan.ok());
    kept = plan->program.constants[0].tensor;
  }
  std::filesystem::remove(path_);
  EXPECT_TRUE(kept.same_bytes(small_plan().program.constants[0].tensor));
}

TEST_F(PlanFile, MemoryWithAnOwnerIsViewedWhenAligned) {
  const auto bytes = bytes_of(small_plan());
  auto* block = static_cast<std::byte*>(std::aligned_alloc(64, (bytes.size() + 127) / 64 * 64));
  const std::shared_ptr<const void> owner(block, std::free);
  for (size_t shift : {0, 1}) {
    std::memcpy(block + shift, bytes.data(), bytes.size());
    auto plan = read_plan(std::span(block + shift, bytes.size()), owner);
    ASSERT_TRUE(plan.ok());
    const auto* data = plan->program.constants[0].tensor.data_as<std::byte>();
    EXPECT_EQ(reinterpret_cast<uintptr_t>(data) % 64, 0u);
    EXPECT_EQ(data >= block && data < block + bytes.size(), shift == 0);
  }
}

TEST_F(PlanFile, TimesThatAreNoTimesCountAsUnknown) {
  Plan plan = rich_plan();
  plan.program.steps[0].expected_us = std::nan("");
  plan.program.steps[0].considered[0].predicted_us = std::numeric_limits<double>::infinity();
  plan.program.steps[0].considered[0].measured_us = -5;
  const Step step = reread(bytes_of(plan)).program.steps[0];
  EXPECT_EQ(step.expected_us, 0);
  EXPECT_EQ(step.considered[0].predicted_us, 0);
  EXPECT_EQ(step.considered[0].measured_us, -1);
}

TEST_F(PlanFile, EmptyProgramIsAPlan) {
  Plan plan;
  plan.program.device_kind = "cpu";
  expect_same_plan(plan, reread(bytes_of(plan)));
}

TEST_F(PlanFile, BrokenProgramIsNotWritten) {
  Plan plan = small_plan();
  plan.program.steps[0].operands[0] = 99;
  EXPECT_EQ(serialize(plan).status().code(), Code::kInternal);
  EXPECT_EQ(write_plan(plan, path_).code(), Code::kInternal);
  EXPECT_FALSE(std::filesystem::exists(path_));
}

}  // namespace
}  // namespace planish::plan
