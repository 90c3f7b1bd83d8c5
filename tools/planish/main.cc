// planish: the command line. One file per subcommand; this one puts them together.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "command.h"
#include "planish/config.h"

namespace planish::cli {
namespace {

constexpr const char* kDescription =
    "Planish optimizes trained networks and runs them.\n"
    "A model (ONNX) becomes a plan: fused, memory-planned, every kernel chosen by measurement.\n";
constexpr const char* kFooter =
    "\nA size in bytes may carry a unit: 64K, 2.5G. PLANISH_LOG=error|warning|info|debug|trace sets\n"
    "what is logged to stderr.\n"
    "Exit codes: 0 good, 1 usage, 2 bad input, 3 unsupported, 4 verification failed, 5 internal,\n"
    "130 interrupted.";

int run(int argc, char** argv) {
  CLI::App app(kDescription, "planish");
  app.footer(kFooter);
  app.set_version_flag("--version", fmt::format("planish {}", version()));
  app.require_subcommand(1);
  app.option_defaults()->always_capture_default(false);
  int code = kInternalError;
  add_build(app, code);
  add_run(app, code);
  add_bench(app, code);
  add_verify(app, code);
  add_inspect(app, code);
  add_ops(app, code);
  add_partition(app, code);
  catch_interrupts();
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  if (argc > 1 && argv[1][0] != '-' && std::find(names.begin(), names.end(), argv[1]) == names.end())
    return fail_usage(fmt::format("there is no command '{}'; there are {}", argv[1],
                                  fmt::join(names, ", ")));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kGood : kUsage;
  }
  return code;
}

// Ends the process. A GPU's context and gigabytes of weights go back to the system faster without
// anybody's destructors; a sanitizer wants to see them.
[[noreturn]] void leave(int code) {
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  std::exit(code);
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  std::exit(code);
#endif
  std::fflush(nullptr);
  std::_Exit(code);
}

}  // namespace
}  // namespace planish::cli

int main(int argc, char** argv) {
  try {
    planish::cli::leave(planish::cli::run(argc, argv));
  } catch (const std::exception& error) {
    fmt::print(stderr, "planish: internal: unexpected exception: {}\n", error.what());
    return planish::cli::kInternalError;
  }
}
