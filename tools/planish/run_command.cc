// planish run: inputs from files through a plan or a model, outputs to files or as a summary.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "arrays.h"
#include "command.h"
#include "planish/context.h"
#include "source.h"
#include "text.h"

namespace planish::cli {
namespace {

struct Options {
  std::string source, output_dir;
  std::vector<std::string> inputs, dumps;
  std::string format = "npy";
  BuildFlags flags;
};

// "f32 1x10  min -1.2  max 3.4  mean 0.1  first 0.1 0.2 ...".
std::string summary_of(const Tensor& tensor) {
  double low = INFINITY, high = -INFINITY, sum = 0;
  int64_t nans = 0;
  for (int64_t i = 0; i < tensor.count(); ++i) {
    const double value = tensor.as_double(i);
    if (std::isnan(value)) {
      ++nans;
      continue;
    }
    low = std::min(low, value);
    high = std::max(high, value);
    sum += value;
  }
  std::string out = fmt::format("{} {}", name_of(tensor.dtype()), format_dims(tensor.dims()));
  if (tensor.count() > nans) {
    out += fmt::format("  min {:.6g}  max {:.6g}  mean {:.6g}", low, high,
                       sum / double(tensor.count() - nans));
  }
  if (nans) out += fmt::format("  {} NaN", nans);
  out += "  first";
  for (int64_t i = 0; i < std::min<int64_t>(6, tensor.count()); ++i)
    out += fmt::format(" {:.6g}", tensor.as_double(i));
  return out + (tensor.count() > 6 ? " ..." : "");
}

// A deep copy: what an observer or an output shows lives only for a while.
Tensor copy_of(const Tensor& tensor) {
  auto copy = Tensor::create(tensor.dtype(), tensor.dims());
  if (!copy.ok()) return {};
  std::memcpy(copy->mutable_data(), tensor.data(), size_t(tensor.bytes()));
  return std::move(*copy);
}

int run_command(const Options& options) {
  auto tensors = read_inputs(options.inputs);
  if (!tensors.ok()) return fail(tensors.status());
  std::map<std::string, std::vector<int64_t>> dims;
  for (const auto& [name, tensor] : *tensors)
    if (!name.empty()) dims[name] = tensor.dims();
  Opened opened = open_source(options.source, options.flags, options.dumps, dims);
  if (!opened.source) return opened.exit_code;
  const Engine& engine = *opened.source->engine;
  const auto failed = [&](const Status& status) { return fail(status.at(options.source)); };
  auto inputs = match_inputs(engine.inputs(), *tensors);
  if (!inputs.ok()) return failed(inputs.status());

  ContextOptions context_options;
  context_options.threads = options.flags.threads;
  auto context = Context::create(engine, context_options);
  if (!context.ok()) return failed(context.status());
  for (size_t i = 0; i < inputs->size(); ++i) {
    const Status status =
        context->set_input(int(i), (*inputs)[i].data(), (*inputs)[i].dims());
    if (!status.ok()) return failed(status);
  }
  RunOptions run_options;
  run_options.cancel = interrupt();
  // In a plan, a value can be had when it survived fusion.
  std::vector<NamedTensor> dumped;
  std::vector<std::string> wanted;
  for (const std::string& name : options.dumps)
    if (engine.output_index(name) < 0) wanted.push_back(name);
  if (!wanted.empty()) {
    run_options.observer = [&](std::string_view name, const Tensor& value) {
      if (std::find(wanted.begin(), wanted.end(), name) != wanted.end())
        dumped.push_back({std::string(name), copy_of(value)});
    };
  }
  if (const Status status = context->run(run_options); !status.ok()) return failed(status);
  if (dumped.size() < wanted.size()) {
    for (const std::string& name : wanted) {
      const bool found = std::any_of(dumped.begin(), dumped.end(),
                                     [&](const NamedTensor& one) { return one.name == name; });
      if (!found) {
        return fail(Status(Code::kNotFound,
                           fmt::format("value '{}' is not in the plan (unknown, or fused away); "
                                       "run the model instead of the plan to keep it",
                                       name)));
      }
    }
  }
  std::vector<NamedTensor> outputs;
  for (const TensorDesc& desc : engine.outputs()) {
    auto output = context->output(desc.name);
    if (!output.ok()) return fail(output.status());
    outputs.push_back({desc.name, std::move(*output)});
  }
  outputs.insert(outputs.end(), dumped.begin(), dumped.end());
  if (!options.output_dir.empty()) {
    const auto format = options.format == "pb" ? OutputFormat::kPb : OutputFormat::kNpy;
    const Status status = write_outputs(options.output_dir, outputs, format);
    return status.ok() ? int(kGood) : fail(status);
  }
  for (const NamedTensor& output : outputs)
    fmt::print("{}: {}\n", printable(output.name), summary_of(output.tensor));
  return kGood;
}

}  // namespace

void add_run(CLI::App& app, int& code) {
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("run", "Run a plan or a model on inputs from files");
  command.add_option("PLAN|MODEL", options->source, "Plan, or model (ONNX, TensorFlow) to build in memory")
      ->required();
  command.add_option("--input", options->inputs,
                     "An input: .npy, .pb (ONNX TensorProto), or .npz with all of them; repeatable")
      ->type_name("NAME=FILE")
      ->allow_extra_args(false);
  command.add_option("--output-dir", options->output_dir,
                     "Write each output to DIR/NAME.npy; DIR/manifest.json maps names to files")
      ->type_name("DIR");
  command.add_option("--output-format", options->format, "Format of written outputs")
      ->type_name("npy|pb")
      ->check(CLI::IsMember({"npy", "pb"}));
  command.add_option("--dump", options->dumps,
                     "Also give this value: any of a model, a surviving one of a plan; repeatable")
      ->type_name("VALUE")
      ->allow_extra_args(false);
  options->flags.add_to(command, "Build (of a model)");
  command.callback([options, &code] { code = run_command(*options); });
}

}  // namespace planish::cli
