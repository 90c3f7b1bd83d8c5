// The example plugin: built into a network, refused as part of a fused region, saved in a plan and
// run by a program that links the runtime alone.
#include <gtest/gtest.h>

#include <sys/wait.h>

#include <cstdio>
#include <string>

#include "planish/planish.h"

namespace planish {
namespace {

std::string run(const std::string& command, int* status) {
  std::string out;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  for (char buffer[256]; fgets(buffer, sizeof(buffer), pipe);) out += buffer;
  *status = WEXITSTATUS(pclose(pipe));
  return out;
}

// max(distance - 2, 0) over the plugin's operator.
Network make_network() {
  Network network = Network::create("plugin");
  const Value a = *network.add_input("a", DataType::kF32, {"N", 2});
  const Value b = *network.add_input("b", DataType::kF32, {"M", 2});
  auto distance = network.add_op("ExamplePairDistance", {a, b}, {{"scale", 0.5}}, "distance");
  EXPECT_TRUE(distance.ok()) << distance.status().to_string();
  const float two = 2;
  const Value shift = *network.add_constant("two", *Tensor::view(DataType::kF32, {}, &two));
  const Value lower = *network.add_op("Sub", {*distance, shift});
  const Value y = *network.add_op("Relu", {lower}, {}, "y");
  EXPECT_TRUE(network.mark_output(y).ok());
  return network;
}

Plan build_plan() {
  BuildOptions options;
  options.deterministic = true;
  auto plan = build(make_network(), options);
  EXPECT_TRUE(plan.ok()) << plan.status().to_string();
  return *plan;
}

class PluginTest : public testing::Test {
 protected:
  void SetUp() override {
    const Status status = load_plugin(PLANISH_TEST_PLUGIN);
    ASSERT_TRUE(status.ok()) << status.to_string();
  }
};

TEST_F(PluginTest, LoadsOnce) {
  EXPECT_TRUE(load_plugin(PLANISH_TEST_PLUGIN).ok());
  EXPECT_EQ(loaded_plugins(), std::vector<std::string>{"example-pair-distance 1.0"});
}

TEST_F(PluginTest, ShapesStaySymbolicAndMistakesAreNamed) {
  Network network = make_network();
  EXPECT_EQ(to_string(network.outputs()[0]), "f32[N, M]");
  const Value wide = *network.add_input("wide", DataType::kF32, {"N", 3});
  const auto bad = network.add_op("ExamplePairDistance", {*network.find("a"), wide});
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.status().code(), Code::kInvalidArgument);
  EXPECT_NE(bad.status().message().find("rows of a have 2 elements, rows of b 3"),
            std::string::npos)
      << bad.status().message();
}

TEST_F(PluginTest, ItsKernelRunsAndAgreesWithTheReference) {
  const Plan plan = build_plan();
  const auto engine = plan.engine();
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  bool found = false;
  for (const StepDesc& step : engine->steps()) {
    found |= step.kernel == "example.pair_distance";
    EXPECT_FALSE(step.reference) << step.description;
  }
  EXPECT_TRUE(found);
  const auto report = verify(make_network(), *engine, {});
  ASSERT_TRUE(report.ok()) << report.status().to_string();
  EXPECT_TRUE(report->good);
}

TEST_F(PluginTest, TheRefusedEpilogueIsInThePlanWithItsReason) {
  const auto json = build_plan().engine()->describe_json();
  ASSERT_TRUE(json.ok());
  EXPECT_NE(json->find("takes no epilogue"), std::string::npos) << *json;
}

TEST_F(PluginTest, ThePlanNamesThePluginAndRunsInTheRuntimeAlone) {
  const std::string path = testing::TempDir() + "/plugin_test.plan";
  ASSERT_TRUE(build_plan().save(path).ok());
  int status = 0;
  const std::string good =
      run(std::string(PLANISH_TEST_RUNNER) + " " + path + " " + PLANISH_TEST_PLUGIN, &status);
  EXPECT_EQ(status, 0) << good;
  EXPECT_EQ(good, "0 6 0 10.5 2.5 8 \n");
  const std::string refused = run(std::string(PLANISH_TEST_RUNNER) + " " + path, &status);
  EXPECT_EQ(status, int(Code::kIncompatible)) << refused;
  EXPECT_NE(refused.find("needs plugin 'example-pair-distance 1.0'"), std::string::npos) << refused;
  std::remove(path.c_str());
}

TEST(Plugins, WhatIsNoPluginIsRefused) {
  EXPECT_EQ(load_plugin("/nowhere/plugin.so").code(), Code::kNotFound);
  EXPECT_EQ(load_plugin("/etc/passwd").code(), Code::kInvalidArgument);
  EXPECT_EQ(load_plugin("/etc").code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace planish
