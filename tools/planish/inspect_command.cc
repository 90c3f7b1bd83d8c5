// planish inspect: what a plan holds, or what would be made of a model.
#include <fmt/format.h>

#include <memory>

#include "command.h"
#include "report.h"
#include "source.h"
#include "text.h"

namespace planish::cli {
namespace {

struct Options {
  std::string source;
  bool json = false, layers = false, graph = false;
  BuildFlags flags;
};

int inspect_command(const Options& options) {
  Opened opened = open_source(options.source, options.flags);
  if (!opened.source) return opened.exit_code;
  auto json = describe(*opened.source->engine);
  if (!json.ok()) return fail(json.status());
  if (options.json) {
    fmt::print("{}\n", json->dump(1, ' ', false, nlohmann::json::error_handler_t::replace));
    return kGood;
  }
  fmt::print("{}\n{}", options.source, summary(*json));
  for (const auto& [kind, reason] : (*json)["absent"].items())
    fmt::print("  {:<9} {}: {}\n", "absent", kind, reason.get<std::string>());
  if (options.graph) {
    fmt::print("\nthe graph before optimization\n{}\n",
               (*json)["graph"].is_string() ? (*json)["graph"].get<std::string>() : "(stripped)");
  }
  if (options.layers) {
    fmt::print("\nsteps, with the kernels that raced\n{}", explanation(*json));
    fmt::print("\nmemory map of the arena\n{}", memory_map(*json));
  } else {
    fmt::print("\n{}", step_table(*json));
  }
  return kGood;
}

}  // namespace

void add_inspect(CLI::App& app, int& code) {
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("inspect", "Show what a plan holds");
  command.add_option("PLAN|MODEL", options->source, "Plan, or model (ONNX, TensorFlow) to build in memory")
      ->required();
  command.add_flag("--json", options->json, "Everything as JSON");
  command.add_flag("--layers", options->layers,
                   "Each step's candidates and refusals, and the memory map");
  command.add_flag("--graph", options->graph, "The graph before optimization, as text");
  options->flags.add_to(command, "Build (of a model)");
  command.callback([options, &code] { code = inspect_command(*options); });
}

}  // namespace planish::cli
