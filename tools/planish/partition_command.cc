// planish partition: which parts of a TensorFlow graph would become engines, and why not the rest.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "command.h"
#include "planish/partition.h"

namespace planish::cli {
namespace {

struct Options {
  std::string model, report = "text";
  TensorflowOptions choice;
  PartitionOptions partition;
  bool no_cost_gate = false;
};

int partition_command(Options& options) {
  auto frozen = freeze_tensorflow(options.model, options.choice);
  if (!frozen.ok()) return fail(frozen.status());
  for (const auto& [name, tensor] : frozen->outputs) options.partition.fetches.push_back(tensor);
  options.partition.feeds = options.choice.inputs;
  options.partition.cost_gate = !options.no_cost_gate;
  auto result = partition(frozen->graph_def.data(), frozen->graph_def.size(), options.partition);
  if (!result.ok()) return fail(result.status().at(options.model));
  fmt::print("{}", options.report == "csv"    ? result->report_csv
                   : options.report == "json" ? result->report_json
                                              : result->report_text);
  return kGood;
}

}  // namespace

void add_partition(CLI::App& app, int& code) {
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand(
      "partition", "Show which parts of a TensorFlow graph would become engines");
  command.add_option("MODEL", options->model, "SavedModel, GraphDef or checkpoint")->required();
  command.add_option("--signature", options->choice.signature,
                     "Signature of a SavedModel; default: serving_default")
      ->type_name("NAME");
  command.add_option("--tags", options->choice.tags, "Tags of a SavedModel's graph; default: serve")
      ->type_name("TAG,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  const auto repeated = [&](const char* name, std::vector<std::string>& values, const char* type,
                            const char* help) {
    command.add_option(name, values, help)->type_name(type)->allow_extra_args(false);
  };
  repeated("--from-node", options->choice.inputs, "NAME", "Tensor that is given from outside; repeatable");
  repeated("--to-node", options->choice.outputs, "NAME", "Tensor that is wanted; repeatable");
  command.add_option("--min-segment-size", options->partition.minimum_segment_size,
                     "Segments of fewer nodes stay in TensorFlow; default: 3")
      ->check(CLI::Range(1, 1 << 30));
  repeated("--deny-op", options->partition.deny_ops, "OP", "Op that stays in TensorFlow; repeatable");
  repeated("--deny-node", options->partition.deny_nodes, "NAME",
           "Node that stays in TensorFlow; repeatable");
  command.add_option("--max-engines", options->partition.maximum_engines,
                     "Only the N engines that gain most; default: all")
      ->type_name("N")
      ->check(CLI::Range(0, 1 << 30));
  command.add_option("--batch", options->partition.assumed_batch,
                     "Batch for which gains are predicted; default: 1")
      ->type_name("N")
      ->check(CLI::Range(1, 1 << 30));
  command.add_flag("--no-cost-gate", options->no_cost_gate,
                   "Keep segments that gain less than their border costs");
  command.add_option("--report", options->report, "Form of the report: text, csv, json")
      ->type_name("FORM")
      ->check(CLI::IsMember({"text", "csv", "json"}));
  command.callback([options, &code] { code = partition_command(*options); });
}

}  // namespace planish::cli
