#include "memplan/memplan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <random>
#include <string>

namespace planish::memplan {
namespace {

// The properties that every plan has, whatever its quality. Written independently of the planner.
void expect_valid(const std::vector<Request>& requests, const ArenaPlan& plan, int64_t alignment) {
  ASSERT_EQ(plan.offsets.size(), requests.size());
  int64_t sum = 0, top = 0;
  const auto rounded = [&](int64_t bytes) {
    return (bytes + alignment - 1) / alignment * alignment;
  };
  for (size_t i = 0; i < requests.size(); ++i) {
    ASSERT_GE(plan.offsets[i], 0);
    ASSERT_EQ(plan.offsets[i] % alignment, 0);
    sum += rounded(requests[i].bytes);
    if (requests[i].bytes) top = std::max(top, plan.offsets[i] + rounded(requests[i].bytes));
    for (size_t j = 0; j < i; ++j) {
      const bool together = requests[i].first_step <= requests[j].last_step &&
                            requests[j].first_step <= requests[i].last_step;
      const bool overlap = plan.offsets[i] < plan.offsets[j] + requests[j].bytes &&
                           plan.offsets[j] < plan.offsets[i] + requests[i].bytes;
      ASSERT_FALSE(together && overlap) << "requests " << i << " and " << j;
    }
  }
  int64_t bound = 0;
  for (const Request& r : requests) {
    int64_t alive = 0;
    for (const Request& other : requests)
      if (other.first_step <= r.first_step && r.first_step <= other.last_step)
        alive += rounded(other.bytes);
    bound = std::max(bound, alive);
  }
  EXPECT_EQ(plan.sum_bytes, sum);
  EXPECT_EQ(plan.arena_bytes, top);
  EXPECT_EQ(plan.lower_bound_bytes, bound);
  EXPECT_LE(plan.arena_bytes, plan.sum_bytes);
}

TEST(Memplan, NothingNeedsNothing) {
  const ArenaPlan plan = plan_arena({});
  EXPECT_EQ(plan.arena_bytes, 0);
  EXPECT_EQ(plan.lower_bound_bytes, 0);
  const std::vector<Request> empty = {{0, 0, 5}, {0, 2, 3}};
  expect_valid(empty, plan_arena(empty), 64);
}

TEST(Memplan, ChainNeedsTwoBuffers) {
  std::vector<Request> requests;
  for (int i = 0; i < 50; ++i) requests.push_back({1000, i, i + 1});
  const ArenaPlan plan = plan_arena(requests);
  expect_valid(requests, plan, 64);
  EXPECT_EQ(plan.arena_bytes, 2 * 1024);
}

TEST(Memplan, LastReadStillCountsAsAlive) {
  const std::vector<Request> requests = {{64, 0, 1}, {64, 1, 2}, {64, 2, 3}};
  EXPECT_EQ(plan_arena(requests).arena_bytes, 128);
}

// An order by size alone ends at 1.33x here; the others or the improvement must find the bound.
TEST(Memplan, GapLeftByLargestFirstIsFound) {
  const std::vector<Request> requests = {{256, 0, 1}, {128, 0, 0}, {384, 2, 3},
                                         {128, 1, 2}, {320, 3, 5}, {192, 3, 4}};
  const ArenaPlan plan = plan_arena(requests);
  expect_valid(requests, plan, 64);
  EXPECT_EQ(plan.arena_bytes, plan.lower_bound_bytes);
}

TEST(Memplan, AbsurdSizesAreNotPlannedAndDoNotWrap) {
  const std::vector<Request> requests = {{INT64_MAX, 0, 1}, {INT64_MAX, 0, 1}, {64, 0, 1}};
  EXPECT_EQ(plan_arena(requests).arena_bytes, INT64_MAX);
  const std::vector<Request> many(100, {int64_t(1) << 59, 0, 1});
  EXPECT_EQ(plan_arena(many).arena_bytes, INT64_MAX);
}

TEST(Memplan, RandomRequestsKeepTheRules) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    const int count = 1 + int(random() % 60), steps = 1 + int(random() % 40);
    const int64_t alignment = int64_t(1) << (random() % 9);
    std::vector<Request> requests;
    for (int i = 0; i < count; ++i) {
      const int first = int(random() % unsigned(steps));
      const int last = std::min(steps - 1, first + int(random() % 8) * (random() % 5 == 0 ? 5 : 1));
      requests.push_back(
          {int64_t(random() % 7 == 0 ? random() % 3 : random() % 5000), first, last});
    }
    const ArenaPlan plan = plan_arena(requests, alignment);
    expect_valid(requests, plan, alignment);
    const ArenaPlan again = plan_arena(requests, alignment);
    EXPECT_EQ(plan.offsets, again.offsets);
    if (HasFailure()) FAIL() << "round " << round;
  }
}

// Networks in outline: what the plans of real ones ask for.
struct Builder {
  std::vector<Request> requests;
  int step = 0;
  int add(int64_t bytes) {  // a value written at this step, read by nobody yet
    requests.push_back({bytes, step, step});
    return int(requests.size()) - 1;
  }
  void read(int value) { requests[size_t(value)].last_step = step; }
  int layer(std::vector<int> inputs, int64_t bytes, int64_t workspace = 0) {
    for (int i : inputs) read(i);
    const int out = add(bytes);
    if (workspace) add(workspace);
    ++step;
    return out;
  }
};

std::vector<Request> resnet50() {
  Builder b;
  int x = b.layer({b.add(3 * 224 * 224 * 4)}, 64 * 112 * 112 * 4);
  x = b.layer({x}, 64 * 56 * 56 * 4);
  const int blocks[] = {3, 4, 6, 3};
  int64_t width = 64, size = 56;
  for (int stage = 0; stage < 4; ++stage, width *= 2, size /= 2)
    for (int i = 0; i < blocks[stage]; ++i) {
      const int64_t bytes = width * size * size * 4;
      const int64_t before = i == 0 && stage ? bytes * 4 : bytes;
      const int a = b.layer({x}, before), c = b.layer({a}, bytes, bytes * 3);
      const int shortcut = i == 0 ? b.layer({x}, bytes * 4) : x;
      x = b.layer({c, shortcut}, bytes * 4);
    }
  b.layer({b.layer({x}, 2048 * 4)}, 4000);
  return b.requests;
}

std::vector<Request> densenet() {  // concat elided: one buffer per block
  Builder b;
  int x = b.layer({b.add(3 * 224 * 224 * 4)}, 64 * 56 * 56 * 4);
  int64_t channels = 64, size = 56;
  for (int layers : {6, 12, 24, 16}) {
    const int block = b.layer({x}, (channels + 32 * layers) * size * size * 4);
    for (int i = 0; i < layers; ++i) {
      const int narrow = b.layer({block}, 128 * size * size * 4);
      b.read(narrow), b.read(block);
      ++b.step;
    }
    channels = (channels + 32 * layers) / 2, size /= 2;
    x = b.layer({block}, channels * size * size * 4);
  }
  return b.requests;
}

std::vector<Request> inception() {
  Builder b;
  int x = b.layer({b.add(3 * 299 * 299 * 4)}, 192 * 35 * 35 * 4);
  std::mt19937 random(3);
  for (int i = 0; i < 11; ++i) {
    const int64_t plane = i < 3 ? 35 * 35 * 4 : i < 8 ? 17 * 17 * 4 : 8 * 8 * 4;
    const int out = b.add(768 * plane);
    for (int branch = 0; branch < 4; ++branch) {
      int y = x;
      for (int k = 0; k < branch; ++k) y = b.layer({y}, int64_t(48 + random() % 150) * plane);
      b.read(y), b.read(out);
      ++b.step;
    }
    x = out;
  }
  return b.requests;
}

std::vector<Request> unet() {
  Builder b;
  std::vector<int> skips;
  int x = b.add(3 * 512 * 512 * 4);
  int64_t c = 64, s = 512;
  for (int level = 0; level < 4; ++level, c *= 2, s /= 2) {
    x = b.layer({x}, c * s * s * 4);
    x = b.layer({x}, c * s * s * 4);
    skips.push_back(x);
    x = b.layer({x}, c * s * s);
  }
  x = b.layer({x}, c * s * s * 4);
  for (int level = 3; level >= 0; --level) {
    c /= 2, s *= 2;
    x = b.layer({x}, c * s * s * 4);
    x = b.layer({x, skips[size_t(level)]}, c * s * s * 4);
    x = b.layer({x}, c * s * s * 4);
  }
  return b.requests;
}

std::vector<Request> bert(int layers) {
  Builder b;
  const int64_t hidden = 128 * 768 * 4;
  const int mask = b.add(128 * 4);
  int x = b.layer({b.add(1024)}, hidden);
  for (int i = 0; i < layers; ++i) {
    const int q = b.layer({x}, hidden), k = b.layer({x}, hidden), v = b.layer({x}, hidden);
    const int scores = b.layer({q, k, mask}, 12 * 128 * 128 * 4);
    const int mixed = b.layer({b.layer({scores}, 12 * 128 * 128 * 4), v}, hidden);
    const int y = b.layer({mixed, x}, hidden);
    x = b.layer({b.layer({y}, 4 * hidden), y}, hidden);
  }
  return b.requests;
}

std::vector<Request> nasnet_like(int cells, unsigned seed) {
  Builder b;
  std::mt19937 random(seed);
  int previous = b.add(300000), x = b.layer({previous}, 400000);
  for (int cell = 0; cell < cells; ++cell) {
    std::vector<int> states = {b.layer({x}, 200000), b.layer({previous}, 200000)};
    for (int i = 0; i < 5; ++i) {
      const int p = states[random() % states.size()], q = states[random() % states.size()];
      const int u = b.layer({p}, int64_t(100000 + random() % 200000));
      const int w = b.layer({q}, int64_t(100000 + random() % 200000));
      states.push_back(b.layer({u, w}, 200000));
    }
    previous = x;
    x = b.layer(states, 200000 * 5);
  }
  return b.requests;
}

struct Network {
  std::string name;
  std::vector<Request> requests;
};

TEST(Memplan, RealNetworksStayWithinATenthOfTheBound) {
  const Network networks[] = {{"resnet50", resnet50()},
                              {"densenet121", densenet()},
                              {"inception", inception()},
                              {"unet", unet()},
                              {"bert", bert(12)},
                              {"nasnet a", nasnet_like(12, 1)},
                              {"nasnet b", nasnet_like(18, 2)},
                              {"nasnet c", nasnet_like(5, 3)}};
  for (const Network& network : networks) {
    const auto begin = std::chrono::steady_clock::now();
    const ArenaPlan plan = plan_arena(network.requests);
    const double us =
        std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
    expect_valid(network.requests, plan, 64);
    std::cout << network.name << ": " << network.requests.size() << " requests, arena "
              << plan.arena_bytes << " = "
              << double(plan.arena_bytes) / double(plan.lower_bound_bytes) << " x bound, sum "
              << plan.sum_bytes << ", " << us << " us\n";
    EXPECT_LE(double(plan.arena_bytes), 1.1 * double(plan.lower_bound_bytes)) << network.name;
  }
}

TEST(Memplan, TenThousandRequestsOfALongNetwork) {
  const auto requests = nasnet_like(560, 4);
  ASSERT_GE(requests.size(), 10000u);
  const auto begin = std::chrono::steady_clock::now();
  const ArenaPlan plan = plan_arena(requests);
  const double us =
      std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
  std::cout << requests.size() << " requests: " << us << " us\n";
  EXPECT_LE(double(plan.arena_bytes), 1.1 * double(plan.lower_bound_bytes));
}

// More conflicts than the graph is kept for: everything alive at once.
TEST(Memplan, TenThousandRequestsAliveAtOnce) {
  std::vector<Request> requests;
  for (int i = 0; i < 10000; ++i) requests.push_back({64 + i % 100, i % 7, 20 + i % 11});
  const ArenaPlan plan = plan_arena(requests);
  EXPECT_EQ(plan.arena_bytes, plan.lower_bound_bytes);
  EXPECT_EQ(plan.arena_bytes, plan.sum_bytes);
}

}  // namespace
}  // namespace planish::memplan
