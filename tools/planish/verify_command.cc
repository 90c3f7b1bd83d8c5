// planish verify: engine against reference interpreter, value by value.
#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "arrays.h"
#include "command.h"
#include "files.h"
#include "planish/verify.h"
#include "source.h"
#include "text.h"

namespace planish::cli {
namespace {

struct Options {
  std::string model, plan, json;
  std::vector<std::string> inputs;
  std::optional<double> atol, rtol;
  uint64_t seed = 1;
  bool layers = false;
  BuildFlags flags;
};

// What --inputs names: a test_data_set folder, a folder of NAME.npy, an .npz, or NAME=FILE.
struct Given {
  std::vector<Tensor> inputs, expected;
};
Result<Given> read_given(const std::vector<std::string>& texts, const Engine& engine) {
  Given given;
  if (texts.empty()) return given;
  std::error_code error;
  std::map<std::string, Tensor> tensors;
  if (texts.size() == 1 && std::filesystem::is_directory(texts[0], error)) {
    if (std::filesystem::exists(texts[0] + "/input_0.pb", error) ||
        std::filesystem::exists(texts[0] + "/output_0.pb", error)) {
      auto data = read_test_data(texts[0]);
      if (!data.ok()) return data.status();
      if (data->inputs.size() != engine.inputs().size()) {
        return Status(Code::kInvalidArgument,
                      fmt::format("{}: holds {} inputs, the network has {}", texts[0],
                                  data->inputs.size(), engine.inputs().size()));
      }
      for (NamedTensor& one : data->inputs) given.inputs.push_back(std::move(one.tensor));
      for (NamedTensor& one : data->outputs) given.expected.push_back(std::move(one.tensor));
      return given;
    }
    if (std::filesystem::exists(texts[0] + "/test_data_set_0", error)) {
      return Status(Code::kInvalidArgument,
                    fmt::format("{}: holds test_data_set folders, expected one of them: {}/test_data_set_0",
                                texts[0], texts[0]));
    }
    // NAME.npy as run --output-dir writes them.
    std::vector<std::string> taken;
    for (const TensorDesc& input : engine.inputs()) {
      const std::string path =
          fmt::format("{}/{}.npy", texts[0], file_name_for(input.name, taken));
      auto read = read_tensors(path);
      if (!read.ok()) return read.status();
      tensors[input.name] = std::move((*read)[0].tensor);
    }
  } else {
    auto read = read_inputs(texts);
    if (!read.ok()) return read.status();
    tensors = std::move(*read);
  }
  auto matched = match_inputs(engine.inputs(), tensors);
  if (!matched.ok()) return matched.status();
  given.inputs = std::move(*matched);
  return given;
}

std::string ratio_text(double ratio) {
  return std::isfinite(ratio) ? fmt::format("{:.3f}", ratio) : "inf";
}

std::string rows_text(const std::vector<VerifyRow>& rows, bool with_kernel) {
  std::vector<Table::Column> columns = {{"value"},        {"elements", true}, {"worst error", true},
                                        {"bound", true},  {"of bound", true}, {""}};
  if (with_kernel) columns.insert(columns.begin() + 1, {"kernel"});
  Table table(std::move(columns));
  for (const VerifyRow& row : rows) {
    std::vector<std::string> cells = {shorten(printable(row.name), 48), std::to_string(row.count),
                                      fmt::format("{:.3g}", row.worst_error),
                                      fmt::format("{:.3g}", row.bound), ratio_text(row.ratio),
                                      row.good ? "ok" : "FAILED"};
    if (with_kernel) cells.insert(cells.begin() + 1, row.step);
    table.add(std::move(cells));
  }
  return table.to_string();
}

std::string where(const VerifyRow& row) {
  return fmt::format("element {}: got {:.9g}, expected {:.9g}, bound {:.3g}", row.index, row.got,
                     row.expected, row.bound);
}

nlohmann::ordered_json to_json(const std::vector<VerifyRow>& rows) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  // JSON has no infinity: it becomes null.
  for (const VerifyRow& row : rows) {
    out.push_back({{"name", row.name}, {"kernel", row.step}, {"sources", row.sources},
                   {"count", row.count}, {"worst_error", row.worst_error}, {"bound", row.bound},
                   {"ratio", row.ratio}, {"index", row.index}, {"got", row.got},
                   {"expected", row.expected}, {"good", row.good}});
  }
  return out;
}

int print_report(const VerifyReport& report, const Options& options) {
  if (options.json != "-") {
    fmt::print("outputs against the reference interpreter\n{}", rows_text(report.outputs, false));
    if (!report.expected.empty())
      fmt::print("outputs against the given ones\n{}", rows_text(report.expected, false));
    if (options.layers && !report.layers.empty())
      fmt::print("values between the steps\n{}", rows_text(report.layers, true));
    double worst = 0;
    int failing = 0;
    for (const VerifyRow& row : report.layers) {
      worst = std::max(worst, row.ratio);
      failing += !row.good;
    }
    fmt::print("layers: {} compared, worst {} of its bound, {} beyond\n", report.layers.size(),
               ratio_text(worst), failing);
    if (report.first_drift >= 0) {
      const VerifyRow& row = report.layers[size_t(report.first_drift)];
      fmt::print("first layer that drifts: {} ({}), from {}\n  {}\n", printable(row.name), row.step,
                 printable(fmt::format("{}", fmt::join(row.sources, " + "))), where(row));
    }
    for (const auto* rows : {&report.outputs, &report.expected}) {
      for (const VerifyRow& row : *rows)
        if (!row.good) fmt::print("output {}: {}\n", printable(row.name), where(row));
    }
    fmt::print("{}\n", report.good ? "verified: all outputs within their bounds"
                                   : "VERIFICATION FAILED");
  }
  if (!options.json.empty()) {
    const nlohmann::ordered_json out{{"good", report.good},
                                     {"first_drift", report.first_drift},
                                     {"outputs", to_json(report.outputs)},
                                     {"expected", to_json(report.expected)},
                                     {"layers", to_json(report.layers)}};
    const std::string text =
        out.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
    if (const Status saved = write_file(options.json, text); !saved.ok()) return fail(saved);
  }
  return report.good ? kGood : kVerificationFailed;
}

int verify_command(const Options& options) {
  const std::string& path = options.plan.empty() ? options.model : options.plan;
  auto network = load_model(options.model, options.flags);
  if (!network.ok()) return fail(network.status());
  Opened opened = open_source(path, options.flags);
  if (!opened.source) return opened.exit_code;
  const Engine& engine = *opened.source->engine;
  auto given = read_given(options.inputs, engine);
  if (!given.ok()) return fail(given.status());
  VerifyOptions verify_options;
  verify_options.inputs = std::move(given->inputs);
  verify_options.expected = std::move(given->expected);
  verify_options.seed = options.seed;
  verify_options.atol = options.atol;
  verify_options.rtol = options.rtol;
  verify_options.cancel = interrupt();
  auto report = verify(*network, engine, verify_options);
  if (!report.ok()) return fail(report.status());
  return print_report(*report, options);
}

}  // namespace

void add_verify(CLI::App& app, int& code) {
  auto options = std::make_shared<Options>();
  CLI::App& command =
      *app.add_subcommand("verify", "Compare a plan with the reference interpreter");
  command.add_option("MODEL", options->model, "ONNX file, or TensorFlow SavedModel, GraphDef or "
                     "checkpoint")->required();
  command.add_option("--plan", options->plan, "Plan built from it; default: built in memory")
      ->type_name("PLAN");
  command.add_option("--inputs", options->inputs,
                     "A test_data_set folder (outputs are compared too), a folder of NAME.npy, an "
                     ".npz, or NAME=FILE; default: random inputs")
      ->type_name("D")
      ->allow_extra_args(false);
  command.add_option("--seed", options->seed, "Seed of random inputs")->type_name("N");
  command.add_option("--atol", options->atol, "Absolute tolerance, in place of the derived bound")
      ->type_name("X")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--rtol", options->rtol, "Relative tolerance, in place of the derived bound")
      ->type_name("X")
      ->check(CLI::NonNegativeNumber);
  command.add_flag("--layers", options->layers, "Print every compared value");
  command.add_option("--json", options->json, "Write the comparison as JSON; -: to standard output")
      ->type_name("FILE");
  options->flags.add_to(command, "Build (when there is no plan)");
  command.callback([options, &code] { code = verify_command(*options); });
}

}  // namespace planish::cli
