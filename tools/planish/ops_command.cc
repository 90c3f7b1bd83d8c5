// planish ops: the operators there are, and what a model has that there is not.
#include <fmt/format.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.h"
#include "planish/network.h"
#include "source.h"
#include "text.h"

namespace planish::cli {
namespace {

struct Options {
  std::string model, name;
  bool json = false;
  std::string signature;
  std::vector<std::string> plugins, tags;
};

void print_json(const std::vector<OpDesc>& ops) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const OpDesc& op : ops) {
    out.push_back({{"name", op.name}, {"doc", op.doc}, {"fusion", op.fusion},
                   {"inputs", op.inputs}, {"outputs", op.outputs},
                   {"attributes", op.attributes}, {"onnx", op.onnx},
                   {"tensorflow", op.tensorflow}});
  }
  fmt::print("{}\n", out.dump(1));
}

int check_model(const std::string& path, const BuildFlags& flags, bool json) {
  auto network = load_model(path, flags);
  if (!network.ok()) return fail(network.status());
  std::map<std::string, int> counts;
  for (const NodeDesc& node : network->nodes()) ++counts[node.op];
  if (json) {
    const nlohmann::ordered_json out{{"model", path}, {"nodes", network->node_count()}, {"ops", counts}};
    fmt::print("{}\n", out.dump(1, ' ', false, nlohmann::json::error_handler_t::replace));
    return kGood;
  }
  Table table({{"op"}, {"nodes", true}});
  for (const auto& [op, count] : counts) table.add({op, std::to_string(count)});
  fmt::print("{}: all {} nodes are supported\n{}", path, network->node_count(), table.to_string());
  return kGood;
}

int ops_command(const Options& options) {
  BuildFlags flags;
  flags.plugins = options.plugins;
  flags.signature = options.signature;
  flags.tags = options.tags;
  int code = kGood;
  if (!load_plugins(flags, code)) return code;
  if (!options.model.empty()) return check_model(options.model, flags, options.json);
  std::vector<OpDesc> ops = known_ops();
  if (!options.name.empty()) {
    std::erase_if(ops, [&](const OpDesc& op) { return op.name != options.name; });
    if (ops.empty())
      return fail(Status(Code::kNotFound, fmt::format("there is no op '{}'", options.name)));
  }
  if (options.json) {
    print_json(ops);
    return kGood;
  }
  if (!options.name.empty()) {
    const OpDesc& op = ops[0];
    fmt::print("{}: {}\n", op.name, op.doc);
    for (const auto& [title, lines] : {std::pair("inputs", &op.inputs),
                                       std::pair("outputs", &op.outputs),
                                       std::pair("attributes", &op.attributes)}) {
      if (lines->empty()) continue;
      fmt::print("  {}\n", title);
      for (const std::string& line : *lines) fmt::print("    {}\n", line);
    }
    fmt::print("  fusion: {}\n  ONNX: {}\n  TensorFlow: {}\n", op.fusion, op.onnx,
               op.tensorflow.empty() ? "none" : op.tensorflow);
    return kGood;
  }
  Table table({{"op"}, {"fusion"}, {"ONNX"}, {"TensorFlow"}});
  for (const OpDesc& op : ops)
    table.add({op.name, op.fusion, shorten(op.onnx, 50), shorten(op.tensorflow, 50)});
  fmt::print("{} operators\n{}", ops.size(), table.to_string());
  return kGood;
}

}  // namespace

void add_ops(CLI::App& app, int& code) {
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("ops", "List the operators, or check a model's");
  CLI::Option* name = command.add_option("NAME", options->name, "Show one operator in full");
  command.add_option("--check", options->model,
                     "List a model's operators and every node that is not supported (exit code 3)")
      ->type_name("MODEL")
      ->excludes(name);
  command.add_option("--signature", options->signature, "Signature of a SavedModel")
      ->type_name("NAME");
  command.add_option("--tags", options->tags, "Tags of a SavedModel's graph")
      ->type_name("TAG,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  command.add_flag("--json", options->json, "The list as JSON");
  command.add_option("--plugin", options->plugins, "Load a plugin first; repeatable")
      ->type_name("FILE")
      ->allow_extra_args(false);
  command.callback([options, &code] { code = ops_command(*options); });
}

}  // namespace planish::cli
