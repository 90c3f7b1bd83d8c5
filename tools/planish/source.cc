#include "source.h"

#include <fmt/format.h>

#include <chrono>

#include "arguments.h"
#include "command.h"
#include "files.h"
#include "progress.h"
#include "saved_engines.h"

namespace planish::cli {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

// min, opt and max of every input that one of the three names; what is left out follows the others.
Result<std::optional<Profile>> profile_of(const BuildFlags& flags) {
  Profile profile;
  const auto take = [&](const std::vector<std::string>& texts,
                        std::vector<int64_t> ProfileInput::*member) -> Status {
    for (const std::string& text : texts) {
      auto shape = parse_named_shape(text);
      if (!shape.ok()) return shape.status();
      profile[shape->name].*member = shape->dims;
    }
    return {};
  };
  for (const Status& status :
       {take(flags.min_shapes, &ProfileInput::min), take(flags.opt_shapes, &ProfileInput::opt),
        take(flags.max_shapes, &ProfileInput::max)})
    if (!status.ok()) return status;
  for (auto& [name, shapes] : profile) {
    if (shapes.opt.empty()) shapes.opt = shapes.max.empty() ? shapes.min : shapes.max;
    if (shapes.min.empty()) shapes.min = shapes.opt;
    if (shapes.max.empty()) shapes.max = shapes.opt;
  }
  if (profile.empty()) return std::optional<Profile>();
  return std::optional<Profile>(std::move(profile));
}

Precision precision_of(const std::string& name) {
  return name == "tf32"   ? Precision::kTf32
         : name == "fp16" ? Precision::kFp16
         : name == "bf16" ? Precision::kBf16
                          : Precision::kFp32;
}

Result<EngineOptions> engine_options(const BuildFlags& flags) {
  EngineOptions options;
  options.threads = flags.threads;
  if (flags.max_memory.empty()) return options;
  auto bytes = parse_bytes(flags.max_memory);
  if (!bytes.ok()) return bytes.status();
  options.max_device_memory_bytes = *bytes;
  return options;
}

// A plan runs where it was built for.
Status check_device(const Engine& engine, const BuildFlags& flags) {
  const std::string kind = engine.device().kind;
  if (flags.device.empty() || flags.device.substr(0, flags.device.find(':')) == kind) return {};
  return Status(Code::kIncompatible, fmt::format("the plan was built for device '{}', got --device {}",
                                                 kind, flags.device));
}

}  // namespace

void BuildFlags::add_to(CLI::App& command, const std::string& group) {
  const auto add = [&](CLI::Option* option) { return option->group(group); };
  add(command.add_option("--device", device, "Where it runs: cpu (default), or KIND:INDEX"))
      ->type_name("KIND");
  add(command.add_option("--threads", threads, "CPU threads; 0: all cores"))
      ->type_name("N")
      ->check(CLI::Range(0, 4096));
  add(command.add_option("--shape", shapes,
                         "Fixed shape of an input, NAME:1x3x224x224; repeatable"))
      ->type_name("NAME:DIMS")
      ->allow_extra_args(false);
  add(command.add_option("--min-shape", min_shapes, "Smallest shape of an input that varies"))
      ->type_name("NAME:DIMS")
      ->allow_extra_args(false);
  add(command.add_option("--opt-shape", opt_shapes, "Shape to tune for"))
      ->type_name("NAME:DIMS")
      ->allow_extra_args(false);
  add(command.add_option("--max-shape", max_shapes, "Largest shape; memory is checked for it"))
      ->type_name("NAME:DIMS")
      ->allow_extra_args(false);
  add(command.add_option("--signature", signature,
                         "Signature of a SavedModel; default: serving_default"))
      ->type_name("NAME");
  add(command.add_option("--tags", tags, "Tags of a SavedModel's graph; default: serve"))
      ->type_name("TAG,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  add(command.add_option("--engine", engine,
                         "Engine of a SavedModel that planish.tensorflow converted, or part of its name"))
      ->type_name("NAME");
  add(command.add_option("--checkpoint", checkpoint,
                         "Values of a TensorFlow graph's variables; default: the model's own"))
      ->type_name("PREFIX|FOLDER");
  add(command.add_option("--set", values,
                         "Fix an input of a TensorFlow graph to a number: is_training=0; repeatable"))
      ->type_name("INPUT=NUMBER")
      ->allow_extra_args(false);
  add(command.add_option("--from-node", cut_inputs,
                         "Cut a TensorFlow graph here: NODE or NODE:1 becomes an input; repeatable"))
      ->type_name("NODE")
      ->allow_extra_args(false);
  add(command.add_option("--to-node", cut_outputs,
                         "Node of a TensorFlow graph that becomes an output; repeatable"))
      ->type_name("NODE")
      ->allow_extra_args(false);
  add(command.add_option("--fp32", fp32,
                         "fast allows algorithms that round differently (Winograd)"))
      ->type_name("exact|fast")
      ->check(CLI::IsMember({"exact", "fast"}));
  add(command.add_option("--precision", precision,
                         "What f32 values are computed in; sums stay in f32; default fp32"))
      ->type_name("fp32|tf32|fp16|bf16")
      ->check(CLI::IsMember({"fp32", "tf32", "fp16", "bf16"}));
  add(command.add_option("--io-precision", io_precision,
                         "Type of the network's f32 inputs and outputs; default fp32"))
      ->type_name("fp32|fp16|bf16")
      ->check(CLI::IsMember({"fp32", "fp16", "bf16"}));
  add(command.add_option("--timing-cache", timing_cache,
                         "File of measurements; default: in the user's cache folder; '': none"))
      ->type_name("FILE");
  add(command.add_option("--time-budget", time_budget, "Seconds that measuring, with what it compiles, may take"))
      ->type_name("S")
      ->check(CLI::NonNegativeNumber);
  add(command.add_flag("--deterministic", deterministic,
                       "Measure nothing: the cost model decides"));
  add(command.add_flag("--allow-libraries", allow_libraries,
                       "GPU: kernels of cuBLASLt and cuDNN race ours; the plan then needs them"));
  add(command.add_option("--decisions", decisions, "Take over an earlier build's decisions (JSON)"))
      ->type_name("FILE");
  add(command.add_option("--max-workspace", max_workspace, "Kernels that take more scratch memory are not chosen"))
      ->type_name("BYTES");
  add(command.add_option("--max-memory", max_memory, "Refuse a plan whose weights, packed weights and arena take more, and runs that take "
                         "more of a GPU's memory"))
      ->type_name("BYTES");
  add(command.add_option("--plugin", plugins, "Load a plugin (its code runs); repeatable"))
      ->type_name("FILE")
      ->allow_extra_args(false);
  add(command.add_option("--print-after", print_after,
                         "Print the graph after a pass (all: after each); repeatable"))
      ->type_name("PASS")
      ->allow_extra_args(false);
  add(command.add_option("--disable-pass", disabled_passes, "Leave a pass out; repeatable"))
      ->type_name("PASS")
      ->allow_extra_args(false);
  add(command.add_flag("--packed-plan", packed_plan,
                       "Carry packed weights: a larger plan that loads faster"));
  add(command.add_flag("--quiet", quiet, "No progress on stderr"));
}

Result<BuildOptions> BuildFlags::options() const {
  BuildOptions out;
  if (!device.empty()) out.device = device;
  out.threads = threads;
  for (const std::string& text : shapes) {
    auto shape = parse_named_shape(text);
    if (!shape.ok()) return shape.status();
    out.shapes[shape->name] = shape->dims;
  }
  auto profile = profile_of(*this);
  if (!profile.ok()) return profile.status();
  if (*profile) out.profiles.push_back(std::move(**profile));
  out.fp32 = fp32 == "exact" ? Fp32Mode::kExact : Fp32Mode::kFast;
  out.precision = precision_of(precision);
  out.io_precision = precision_of(io_precision);
  out.timing_cache = timing_cache;
  out.time_budget_s = time_budget;
  out.deterministic = deterministic;
  if (!decisions.empty()) {
    auto text = read_file(decisions, int64_t(256) << 20);
    if (!text.ok()) return text.status();
    out.decisions = std::move(*text);
  }
  for (const auto& [text, bytes] : {std::pair(&max_workspace, &out.max_workspace_bytes),
                                    std::pair(&max_memory, &out.max_memory_bytes)}) {
    if (text->empty()) continue;
    auto parsed = parse_bytes(*text);
    if (!parsed.ok()) return parsed.status();
    *bytes = *parsed;
  }
  out.print_after = print_after;
  out.disabled_passes = disabled_passes;
  out.packed_weights = packed_plan;
  out.allow_libraries = allow_libraries;
  out.cancel = interrupt();
  return out;
}

Result<Network> load_model(const std::string& path, const BuildFlags& flags,
                           const std::map<std::string, std::vector<int64_t>>& input_dims) {
  TensorflowOptions choice;
  choice.signature = flags.signature;
  choice.tags = flags.tags;
  choice.checkpoint = flags.checkpoint;
  for (const std::string& text : flags.values) {
    auto value = parse_named_number(text);
    if (!value.ok()) return value.status();
    choice.values[value->first] = value->second;
  }
  choice.inputs = flags.cut_inputs;
  choice.outputs = flags.cut_outputs;
  auto network = Network::load(path, choice);
  // An input whose shape the model leaves open can only be imported with one.
  const bool has_shapes = !flags.shapes.empty() || !input_dims.empty();
  if (network.ok() || !has_shapes || network.status().code() != Code::kUnsupported) return network;
  ImportOptions options;
  options.shapes = input_dims;
  for (const std::string& text : flags.shapes) {
    auto shape = parse_named_shape(text);
    if (!shape.ok()) return shape.status();
    options.shapes[shape->name] = shape->dims;
  }
  return Network::load(path, choice, options);
}

bool load_plugins(const BuildFlags& flags, int& exit_code) {
  for (const std::string& path : flags.plugins) {
    if (const Status status = load_plugin(path); !status.ok()) {
      exit_code = fail(status);
      return false;
    }
  }
  return true;
}

namespace {

template <class AnyNetwork>
Result<Plan> build_shown(AnyNetwork&& network, BuildOptions options, bool quiet) {
  Progress progress(quiet);
  options.progress = [&](const BuildProgress& state) {
    progress.show(state);
    return !interrupt().cancelled();
  };
  return build(std::forward<AnyNetwork>(network), options);
}

}  // namespace

Result<Plan> build_with_progress(const Network& network, BuildOptions options, bool quiet) {
  return build_shown(network, std::move(options), quiet);
}

Result<Plan> build_with_progress(Network&& network, BuildOptions options, bool quiet) {
  return build_shown(std::move(network), std::move(options), quiet);
}

Opened open_source(const std::string& path, const BuildFlags& flags,
                   const std::vector<std::string>& keep,
                   const std::map<std::string, std::vector<int64_t>>& input_dims) {
  Opened opened;
  const auto refuse = [&](const Status& status) {
    opened.exit_code = fail(status);
    return std::move(opened);
  };
  if (!load_plugins(flags, opened.exit_code)) return opened;
  Source source;
  const auto begin = Clock::now();
  std::string plan_path = path;
  if (!flags.engine.empty() || (flags.signature.empty() && has_saved_engines(path))) {
    auto found = find_saved_engine(path, flags.engine);
    if (!found.ok()) return refuse(found.status());
    plan_path = std::move(*found);
  }
  auto engine_settings = engine_options(flags);
  if (!engine_settings.ok()) {
    opened.exit_code = fail_usage(engine_settings.status().message());
    return opened;
  }
  if (is_plan_file(plan_path)) {
    auto engine = Engine::load(plan_path, *engine_settings);
    if (!engine.ok()) return refuse(engine.status());
    if (const Status status = check_device(*engine, flags); !status.ok())
      return refuse(status.at(plan_path));
    source.engine = std::move(*engine);
    source.load_ms = ms_since(begin);
    opened.source = std::move(source);
    return opened;
  }
  auto options = flags.options();
  if (!options.ok()) {
    opened.exit_code = fail_options(options.status());
    return opened;
  }
  auto network = load_model(path, flags, input_dims);
  if (!network.ok()) return refuse(network.status());
  for (const std::string& name : keep)
    if (const Status status = network->mark_output(name); !status.ok()) return refuse(status);
  for (const auto& [name, dims] : input_dims) options->shapes.emplace(name, dims);
  auto plan = build_with_progress(*network, std::move(*options), flags.quiet);
  if (!plan.ok()) return refuse(plan.status());
  source.build_ms = ms_since(begin);
  const auto built = Clock::now();
  auto engine = plan->engine(*engine_settings);
  if (!engine.ok()) return refuse(engine.status());
  source.load_ms = ms_since(built);
  source.network = std::move(*network);
  source.plan = std::move(*plan);
  source.engine = std::move(*engine);
  opened.source = std::move(source);
  return opened;
}

}  // namespace planish::cli
