// The tuner on a device whose clock the test owns: kernels take planted times.
#include "tuner/tuner.h"

#include <gtest/gtest.h>

#include <optional>
#include <random>

#include "tuner/timing_cache.h"

namespace planish::tuner {
namespace {

struct FakeClock {
  double now = 0;
};

class HostMemory : public backend::Memory {
 public:
  explicit HostMemory(int64_t bytes) : bytes_(size_t(bytes) / sizeof(std::max_align_t) + 1) {}
  std::byte* data() const override {
    return reinterpret_cast<std::byte*>(const_cast<std::max_align_t*>(bytes_.data()));
  }
  int64_t bytes() const override { return int64_t(bytes_.size() * sizeof(std::max_align_t)); }

 private:
  std::vector<std::max_align_t> bytes_;
};

class FakeDevice : public backend::Device {
 public:
  FakeDevice() { info_.kind = "fake", info_.name = "a clock", info_.isa = "none"; }
  const kernel::DeviceInfo& info() const override { return info_; }
  Result<std::unique_ptr<backend::Memory>> allocate(int64_t bytes, ir::MemorySpace) override {
    return std::unique_ptr<backend::Memory>(std::make_unique<HostMemory>(bytes));
  }
  Result<std::unique_ptr<backend::Stream>> create_stream() override {
    return unsupported("no streams");
  }
  Status copy(backend::Stream&, void*, ir::MemorySpace, const void*, ir::MemorySpace,
              int64_t) override {
    return unsupported("no copies");
  }
  Result<std::vector<double>> time_us(const kernel::Launchable&, std::span<const kernel::RunArgs>,
                                      int) override {
    return unsupported("host memory is timed by the tuner");
  }
  kernel::DeviceInfo info_;
};

// Takes params["us"] with up to 3 % of noise, "cool" where there is no stream (FakeGpu); "fails" does not run.
class FakeKernel : public kernel::KernelDef {
 public:
  explicit FakeKernel(FakeClock& clock) : clock_(clock) {}
  std::string name() const override { return "fake.kernel"; }
  std::string device_kind() const override { return "fake"; }
  Status supports(const kernel::Problem&, const kernel::DeviceInfo&) const override {
    return ok_status();
  }
  double predict_us(const kernel::Problem&, const kernel::Tactic&,
                    const kernel::DeviceInfo&) const override {
    return 1;
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    return std::unique_ptr<kernel::Launchable>(std::make_unique<Run>(*this, *args.tactic));
  }
  std::string compiler() const override { return compiler_; }
  mutable int runs = 0;
  std::string compiler_ = "compiler 1";

 private:
  class Run : public kernel::Launchable {
   public:
    Run(const FakeKernel& kernel, kernel::Tactic tactic)
        : kernel_(kernel), tactic_(std::move(tactic)) {}
    Status run(const kernel::RunArgs& args) const override {
      ++kernel_.runs;
      if (tactic_.get("fails")) return unsupported("planted failure");
      const char* time = tactic_.get("cool") && !args.stream ? "cool" : "us";
      kernel_.clock_.now += double(tactic_.get(time)) * (1 + double(kernel_.random_() % 30) / 1000);
      return ok_status();
    }

   private:
    const FakeKernel& kernel_;
    kernel::Tactic tactic_;
  };
  FakeClock& clock_;
  mutable std::mt19937 random_{5};
};

class TunerTest : public testing::Test {
 protected:
  TunerTest() {
    const ir::TensorType type{ir::DataType::kF32, {4, 8}};
    problem_.operands.push_back({type, false, true, std::nullopt});
    problem_.stages.push_back({"Relu", {}, {0}, {type}, std::nullopt});
    problem_.results = {1};
    options_.now_us = [this] { return clock_.now; };
  }
  std::vector<Candidate> candidates(const std::vector<int64_t>& times) {
    std::vector<Candidate> out;
    for (int64_t us : times) {
      Candidate c;
      c.kernel = &kernel_;
      c.tactic.params["us"] = us;
      c.problem = &problem_;
      out.push_back(c);
    }
    return out;
  }
  static size_t best_of(const std::vector<Candidate>& candidates) {
    size_t best = 0;
    for (size_t i = 0; i < candidates.size(); ++i)
      if (candidates[i].measured_us >= 0 &&
          (candidates[best].measured_us < 0 ||
           candidates[i].measured_us < candidates[best].measured_us))
        best = i;
    return best;
  }
  FakeClock clock_;
  FakeDevice device_;
  FakeKernel kernel_{clock_};
  kernel::Problem problem_;
  TunerOptions options_;
};

TEST_F(TunerTest, PicksThePlantedFastest) {
  for (size_t planted = 0; planted < 8; ++planted) {
    std::vector<int64_t> times(8, 1100);
    times[planted] = 1000;
    auto list = candidates(times);
    Tuner tuner(device_, nullptr, options_);
    ASSERT_TRUE(tuner.measure(list, {}).ok());
    EXPECT_EQ(best_of(list), planted);
    EXPECT_EQ(tuner.measured_count(), 8);
  }
}

TEST_F(TunerTest, HopelessCandidatesRunOnce) {
  auto list = candidates({1000, 40000, 40000, 40000});
  Tuner tuner(device_, nullptr, options_);
  ASSERT_TRUE(tuner.measure(list, {}).ok());
  EXPECT_EQ(kernel_.runs, 3 + 1 + options_.rounds);  // a warm-up each, and the rounds of one
}

TEST_F(TunerTest, KnownTimesAreNotMeasuredAgain) {
  TimingCache cache;
  auto list = candidates({1000, 900, 1200});
  Tuner first(device_, &cache, options_);
  ASSERT_TRUE(first.measure(list, {}).ok());
  EXPECT_EQ(cache.size(), 3u);
  const int runs = kernel_.runs;
  auto again = candidates({1000, 900, 1200});
  Tuner second(device_, &cache, options_);
  ASSERT_TRUE(second.measure(again, {}).ok());
  EXPECT_EQ(kernel_.runs, runs);
  EXPECT_EQ(second.cached_count(), 3);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(again[i].measured_us, list[i].measured_us);
  // Another device or another compiler, other times.
  kernel_.compiler_ = "compiler 2";
  ASSERT_TRUE(second.measure(again, {}).ok());
  EXPECT_EQ(cache.size(), 6u);
  device_.info_.threads = 2;
  Tuner third(device_, &cache, options_);
  ASSERT_TRUE(third.measure(again, {}).ok());
  EXPECT_EQ(cache.size(), 9u);
}

TEST_F(TunerTest, FailingCandidatesAreRefusedWithTheirReason) {
  auto list = candidates({1000, 100});
  list[1].tactic.params["fails"] = 1;
  Tuner tuner(device_, nullptr, options_);
  ASSERT_TRUE(tuner.measure(list, {}).ok());
  EXPECT_NE(list[1].refused.find("planted failure"), std::string::npos);
  EXPECT_LT(list[1].measured_us, 0);
  EXPECT_GT(list[0].measured_us, 0);
}

// A GPU whose clocks fall once it has worked for 0.4 s on end, and rise again in as much idle time. "cool" is a
// candidate's time before, "us" behind.
class FakeGpu : public FakeDevice {
 public:
  explicit FakeGpu(FakeClock& clock) : clock_(clock) {}
  ir::MemorySpace home() const override { return ir::MemorySpace::kDevice; }
  Result<std::unique_ptr<backend::Stream>> create_stream() override { return std::make_unique<backend::Stream>(); }
  Status copy(backend::Stream&, void*, ir::MemorySpace, const void*, ir::MemorySpace, int64_t) override {
    return ok_status();
  }
  Result<std::vector<double>> time_us(const kernel::Launchable& launchable, std::span<const kernel::RunArgs> args,
                                      int) override {
    warm_us_ = std::max(0.0, warm_us_ - (clock_.now - end_us_));
    const double begin = clock_.now;
    kernel::RunArgs hot = args[0];
    hot.stream = warm_us_ > 4e5 ? this : nullptr;
    for (int i = 0; i < 20; ++i) PLANISH_RETURN_IF_ERROR(launchable.run(hot));
    end_us_ = clock_.now;
    warm_us_ += end_us_ - begin;
    hottest_us_ = std::max(hottest_us_, warm_us_);
    return std::vector<double>{(clock_.now - begin) / 20};
  }
  double hottest_us_ = 0;

 private:
  FakeClock& clock_;
  double warm_us_ = 0, end_us_ = 0;
};

TEST_F(TunerTest, LongKernelsAreTimedWithSettledClocks) {
  FakeGpu gpu(clock_);
  auto list = candidates({120, 100});
  list[0].tactic.params["cool"] = 60;  // the faster one of a burst
  list[1].tactic.params["cool"] = 80;
  for (Candidate& c : list) c.predicted_us = 50;
  Tuner tuner(gpu, nullptr, options_);
  ASSERT_TRUE(tuner.measure(list, {}).ok());
  EXPECT_EQ(best_of(list), 1u);
  EXPECT_NEAR(list[1].measured_us, 100, 4);
  // Still warm: the next problem costs little more than its rounds. Cooled down, as much as the first one.
  const auto spent = [&] {
    auto again = list;
    const double begin = clock_.now;
    EXPECT_TRUE(tuner.measure(again, {}).ok());
    EXPECT_EQ(best_of(again), 1u);
    return clock_.now - begin;
  };
  EXPECT_LT(spent(), 1e5);
  clock_.now += 1e6;
  EXPECT_GT(spent(), 4e5);
}

TEST_F(TunerTest, ShortKernelsAndTightBudgetsWaitForNoClocks) {
  FakeGpu gpu(clock_);
  auto list = candidates({120, 100});
  for (Candidate& c : list) c.tactic.params["cool"] = 60, c.predicted_us = 10;
  Tuner tuner(gpu, nullptr, options_);
  ASSERT_TRUE(tuner.measure(list, {}).ok());
  EXPECT_LT(gpu.hottest_us_, 1e5);
  for (Candidate& c : list) c.predicted_us = 50;
  const double end = clock_.now + 1e5;
  options_.out_of_time = [&] { return clock_.now > end; };
  Tuner hurried(gpu, nullptr, options_);
  ASSERT_TRUE(hurried.measure(list, {}).ok());
  EXPECT_LT(clock_.now, end + 1e4);
}

TEST_F(TunerTest, BudgetEndsMeasuring) {
  auto list = candidates(std::vector<int64_t>(50, 1000));
  options_.max_us_per_problem = 1e9;
  options_.out_of_time = [this] { return clock_.now > 20000; };
  Tuner tuner(device_, nullptr, options_);
  ASSERT_TRUE(tuner.measure(list, {}).ok());
  EXPECT_LT(clock_.now, 22000);
}

}  // namespace
}  // namespace planish::tuner
