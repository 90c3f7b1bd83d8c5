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

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// "import 0.05 s, passes 0.12 s"; what takes no time is left out.
std::string phase_text(const std::vector<BuildPhase>& phases) {
  std::string out;
  for (const BuildPhase& phase : phases)
    if (phase.seconds >= 0.0005)
      out += fmt::format("{}{} {:.3f} s", out.empty() ? "" : ", ", phase.name, phase.seconds);
  return out;
}

int build_command(const Options& options) {
  const auto begin = Clock::now();
  int code = kGood;
  if (!load_plugins(options.flags, code)) return code;
  auto build_options = options.flags.options();
  if (!build_options.ok()) return fail_options(build_options.status());
  // Said before minutes are spent.
  for (const std::string& path : {options.output, options.json})
    if (const Status status = check_writable(path); !status.ok()) return fail(status);
  // A GPU starts while the model is read; whether it is there, build() says.
  const std::future<Status> opened = open_device_async(build_options->device);
  auto network = load_model(options.model, options.flags);
  if (!network.ok()) return fail(network.status());
  const double imported = seconds_since(begin);
  auto plan = build_with_progress(std::move(*network), std::move(*build_options), options.flags.quiet);
  if (!plan.ok()) return fail(plan.status().at(options.model));
  if (interrupt().cancelled()) return fail(Status(Code::kCancelled, "interrupted"));
  // The report looks at an engine, which is made while the disk is busy.
  auto reported = std::async(std::launch::async, [&]() -> Result<nlohmann::json> {
    auto engine = plan->engine();
    if (!engine.ok()) return engine.status().at(options.output);
    return describe(*engine);
  });
  const auto built = Clock::now();
  const Status saved = plan->save(options.output);
  const double seconds = seconds_since(begin);
  std::vector<BuildPhase> phases = plan->phases();
  phases.insert(phases.begin(), {"import", imported});
  phases.push_back({"write", seconds_since(built)});
  const auto written = Clock::now();
  auto report = reported.get();
  if (!saved.ok()) return fail(saved);
  if (!report.ok()) return fail(report.status());
  phases.push_back({"report", seconds_since(written)});
  (*report)["build_seconds"] = seconds;
  (*report)["build_phases"] = nlohmann::json::array();
  for (const BuildPhase& phase : phases)
    (*report)["build_phases"].push_back({{"phase", phase.name}, {"seconds", phase.seconds}});
  (*report)["plan_bytes"] = plan->bytes();
  if (options.json != "-") {
    fmt::print("{} -> {} ({}, built in {:.2f} s)\n", options.model, options.output,
               format_bytes(int64_t(plan->bytes())), seconds);
    fmt::print("{}", summary(*report));
    if (options.explain) fmt::print("  {:<9} {}\n", "built in", phase_text(phases));
    fmt::print("\n{}", options.explain ? explanation(*report) : step_table(*report));
  }
  if (!options.json.empty()) {
    const std::string text =
        report->dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
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
                   "For each step the kernels that raced, and why others were refused; where the build's "
                   "time went");
  command.add_option("--json", options->json, "Write the report as JSON; -: to standard output")
      ->type_name("FILE");
  options->flags.add_to(command, "Build");
  command.callback([options, &code] { code = build_command(*options); });
}

}  // namespace planish::cli
