// planish build: from a model to a plan file and a report.
#include <fmt/format.h>

#include <chrono>
#include <future>
#include <memory>

#include "command.h"
#include "files.h"
#include "report.h"
#include "source.h"
#include "text.h"

namespace planish::cli {
namespace {

struct Options {
  std::string model, output, json;
  BuildFlags flags;
  bool explain = false;
};

int build_command(const Options& options) {
  const auto begin = std::chrono::steady_clock::now();
  int code = kGood;
  if (!load_plugins(options.flags, code)) return code;
  auto build_options = options.flags.options();
  if (!build_options.ok()) return fail_options(build_options.status());
  // Said before minutes are spent.
  for (const std::string& path : {options.output, options.json})
    if (const Status status = check_writable(path); !status.ok()) return fail(status);
  auto network = load_model(options.model, options.flags);
  if (!network.ok()) return fail(network.status());
  auto plan = build_with_progress(std::move(*network), std::move(*build_options), options.flags.quiet);
  if (!plan.ok()) return fail(plan.status().at(options.model));
  if (interrupt().cancelled()) return fail(Status(Code::kCancelled, "interrupted"));
  // The report looks at an engine, which is made while the disk is busy.
  auto made = std::async(std::launch::async, [&plan] { return plan->engine(); });
  const Status saved = plan->save(options.output);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  auto engine = made.get();
  if (!saved.ok()) return fail(saved);
  if (!engine.ok()) return fail(engine.status().at(options.output));
  auto json = describe(*engine);
  if (!json.ok()) return fail(json.status());
  (*json)["build_seconds"] = seconds;
  (*json)["plan_bytes"] = plan->bytes();
  if (options.json != "-") {
    fmt::print("{} -> {} ({}, built in {:.2f} s)\n", options.model, options.output,
               format_bytes(int64_t(plan->bytes())), seconds);
    fmt::print("{}", summary(*json));
    fmt::print("\n{}", options.explain ? explanation(*json) : step_table(*json));
  }
  if (!options.json.empty()) {
    const std::string text =
        json->dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    if (const Status saved = write_file(options.json, text); !saved.ok()) return fail(saved);
  }
  return kGood;
}

}  // namespace

void add_build(CLI::App& app, int& code) {
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("build", "Build a plan from a model and report on it");
  command.add_option("MODEL", options->model, "ONNX file, or TensorFlow SavedModel, GraphDef or "
                     "checkpoint")
      ->required();
  command.add_option("-o,--output", options->output, "Plan file to write")
      ->required()
      ->type_name("PLAN");
  command.add_flag("--explain", options->explain,
                   "For each step the kernels that raced, and why others were refused");
  command.add_option("--json", options->json, "Write the report as JSON; -: to standard output")
      ->type_name("FILE");
  options->flags.add_to(command, "Build");
  command.callback([options, &code] { code = build_command(*options); });
}

}  // namespace planish::cli
