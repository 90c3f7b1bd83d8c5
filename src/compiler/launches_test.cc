// Branches of finished programs, the waits that keep their order, and decisions that repeat them.
#include "compiler/launches.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "plan/step_order.h"

namespace planish::compiler {
namespace {

using Streams = std::vector<int>;

struct Sketch {
  plan::Program program;
  explicit Sketch(int values) {
    program.values.resize(size_t(values));
    for (plan::ProgramValue& v : program.values) v.type.space = ir::MemorySpace::kDevice;
  }
  Sketch& step(std::vector<int> reads, std::vector<int> writes, double us = 1) {
    plan::Step& s = program.steps.emplace_back();
    s.kernel = "some.kernel";
    s.operands = std::move(reads);
    s.results = std::move(writes);
    s.expected_us = us;
    return *this;
  }
};

// Branches of one, two and three steps behind step 0, and what reads them all.
Sketch block() {
  Sketch s(9);
  s.step({}, {0}).step({0}, {1}).step({0}, {2}).step({2}, {3});
  s.step({0}, {4}).step({4}, {5}).step({5}, {6});
  return s.step({1, 3, 6}, {7}).step({7}, {8});
}

TEST(Launches, TheLongestBranchGoesOnAndOthersLeave) {
  const plan::Program program = block().program;
  const Branches branches = find_branches(program);
  EXPECT_EQ(branches.streams, (Streams{0, 1, 2, 2, 0, 0, 0, 0, 0}));
  EXPECT_EQ(branches.branch_of, (Streams{-1, 0, 1, 1, -1, -1, -1, -1, -1}));
  EXPECT_EQ(branches.count, 2);
  const std::vector<plan::Launch> launches = launches_on(program, branches.streams);
  EXPECT_EQ(launches[1], (plan::Launch{1, {0}}));
  EXPECT_EQ(launches[2], (plan::Launch{2, {0}}));
  EXPECT_EQ(launches[3], (plan::Launch{2, {}}));  // behind the one in front of it
  EXPECT_EQ(launches[4], plan::Launch{});
  EXPECT_EQ(launches[7], (plan::Launch{0, {1, 3}}));
  EXPECT_EQ(launches[8], plan::Launch{});
}

TEST(Launches, TimeDecidesWhichBranchIsLongest) {
  Sketch s(4);
  s.step({}, {0}).step({0}, {1}, 2).step({0}, {2}, 5).step({1, 2}, {3});
  EXPECT_EQ(find_branches(s.program).streams, (Streams{0, 1, 0, 0}));
  s.program.steps[1].expected_us = 9;
  EXPECT_EQ(find_branches(s.program).streams, (Streams{0, 0, 1, 0}));
}

// A shortcut past a chain is no branch; streams are taken again when their branch has ended.
TEST(Launches, StreamsAreFewAndTakenAgain) {
  Sketch chain(4);
  chain.step({}, {0}).step({0}, {1}).step({1}, {2}).step({0, 2}, {3});
  EXPECT_EQ(find_branches(chain.program).count, 0);
  Sketch twice(7);
  twice.step({}, {0}).step({0}, {1}, 5).step({0}, {2}).step({1, 2}, {3});
  twice.step({3}, {4}, 5).step({3}, {5}).step({4, 5}, {6});
  const Branches branches = find_branches(twice.program);
  EXPECT_EQ(branches.streams, (Streams{0, 0, 1, 0, 0, 1, 0}));
  EXPECT_EQ(branches.branch_of, (Streams{-1, -1, 0, -1, -1, 1, -1}));
  Sketch wide(22);
  wide.step({}, {0});
  std::vector<int> ends;
  for (int i = 1; i <= 20; ++i) wide.step({0}, {i}), ends.push_back(i);
  wide.step(ends, {21});
  const Branches many = find_branches(wide.program);
  EXPECT_LT(*std::max_element(many.streams.begin(), many.streams.end()), plan::kMaxStreams);
  for (size_t s = 0; s < many.streams.size(); ++s)
    wide.program.steps[s].launch = launches_on(wide.program, many.streams)[s];
  EXPECT_TRUE(plan::verify_launches(wide.program).ok()) << plan::verify_launches(wide.program).to_string();
}

TEST(Launches, StepsOnTheHostHaveNoBranches) {
  Sketch s = block();
  s.program.values[3].type.space = ir::MemorySpace::kHost;
  EXPECT_EQ(find_branches(s.program).count, 0);
}

TEST(Launches, DecisionsRepeatThem) {
  plan::Plan plan;
  plan.program = block().program;
  plan.decisions = R"({"steps": {}})";
  EXPECT_FALSE(names_launches(plan.decisions));
  const auto launches = launches_on(plan.program, find_branches(plan.program).streams);
  for (size_t s = 0; s < launches.size(); ++s) plan.program.steps[s].launch = launches[s];
  plan.program.steps[8].launch.programmatic = false;
  note_launches(plan, {40, 50, 3});
  EXPECT_EQ(nlohmann::json::parse(plan.report)["launches"]["beside"], 3);
  ASSERT_TRUE(names_launches(plan.decisions));
  plan::Program again = block().program;
  ASSERT_TRUE(apply_launches(again, plan.decisions).ok());
  for (size_t s = 0; s < launches.size(); ++s)
    EXPECT_EQ(again.steps[s].launch, plan.program.steps[s].launch) << s;
}

TEST(Launches, DecisionsThatDoNotFitAreNamed) {
  const auto refused = [](const std::string& decisions, std::string_view part) {
    plan::Program program = block().program;
    const Status status = apply_launches(program, decisions);
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << status.to_string();
    EXPECT_NE(status.message().find(part), std::string::npos) << status.to_string();
  };
  refused(R"({"launches": 3})", "not for a program of 9 steps");
  refused(R"({"launches": {"steps": 8}})", "not for a program of 9 steps");
  refused(R"({"launches": {"steps": 9, "others": [{"step": 9}]}})", "there is no step 9");
  refused(R"({"launches": {"steps": 9, "others": [{"step": 1, "stream": "x"}]}})", "expected numbers");
  refused(R"({"launches": {"steps": 9, "others": [{"step": 1, "stream": 1}]}})",
          "step 1 (some.kernel) runs beside step 0");
}

}  // namespace
}  // namespace planish::compiler
