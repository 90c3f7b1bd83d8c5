// Group I of the bad inputs, 153 and 154: NaN, infinities and denormal numbers go through an engine as
// docs/architecture.md says; the largest batch of a profile is as right as single samples, and what is
// larger than memory ends in an error, after which the next run works.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "planish/planish.h"

namespace planish {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kDenormal = 1e-40f;

using Dims = std::vector<int64_t>;

Tensor filled(const Dims& dims, float from) {
  Tensor tensor = *Tensor::create(DataType::kF32, dims);
  auto* data = static_cast<float*>(tensor.mutable_data());
  for (int64_t i = 0; i < tensor.count(); ++i) data[i] = from + float(i * 7 % 11) * 0.25f - 1;
  return tensor;
}
float* values(Tensor& tensor) { return static_cast<float*>(tensor.mutable_data()); }
const float* values(const Tensor& tensor) { return tensor.data_as<float>(); }

BuildOptions quick(Fp32Mode fp32 = Fp32Mode::kExact) {
  BuildOptions options;
  options.deterministic = true;
  options.timing_cache = "";
  options.fp32 = fp32;
  return options;
}

Result<Tensor> run(const Network& network, const BuildOptions& options, const Tensor& x) {
  auto plan = build(network, options);
  if (!plan.ok()) return plan.status();
  auto engine = plan->engine();
  if (!engine.ok()) return engine.status();
  auto context = Context::create(*engine);
  if (!context.ok()) return context.status();
  if (Status s = context->set_input(0, x.data(), x.dims()); !s.ok()) return s;
  if (Status s = context->run(); !s.ok()) return s;
  Tensor result = *Tensor::create(DataType::kF32, context->output(0)->dims());
  std::memcpy(result.mutable_data(), context->output(0)->data(), size_t(result.bytes()));
  return result;
}

// Of one kind (NaN, infinite with its sign, zero or not), and near where finite.
void expect_alike(const Tensor& got, const Tensor& expected, double tolerance = 1e-5) {
  ASSERT_EQ(got.dims(), expected.dims());
  for (int64_t i = 0; i < got.count(); ++i) {
    const float a = values(got)[i], b = values(expected)[i];
    const bool alike = std::isnan(a) || std::isnan(b) ? std::isnan(a) && std::isnan(b)
                       : std::isinf(a) || std::isinf(b)
                           ? a == b
                           : std::fabs(a - b) <= tolerance * (1 + std::fabs(b));
    ASSERT_TRUE(alike) << "element " << i << ": got " << a << ", expected " << b;
  }
}

Network one_op(const std::string& op, const Dims& dims, const Attributes& attributes = {},
               const std::vector<Tensor>& constants = {}) {
  Network network = Network::create(op);
  std::vector<Dim> shape(dims.begin(), dims.end());
  std::vector<Value> inputs = {*network.add_input("x", DataType::kF32, shape)};
  for (const Tensor& c : constants)
    inputs.push_back(*network.add_constant("c" + std::to_string(inputs.size()), c));
  const auto y = network.add_op(op, inputs, attributes, "y");
  EXPECT_TRUE(y.ok()) << y.status().to_string();
  EXPECT_TRUE(network.mark_output(*y).ok());
  return network;
}

// Both rows hold each special value beside ordinary ones.
Tensor special_rows(const Dims& dims) {
  Tensor x = filled(dims, 0.5f);
  const int64_t width = dims.back();
  const float special[] = {kNan, kInf, -kInf, kDenormal, -0.0f};
  for (size_t row = 0; row < 5 && int64_t(row) < dims[0]; ++row)
    values(x)[int64_t(row) * width + 3] = special[row];
  return x;
}

Tensor last_axis() {
  Tensor axis = *Tensor::create(DataType::kI64, {1});
  *static_cast<int64_t*>(axis.mutable_data()) = 1;
  return axis;
}

TEST(SpecialValues, I154_Pools) {
  const Dims dims = {1, 3, 12, 12};
  Tensor x = filled(dims, 0.5f);
  values(x)[14] = kNan;
  values(x)[150] = kInf;
  values(x)[300] = -kInf;
  for (int64_t i = 340; i < 400; ++i) values(x)[i] = -kInf;  // whole windows
  const std::vector<int64_t> two = {2, 2};
  std::vector<Network> networks;
  for (const char* op : {"MaxPool", "AveragePool"})
    networks.push_back(one_op(op, dims, {{"kernel_shape", two}, {"strides", two}}));
  for (const char* op : {"GlobalAveragePool", "GlobalMaxPool"})
    networks.push_back(one_op(op, dims));
  for (const Network& network : networks) {
    SCOPED_TRACE(network.name());
    const auto expected = network.interpret({x});
    ASSERT_TRUE(expected.ok()) << expected.status().to_string();
    const auto got = run(network, quick(), x);
    ASSERT_TRUE(got.ok()) << got.status().to_string();
    expect_alike(*got, (*expected)[0]);
  }
}

TEST(SpecialValues, I154_GoThroughAsTheInterpreterSays) {
  const Dims dims = {7, 40};
  const Tensor x = special_rows(dims);
  std::vector<Network> networks;
  for (const char* op :
       {"Abs", "Atan", "Ceil", "Celu", "Clip", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu",
        "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu", "Round",
        "Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Tanh", "ThresholdedRelu"})
    networks.push_back(one_op(op, dims));
  for (const char* op : {"ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "ReduceL2",
                         "ReduceLogSumExp", "ReduceSumSquare"})
    networks.push_back(one_op(op, dims, {}, {last_axis()}));
  for (const char* op : {"Add", "Mul", "Sub", "Div", "Max", "Min", "Pow"})
    networks.push_back(one_op(op, dims, {}, {filled({40}, 0.75f)}));
  networks.push_back(one_op("Softmax", dims, {{"axis", int64_t(-1)}}));
  networks.push_back(one_op("LogSoftmax", dims, {{"axis", int64_t(-1)}}));
  networks.push_back(one_op("MatMul", dims, {}, {filled({40, 24}, 0.125f)}));
  networks.push_back(one_op("LayerNormalization", dims, {{"axis", int64_t(-1)}},
                            {filled({40}, 0.5f), filled({40}, 0.0f)}));
  for (const Network& network : networks) {
    SCOPED_TRACE(network.name());
    const auto expected = network.interpret({x});
    ASSERT_TRUE(expected.ok()) << expected.status().to_string();
    const auto got = run(network, quick(), x);
    ASSERT_TRUE(got.ok()) << got.status().to_string();
    expect_alike(*got, (*expected)[0]);
  }
}

TEST(SpecialValues, I154_DenormalNumbersAreKept) {
  const Dims dims = {2, 40};
  Tensor x = filled(dims, 0);
  for (int64_t i = 0; i < x.count(); ++i) values(x)[i] = kDenormal * float(i % 5);
  for (const char* op : {"Abs", "Relu"}) {
    const auto got = run(one_op(op, dims), quick(), x);
    ASSERT_TRUE(got.ok()) << got.status().to_string();
    for (int64_t i = 0; i < x.count(); ++i) EXPECT_EQ(values(*got)[i], values(x)[i]) << op << i;
  }
  Tensor ones = filled({40, 1}, 0);
  for (int64_t i = 0; i < 40; ++i) values(ones)[i] = 1;
  const auto sum = run(one_op("MatMul", dims, {}, {ones}), quick(), x);
  ASSERT_TRUE(sum.ok()) << sum.status().to_string();
  EXPECT_NEAR(values(*sum)[0] / kDenormal, 80, 0.01);
}

// One bad pixel: windows that hold it, and in a convolution by transforms (--fp32 fast) at most its
// tile, which reaches six further.
TEST(SpecialValues, I154_StayInTheirWindows) {
  constexpr int64_t kSize = 40, kChannels = 32, kAt = 20, kReach = 6;
  for (const auto& [fp32, reach] : {std::pair(Fp32Mode::kExact, int64_t(1)),
                                    std::pair(Fp32Mode::kFast, 1 + kReach)}) {
    for (const float bad : {kNan, kInf}) {
      Tensor x = filled({1, kChannels, kSize, kSize}, 0.5f);
      values(x)[(5 * kSize + kAt) * kSize + kAt] = bad;
      const Network network =
          one_op("Conv", {1, kChannels, kSize, kSize},
                 {{"pads", std::vector<int64_t>{1, 1, 1, 1}}},
                 {filled({kChannels, kChannels, 3, 3}, 0.3f)});
      const auto got = run(network, quick(fp32), x);
      ASSERT_TRUE(got.ok()) << got.status().to_string();
      for (int64_t c = 0; c < kChannels; ++c)
        for (int64_t h = 0; h < kSize; ++h)
          for (int64_t w = 0; w < kSize; ++w) {
            const bool finite = std::isfinite(values(*got)[(c * kSize + h) * kSize + w]);
            const int64_t away = std::max(std::abs(h - kAt), std::abs(w - kAt));
            const bool may_differ = away > 1 && away <= reach;
            EXPECT_TRUE(may_differ || finite == (away > 1)) << c << " " << h << " " << w;
          }
    }
  }
}

Network batched() {
  Network network = Network::create("batched");
  const Value x = *network.add_input("x", DataType::kF32, {"N", 8, 6, 6});
  const Value c = *network.add_op("Conv", {x, *network.add_constant("w", filled({8, 8, 3, 3}, 0.1f))},
                                  {{"pads", std::vector<int64_t>{1, 1, 1, 1}}});
  const Value y = *network.add_op("GlobalAveragePool", {*network.add_op("Relu", {c})}, {}, "y");
  EXPECT_TRUE(network.mark_output(y).ok());
  return network;
}

TEST(Batches, I153_TheLargestOfAProfileIsAsRightAsSingleSamples) {
  constexpr int64_t kMost = 96;
  BuildOptions options = quick();
  options.profiles = {{{"x", {{1, 8, 6, 6}, {4, 8, 6, 6}, {kMost, 8, 6, 6}}}}};
  const Network network = batched();
  const auto engine = build(network, options)->engine();
  ASSERT_TRUE(engine.ok());
  Context context = *Context::create(*engine);
  Tensor x = filled({kMost, 8, 6, 6}, 0);
  for (int64_t i = 0; i < x.count(); ++i) values(x)[i] += float(i / 288) * 0.01f;
  ASSERT_TRUE(context.set_input(0, x.data(), x.dims()).ok());
  ASSERT_TRUE(context.run().ok());
  const auto all = context.output(0);
  ASSERT_TRUE(all.ok());
  const std::vector<float> together(values(*all), values(*all) + kMost * 8);
  for (const int64_t n : {int64_t(0), kMost / 2, kMost - 1}) {
    ASSERT_TRUE(context.set_input(0, values(x) + n * 288, {1, 8, 6, 6}).ok());
    ASSERT_TRUE(context.run().ok());
    for (int64_t c = 0; c < 8; ++c)
      EXPECT_NEAR(values(*context.output(0))[c], together[size_t(n * 8 + c)], 1e-5) << n;
  }
}

TEST(Batches, I153_WhatNoMemoryHoldsIsRefusedAndTheNextRunWorks) {
  EngineOptions options;
  options.max_memory_bytes = 1 << 20;
  const auto engine = build(batched(), quick())->engine(options);
  ASSERT_TRUE(engine.ok());
  Context context = *Context::create(*engine);
  const Tensor x = filled({1, 8, 6, 6}, 0);
  const auto with_batch = [&](int64_t batch) {
    if (Status s = context.set_input(0, x.data(), {batch, 8, 6, 6}); !s.ok()) return s;
    return context.run();
  };
  const Status large = with_batch(int64_t(1) << 30);
  EXPECT_EQ(large.code(), Code::kResourceExhausted) << large.to_string();
  EXPECT_THAT(large.message(), testing::HasSubstr("max_memory is 1048576"));
  for (const int64_t batch : {int64_t(1) << 45, int64_t(1) << 61, INT64_MAX}) {
    const Status refused = with_batch(batch);
    EXPECT_FALSE(refused.ok()) << batch;
    EXPECT_TRUE(refused.code() == Code::kResourceExhausted ||
                refused.code() == Code::kInvalidArgument)
        << refused.to_string();
  }
  EXPECT_TRUE(with_batch(1).ok());
}

}  // namespace
}  // namespace planish
