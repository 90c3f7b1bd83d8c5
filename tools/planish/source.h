// PLAN|MODEL: a plan is loaded, a model is built in memory with the same options as `planish build`.
#pragma once
#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "planish/build.h"
#include "planish/engine.h"
#include "planish/network.h"
#include "planish/status.h"

namespace planish::cli {

// The options of a build, as they stand on the command line.
struct BuildFlags {
  std::string device;  // empty: a plan's own, the CPU for a model
  std::string signature;                       // of a SavedModel
  std::string checkpoint;                      // of a TensorFlow graph
  std::vector<std::string> values;             // "name=1", of a TensorFlow graph
  std::vector<std::string> tags;
  std::string engine;                          // of a SavedModel that planish.tensorflow converted
  std::vector<std::string> cut_inputs, cut_outputs;  // of a TensorFlow graph
  int threads = 0;
  std::vector<std::string> shapes, min_shapes, opt_shapes, max_shapes;
  std::string fp32 = "fast";
  std::string precision = "fp32", io_precision = "fp32";
  std::optional<std::string> timing_cache;
  std::optional<double> time_budget;
  bool deterministic = false, allow_libraries = false;
  std::string decisions;  // a file
  std::string max_workspace, max_memory;
  std::vector<std::string> plugins;
  std::vector<std::string> print_after, disabled_passes;
  bool packed_plan = false;
  bool quiet = false;

  // `group` heads them in --help.
  void add_to(CLI::App& command, const std::string& group);
  // kInvalidArgument: a mistake in the command line.
  Result<BuildOptions> options() const;
};

struct Source {
  std::optional<Network> network;  // of a model
  std::optional<Plan> plan;        // built from it
  std::optional<Engine> engine;
  double build_ms = 0;             // of a model
  double load_ms = 0;              // plan bytes to engine
};

// A usage mistake, to be told from a bad model.
struct Opened {
  std::optional<Source> source;
  int exit_code = 0;  // set, with the error printed, when there is no source
};

// Reads a model of any format with what the flags say about it. `input_dims`: shapes that inputs will
// have, for those that the model leaves open.
Result<Network> load_model(const std::string& path, const BuildFlags& flags,
                           const std::map<std::string, std::vector<int64_t>>& input_dims = {});

// `keep`: values of a model to be outputs besides its own. `input_dims`: shapes that inputs will
// have, which fix symbolic dims of a model.
Opened open_source(const std::string& path, const BuildFlags& flags,
                   const std::vector<std::string>& keep = {},
                   const std::map<std::string, std::vector<int64_t>>& input_dims = {});

// Builds a loaded network with progress on stderr. An rvalue is consumed.
Result<Plan> build_with_progress(const Network& network, BuildOptions options, bool quiet);
Result<Plan> build_with_progress(Network&& network, BuildOptions options, bool quiet);
// False with the error printed.
bool load_plugins(const BuildFlags& flags, int& exit_code);

}  // namespace planish::cli
