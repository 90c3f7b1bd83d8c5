// What every subcommand shares: exit codes, errors on stderr, Ctrl-C.
#pragma once
#include <CLI/CLI.hpp>

#include "planish/host.h"
#include "planish/status.h"

namespace planish::cli {

// Documented in `planish --help` and docs/cli.md.
enum ExitCode {
  kGood = 0,
  kUsage = 1,
  kBadInput = 2,
  kUnsupportedModel = 3,
  kVerificationFailed = 4,
  kInternalError = 5,
  kInterrupted = 130,
};
ExitCode exit_code_of(const Status& status);

// "planish: model.onnx: ..." on stderr; gives the exit code.
int fail(const Status& status);
// A mistake in the command line.
int fail_usage(const std::string& message);
// The same, or bad input where a file that the options name cannot be had.
int fail_options(const Status& status);

// Raised by Ctrl-C (and SIGTERM) once catch_interrupts() was called; a second Ctrl-C ends at once.
const CancelToken& interrupt();
void catch_interrupts();

// Each adds its subcommand and its options to the application; `code` takes the exit code when it
// has run.
void add_build(CLI::App& app, int& code);
void add_run(CLI::App& app, int& code);
void add_bench(CLI::App& app, int& code);
void add_verify(CLI::App& app, int& code);
void add_inspect(CLI::App& app, int& code);
void add_ops(CLI::App& app, int& code);
void add_partition(CLI::App& app, int& code);

}  // namespace planish::cli
