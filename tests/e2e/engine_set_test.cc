// EngineSet: the batch rule, the order of eviction, one builder per set of shapes, what is refused.
#include "planish/engine_set.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace planish {
namespace {

// y = x times twice the identity, with an open batch.
Result<Network> twice(const std::map<std::string, std::vector<int64_t>>&) {
  Network network = Network::create("twice");
  auto x = network.add_input("x", DataType::kF32, {"N", 3});
  Tensor weights = std::move(Tensor::create(DataType::kF32, {3, 3})).value();
  for (int i = 0; i < 3; ++i) static_cast<float*>(weights.mutable_data())[i * 4] = 2;
  auto w = network.add_constant("w", weights);
  auto y = network.add_op("MatMul", {*x, *w});
  if (!y.ok()) return y.status();
  if (Status status = network.mark_output(*y, "y"); !status.ok()) return status;
  return network;
}

EngineSet make_set(int max_engines, bool allow_build = true) {
  EngineSetOptions options;
  options.inputs = {"x"};
  options.max_engines = max_engines;
  options.allow_build = allow_build;
  options.build.deterministic = true;
  return std::move(EngineSet::create(options)).value();
}

Tensor input(int64_t batch, int64_t width = 3) {
  Tensor tensor = std::move(Tensor::create(DataType::kF32, {batch, width})).value();
  auto* values = static_cast<float*>(tensor.mutable_data());
  for (int64_t i = 0; i < tensor.count(); ++i) values[i] = float(i) - 2;
  return tensor;
}

Status run(EngineSet& set, const Tensor& x, const EngineSet::Source& source = twice) {
  int outputs = 0;
  Status status = set.run({x}, source, {}, [&](int index, const Tensor& y) {
    ++outputs;
    EXPECT_EQ(index, 0);
    ASSERT_EQ(y.dims(), x.dims());
    for (int64_t i = 0; i < y.count(); ++i) ASSERT_EQ(y.as_double(i), 2 * x.as_double(i));
  });
  EXPECT_EQ(outputs, status.ok() ? 1 : 0);
  return status;
}

TEST(ShapeRange, CoversBetweenItsBounds) {
  const ShapeRange range{{{1, 3}, {2}}, {{8, 3}, {2}}};
  EXPECT_TRUE(covers(range, {{1, 3}, {2}}));
  EXPECT_TRUE(covers(range, {{8, 3}, {2}}));
  EXPECT_FALSE(covers(range, {{9, 3}, {2}}));
  EXPECT_FALSE(covers(range, {{8, 4}, {2}}));
  EXPECT_FALSE(covers(range, {{8, 3, 1}, {2}}));
  EXPECT_FALSE(covers(range, {{8, 3}}));
}

TEST(ShapeRange, TheSmallestThatSuffices) {
  const std::vector<ShapeRange> ranges = {{{{1, 3}}, {{16, 3}}}, {{{1, 3}}, {{4, 3}}}, {{{1, 3}}, {{8, 3}}}};
  EXPECT_EQ(smallest_cover(ranges, {{3, 3}}), 1);
  EXPECT_EQ(smallest_cover(ranges, {{5, 3}}), 2);
  EXPECT_EQ(smallest_cover(ranges, {{9, 3}}), 0);
  EXPECT_EQ(smallest_cover(ranges, {{17, 3}}), -1);
}

TEST(EngineSet, AnEngineServesSmallerBatches) {
  EngineSet set = make_set(4);
  for (const int64_t batch : {2, 1, 3, 10, 1}) ASSERT_TRUE(run(set, input(batch)).ok());
  EXPECT_EQ(set.statistics().builds, 3);  // 2, 3 and 10
  EXPECT_EQ(set.statistics().hits, 2);
  EXPECT_EQ(set.statistics().engines, 3);
  EXPECT_EQ(set.statistics().evictions, 0);
}

TEST(EngineSet, TheEngineUsedLeastRecentlyGoes) {
  EngineSet set = make_set(2);
  for (const int64_t batch : {4, 8, 3, 16}) ASSERT_TRUE(run(set, input(batch)).ok());
  // 3 has used the engine for 4; 16 has put out the one for 8.
  std::vector<int64_t> batches;
  for (const EngineRecord& record : set.records()) batches.push_back(record.range.max[0][0]);
  EXPECT_EQ(batches, (std::vector<int64_t>{16, 4}));
  EXPECT_EQ(set.statistics().evictions, 1);
}

TEST(EngineSet, BytesAreACapToo) {
  EngineSet roomy = make_set(4);
  ASSERT_TRUE(run(roomy, input(1000)).ok());
  EngineSetOptions options;
  options.inputs = {"x"};
  options.max_engines = 4;
  options.max_bytes = roomy.statistics().bytes + 1;
  options.build.deterministic = true;
  EngineSet set = std::move(EngineSet::create(options)).value();
  for (const int64_t batch : {999, 1000}) ASSERT_TRUE(run(set, input(batch)).ok());
  ASSERT_GT(roomy.statistics().bytes, 1);
  EXPECT_EQ(set.statistics().engines, 1);
}

TEST(EngineSet, OneBuilderPerSetOfShapes) {
  EngineSet set = make_set(4);
  std::atomic<int> loads{0};
  const auto slow = [&](const auto& shapes) {
    ++loads;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return twice(shapes);
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) EXPECT_TRUE(run(set, input(5), slow).ok());
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(loads, 1);
  EXPECT_EQ(set.statistics().builds, 1);
}

TEST(EngineSet, WhatCannotBeBuiltIsTriedOnce) {
  EngineSet set = make_set(4);
  int loads = 0;
  const auto broken = [&](const auto&) -> Result<Network> {
    ++loads;
    return Status(Code::kUnsupported, "no such operator");
  };
  for (int i = 0; i < 3; ++i) {
    const Status status = run(set, input(5), broken);
    EXPECT_EQ(status.code(), Code::kUnsupported);
  }
  EXPECT_EQ(loads, 2);  // with open shapes and with given ones, once each
  EXPECT_EQ(set.statistics().refusals.at("unsupported: no such operator"), 3);
  EXPECT_EQ(set.statistics().engines, 0);
}

TEST(EngineSet, WithoutBuildingWhatIsThereServes) {
  EngineSet maker = make_set(4);
  ASSERT_TRUE(run(maker, input(4)).ok());
  EngineSet set = make_set(4, false);
  EXPECT_EQ(run(set, input(4)).code(), Code::kFailedPrecondition);
  ASSERT_TRUE(set.add(maker.records()[0].engine).ok());
  EXPECT_TRUE(run(set, input(4)).ok());
  EXPECT_TRUE(run(set, input(2)).ok());
  EXPECT_EQ(run(set, input(5)).code(), Code::kFailedPrecondition);
  EXPECT_EQ(set.statistics().loads, 1);
  EXPECT_EQ(set.statistics().hits, 2);
}

TEST(EngineSet, BuiltAgainFromDecisions) {
  EngineSet maker = make_set(4);
  ASSERT_TRUE(run(maker, input(4)).ok());
  const EngineRecord record = maker.records()[0];
  EngineSet set = make_set(4, false);
  ASSERT_TRUE(set.prepare(record.range, twice, record.engine.decisions()).ok());
  EXPECT_TRUE(run(set, input(3)).ok());
}

TEST(EngineSet, RefusesWhatNoEngineCanServe) {
  EngineSet set = make_set(4);
  EXPECT_FALSE(run(set, input(0)).ok());
  EXPECT_EQ(run(set, input(2, 4)).code(), Code::kInvalidArgument);
  EngineSetOptions none, negative;
  none.max_engines = 0;
  negative.max_bytes = -1;
  EXPECT_EQ(EngineSet::create(none).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(EngineSet::create(negative).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(set.run({}, twice, {}, [](int, const Tensor&) {}).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace planish
