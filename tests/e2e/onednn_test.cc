// libplanish_onednn.so through the public API: its kernels serve what ours refuse, the plan names the
// library, and a process that lacks it says so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "planish/planish.h"

namespace planish {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

// A convolution of groups that are no whole blocks of channels: no kernel of ours takes it.
std::string build_grouped(const std::string& path) {
  Network network = Network::create("grouped");
  const Value x = *network.add_input("x", DataType::kF32, {1, 6, 8, 8});
  Tensor weights = *Tensor::create(DataType::kF32, {4, 3, 1, 1});
  for (int i = 0; i < 12; ++i) static_cast<float*>(weights.mutable_data())[i] = float(i % 5);
  const Value w = *network.add_constant("w", weights);
  const Value y = *network.add_op("Conv", {x, w}, {{"group", int64_t(2)}}, "y");
  EXPECT_TRUE(network.mark_output(y).ok());
  BuildOptions options;
  options.deterministic = true;
  options.timing_cache = "";
  const auto plan = build(network, options);
  EXPECT_TRUE(plan.ok()) << plan.status().to_string();
  EXPECT_TRUE(plan->save(path).ok());
  const auto engine = Engine::load(path);
  EXPECT_TRUE(engine.ok()) << engine.status().to_string();
  return engine->steps()[0].kernel + "\n" + *engine->describe_json();
}

// stdout and stderr of the command line, with the libraries of `folder`.
std::string run_planish(const fs::path& folder, const std::string& arguments) {
  const std::string command =
      "LD_LIBRARY_PATH='" + folder.string() + "' '" PLANISH_PROGRAM "' " + arguments + " 2>&1";
  std::string out;
  FILE* pipe = popen(command.c_str(), "r");
  std::array<char, 4096> buffer;
  while (const size_t got = fread(buffer.data(), 1, buffer.size(), pipe)) out.append(buffer.data(), got);
  pclose(pipe);
  return out;
}

TEST(OnednnLibrary, IsNamedByPlansAndMissedWhereAbsent) {
  const fs::path folder = fs::temp_directory_path() / ("planish_onednn_" + std::to_string(getpid()));
  fs::create_directories(folder);
  const std::string plan = (folder / "grouped.plan").string();
  const std::string told = build_grouped(plan);
  EXPECT_THAT(told, HasSubstr("onednn.conv_direct_f32"));
  EXPECT_THAT(told, HasSubstr("\"libplanish_onednn.so "));

  const fs::path libraries = PLANISH_LIBRARIES;
  const std::string whole = run_planish(libraries, "inspect '" + plan + "'");
  EXPECT_THAT(whole, HasSubstr("libplanish_onednn.so"));
  EXPECT_THAT(whole, Not(HasSubstr("onednn: ")));

  for (const auto& entry : fs::directory_iterator(libraries)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("libplanish.so") || name.starts_with("libplanish_runtime.so"))
      fs::copy(entry.path(), folder / name, fs::copy_options::copy_symlinks);
  }
  const std::string lacking = run_planish(folder, "inspect '" + plan + "'");
  EXPECT_THAT(lacking, HasSubstr("the plan needs libplanish_onednn.so for onednn.conv_direct_f32: "
                                 "libplanish_onednn.so is not installed beside"));
  const std::string without =
      run_planish(folder, "inspect examples/digits/digits.onnx --deterministic --timing-cache ''");
  EXPECT_THAT(without, HasSubstr("onednn: libplanish_onednn.so is not installed beside"));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace planish
