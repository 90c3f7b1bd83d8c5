// Which steps run beside each other, what that asks of memory, and which launches a program refuses.
#include "plan/step_order.h"

#include <gtest/gtest.h>

namespace planish::plan {
namespace {

using ir::DataType;

// Steps that read and write values by number; types do not matter here.
struct Sketch {
  Program program;
  explicit Sketch(int values) { program.values.resize(size_t(values)); }
  Sketch& part(int value, int parent) {
    program.values[size_t(value)].parent = parent;
    return *this;
  }
  Sketch& step(std::vector<int> reads, std::vector<int> writes, Launch launch = {}) {
    Step& s = program.steps.emplace_back();
    s.kernel = "some.kernel";
    s.operands = std::move(reads);
    s.results = std::move(writes);
    s.launch = std::move(launch);
    return *this;
  }
};

// 0 -> {1 -> 2 on a stream of its own, 3} -> 4 reads both -> 5
Sketch diamond() {
  Sketch s(6);
  s.step({}, {0}).step({0}, {1}, {1, {0}}).step({1}, {2}, {1, {}}).step({0}, {3});
  return s.step({2, 3}, {4}, {0, {2}}).step({4}, {5});
}

std::vector<std::vector<int>> dependences(const Program& program) {
  std::vector<std::vector<int>> out;
  for_each_dependence(program, [&](int step, std::span<const int> in_front) {
    EXPECT_EQ(step, int(out.size()));
    out.emplace_back(in_front.begin(), in_front.end());
  });
  return out;
}

TEST(StepOrder, OneStreamIsTheProgramsOrder) {
  Sketch s(3);
  s.step({}, {0}).step({0}, {1}).step({0}, {2});
  const StepOrder order(s.program);
  EXPECT_TRUE(order.ends_before(1, 2));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(order.last_beside(i), i);
    EXPECT_TRUE(order.is_alone(i));
  }
}

TEST(StepOrder, BranchesRunBesideEachOther) {
  const Sketch s = diamond();
  EXPECT_TRUE(verify_launches(s.program).ok()) << verify_launches(s.program).to_string();
  const StepOrder order(s.program);
  EXPECT_TRUE(order.ends_before(0, 1));
  EXPECT_TRUE(order.ends_before(0, 2));   // by the step in front of it
  EXPECT_FALSE(order.ends_before(1, 3));  // beside
  EXPECT_FALSE(order.ends_before(2, 3));
  EXPECT_TRUE(order.ends_before(1, 4));   // by what it waits for
  EXPECT_TRUE(order.ends_before(2, 5));   // by whom it follows
  EXPECT_EQ(order.last_beside(0), 0);
  EXPECT_EQ(order.last_beside(1), 3);
  EXPECT_EQ(order.last_beside(2), 3);
  EXPECT_EQ(order.last_beside(3), 3);
  EXPECT_EQ(order.last_beside(4), 4);
  EXPECT_TRUE(order.is_alone(0) && order.is_alone(4) && order.is_alone(5));
  EXPECT_FALSE(order.is_alone(1) || order.is_alone(2) || order.is_alone(3));
}

TEST(StepOrder, DependencesAreReadsAndWritesOfOneValue) {
  EXPECT_EQ(dependences(diamond().program),
            (std::vector<std::vector<int>>{{}, {0}, {1}, {0}, {2, 3}, {4}}));
  // Parts 1 and 2 of value 0, written side by side; who reads the whole, or any part, waits for both.
  Sketch parts(5);
  parts.part(1, 0).part(2, 0).step({}, {1}).step({}, {2}).step({0}, {3}).step({1}, {4});
  EXPECT_EQ(dependences(parts.program), (std::vector<std::vector<int>>{{}, {}, {0, 1}, {0, 1}}));
  // The whole behind a part of it; a part that was read before another is written.
  Sketch whole(4);
  whole.part(1, 0).part(2, 0).step({}, {1}).step({1}, {3}).step({}, {0}).step({}, {2});
  EXPECT_EQ(dependences(whole.program), (std::vector<std::vector<int>>{{}, {0}, {0, 1}, {1, 2}}));
}

TEST(StepOrder, ForgedLaunchesAreNamed) {
  const auto refused = [](const Sketch& s, std::string_view part) {
    const Status status = verify_launches(s.program);
    EXPECT_EQ(status.code(), Code::kDataLoss) << status.to_string();
    EXPECT_NE(status.message().find(part), std::string::npos) << status.to_string();
  };
  const auto with = [](int step, Launch launch) {
    Sketch s = diamond();
    s.program.steps[size_t(step)].launch = std::move(launch);
    return s;
  };
  refused(with(1, {kMaxStreams, {0}}), "step 1 (some.kernel) runs on stream 8, there are 8");
  refused(with(1, {-1, {0}}), "runs on stream -1");
  refused(with(1, {1, {3}}), "step 1 (some.kernel) waits for step 3, expected one in front");
  refused(with(1, {1, {-1}}), "waits for step -1");
  refused(with(3, {0, {0}}), "step 3 (some.kernel) waits for step 0");
  // The branch no longer waits for what it reads, nor the join for the branch.
  refused(with(1, {1, {}}), "step 1 (some.kernel) runs beside step 0, which touches the same value");
  refused(with(4, {0, {1}}), "step 4 (some.kernel) runs beside step 2");
  // Written while it is still read.
  Sketch over(4);
  over.part(2, 0).part(3, 0).step({}, {2}).step({2}, {1}, {1, {0}}).step({}, {3});
  refused(over, "step 2 (some.kernel) runs beside step 1");
}

}  // namespace
}  // namespace planish::plan
