// planish-opt: runs graph passes over a model and prints the result, to see what a pass does.
//
//   planish-opt MODEL [--pass NAME]... [--disable-pass NAME]... [--print-after NAME]...
//               [--stop-after NAME] [--shape INPUT:1x3x224x224]... [--verify] [--compare]
//               [--summary] [--stats]
//
// --compare runs the interpreter on both graphs with random inputs and prints the worst difference of
// every output, relative to its largest element; symbolic dims are taken to be 2.
//
// MODEL is text IR (as ir::print writes it) or an ONNX file by its ending; - reads text from standard
// input. Without --pass the whole pipeline runs. Exit codes: 0 good, 1 usage, 2 bad input, 5 internal.
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <random>

#include "base/text.h"
#include "eval/interpreter.h"
#include "frontend/onnx/onnx_import.h"
#include "opdef/infer.h"
#include "ops/register_ops.h"
#include "passes/pipeline.h"
#include "passes/region.h"

namespace planish {
namespace {

struct Arguments {
  std::string model;
  std::vector<std::string> passes;
  passes::PassOptions options;
  std::map<std::string, std::vector<int64_t>> shapes;
  bool summary = false, stats = false, print = true, compare = false;
};

constexpr const char* kUsage =
    "usage: planish-opt MODEL [--pass NAME]... [--disable-pass NAME]... [--print-after NAME]...\n"
    "                   [--stop-after NAME] [--shape INPUT:1x3x224x224]... [--fp32 exact|fast]\n"
    "                   [--merge-siblings] [--single-root] [--verify] [--compare] [--summary] [--stats]\n";

Result<std::vector<int64_t>> parse_dims(const std::string& text) {
  std::vector<int64_t> dims;
  for (const std::string& part : split(text, 'x')) {
    if (part.empty() || part.size() > 12 ||
        part.find_first_not_of("0123456789") != std::string::npos)
      return invalid_argument(cat("shape '", text, "': expected numbers with x between them"));
    dims.push_back(std::stoll(part));
  }
  return dims;
}

// What a flag's value may be; the flags that name passes share one check.
class Parser {
 public:
  Parser(int argc, char** argv) : argc_(argc), argv_(argv) {}

  Result<Arguments> run() {
    for (at_ = 1; at_ < argc_; ++at_) PLANISH_RETURN_IF_ERROR(take(argv_[at_]));
    if (out_.model.empty()) return invalid_argument("no model is given");
    return std::move(out_);
  }

 private:
  Result<std::string> value(const std::string& flag) {
    if (at_ + 1 >= argc_) return invalid_argument(cat(flag, " needs a value"));
    return std::string(argv_[++at_]);
  }
  Result<std::string> pass_name(const std::string& flag) {
    PLANISH_ASSIGN_OR_RETURN(std::string name, value(flag));
    if ((flag == "--print-after" && name == "all") || passes::find_pass(name)) return name;
    std::vector<std::string_view> names;
    for (const passes::Pass& pass : passes::all_passes()) names.push_back(pass.name);
    return invalid_argument(cat("no pass is named '", name, "'; there are ", join(names)));
  }
  Status take_shape(const std::string& text) {
    const size_t colon = text.rfind(':');
    if (colon == text.npos)
      return invalid_argument(cat("--shape: got '", text, "', expected INPUT:DIMS"));
    PLANISH_ASSIGN_OR_RETURN(out_.shapes[text.substr(0, colon)],
                             parse_dims(text.substr(colon + 1)));
    return ok_status();
  }
  Status take(const std::string& flag) {
    passes::PassOptions& options = out_.options;
    if (flag == "--merge-siblings") {
      options.merge_siblings = true;
    } else if (flag == "--single-root") {
      options.multi_root_regions = false;
    } else if (flag == "--verify") {
      options.verify = true;
    } else if (flag == "--compare") {
      out_.compare = true;
      out_.print = false;
    } else if (flag == "--summary") {
      out_.summary = true;
      out_.print = false;
    } else if (flag == "--stats") {
      out_.stats = true;
    } else if (flag == "-" || flag[0] != '-') {
      if (!out_.model.empty()) return invalid_argument(cat("a second model: '", flag, "'"));
      out_.model = flag;
    } else {
      return take_with_value(flag);
    }
    return ok_status();
  }
  Status take_with_value(const std::string& flag) {
    passes::PassOptions& options = out_.options;
    if (flag == "--shape") {
      PLANISH_ASSIGN_OR_RETURN(std::string text, value(flag));
      return take_shape(text);
    }
    if (flag == "--fp32") {
      PLANISH_ASSIGN_OR_RETURN(std::string mode, value(flag));
      if (mode != "exact" && mode != "fast")
        return invalid_argument(cat("--fp32: got '", mode, "', expected exact or fast"));
      options.fp32_exact = mode == "exact";
      return ok_status();
    }
    if (flag != "--pass" && flag != "--disable-pass" && flag != "--print-after" &&
        flag != "--stop-after")
      return invalid_argument(cat("unknown flag '", flag, "'"));
    PLANISH_ASSIGN_OR_RETURN(std::string name, pass_name(flag));
    if (flag == "--pass") out_.passes.push_back(std::move(name));
    else if (flag == "--disable-pass") options.disabled.insert(std::move(name));
    else if (flag == "--print-after") options.print_after.insert(std::move(name));
    else options.stop_after = std::move(name);
    return ok_status();
  }

  int argc_;
  char** argv_;
  int at_ = 0;
  Arguments out_;
};

Result<std::unique_ptr<ir::Graph>> load(const Arguments& arguments,
                                        const opdef::OpRegistry& registry) {
  const std::string& path = arguments.model;
  if (path.size() > 5 && path.substr(path.size() - 5) == ".onnx") {
    frontend::ImportOptions options;
    options.shapes = arguments.shapes;
    return frontend::import_onnx_file(path, options, registry);
  }
  std::string text;
  if (path == "-") {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    std::ifstream file(path, std::ios::binary);
    if (!file) return not_found(cat(path, ": cannot be read"));
    text.assign(std::istreambuf_iterator<char>(file), {});
  }
  auto graph = ir::parse(text);
  if (!graph.ok()) return graph.status().at(path);
  for (const auto& node : (*graph)->nodes())
    if (const opdef::OpDef* op = registry.find(node->op)) opdef::fill_defaults(*op, node->attrs);
  PLANISH_RETURN_IF_ERROR(opdef::infer_graph(registry, **graph));
  return graph;
}

// Nodes by kind, regions with their body's ops, and how many are left when views, joins and shape
// arithmetic cost nothing.
void print_summary(const ir::Graph& graph) {
  std::map<std::string, int> counts;
  int steps = 0;
  for (const auto& node : graph.nodes()) {
    std::string name = node->op;
    if (node->op == passes::kRegion) {
      std::vector<std::string> inner;
      for (const auto& n : node->attr_graph("body")->nodes()) inner.push_back(n->op);
      name += cat("(", join(inner, " "), ")");
    }
    ++counts[name];
    const bool host = !node->outputs.empty() && node->outputs[0]->content.has_value();
    steps += !host && node->op != "Reshape" && node->op != "Concat";
  }
  for (const auto& [name, count] : counts) std::printf("%6d  %s\n", count, name.c_str());
  std::printf("%6d  nodes, %d without views, joins and shape arithmetic\n", graph.node_count(), steps);
}

std::vector<ir::Tensor> random_inputs(const ir::Graph& graph) {
  std::mt19937 random(1);
  std::uniform_real_distribution<double> real(-1, 1);
  std::vector<ir::Tensor> out;
  for (const ir::Value* v : graph.inputs) {
    std::vector<int64_t> dims;
    for (const ir::Dim& d : v->type.shape)
      dims.push_back(d.evaluate([](std::string_view) -> std::optional<int64_t> { return 2; }).value_or(2));
    ir::Tensor t(v->type.dtype, dims);
    for (int64_t i = 0; i < t.count(); ++i) {
      if (ir::is_float(t.dtype())) t.set_f64(i, real(random));
      else t.set_i64(i, int64_t(random() % 2));
    }
    out.push_back(std::move(t));
  }
  return out;
}

Status compare(const opdef::OpRegistry& registry, const ir::Graph& before, const ir::Graph& after) {
  const std::vector<ir::Tensor> inputs = random_inputs(before);
  PLANISH_ASSIGN_OR_RETURN(auto expected, eval::interpret(registry, before, inputs));
  PLANISH_ASSIGN_OR_RETURN(auto got, eval::interpret(registry, after, inputs));
  for (size_t o = 0; o < got.size(); ++o) {
    double largest = 0, worst = 0;
    bool comparable = got[o].dims() == expected[o].dims();
    for (int64_t i = 0; comparable && i < got[o].count(); ++i) {
      const double difference = std::fabs(got[o].f64(i) - expected[o].f64(i));
      largest = std::max(largest, std::fabs(expected[o].f64(i)));
      if (!(difference <= worst)) worst = difference;
      comparable = !std::isnan(difference);
    }
    std::printf("output %s: %s, worst difference %.3g of %.3g\n", before.outputs[o]->name.c_str(),
                ir::to_string(got[o].type()).c_str(), comparable ? worst : NAN, largest);
    if (!comparable) return internal_error(cat("output ", o, " differs in kind"));
  }
  return ok_status();
}

int report(const Status& status) {
  std::fprintf(stderr, "planish-opt: %s\n", status.to_string().c_str());
  return status.code() == Code::kInternal ? 5 : 2;
}

Status optimize(const Arguments& arguments, ir::Graph& graph, passes::PassContext& context) {
  if (arguments.passes.empty()) return passes::optimize(graph, context);
  for (const std::string& name : arguments.passes) {
    auto changed = passes::run_pass(*passes::find_pass(name), graph, context);
    if (!changed.ok()) return changed.status();
  }
  return ok_status();
}

int run(int argc, char** argv) {
  auto arguments = Parser(argc, argv).run();
  if (!arguments.ok()) {
    std::fprintf(stderr, "planish-opt: %s\n%s", arguments.status().message().c_str(), kUsage);
    return 1;
  }
  opdef::OpRegistry registry;
  ops::register_all_ops(registry);
  auto graph = load(*arguments, registry);
  if (!graph.ok()) return report(graph.status());
  arguments->options.print = [](const std::string& pass, const std::string& text) {
    std::printf("# after %s\n%s", pass.c_str(), text.c_str());
  };
  if (arguments->stats)
    arguments->options.log = [](const std::string& line) {
      std::fprintf(stderr, "%s\n", line.c_str());
    };
  passes::PassContext context(registry, arguments->options);
  const auto before = arguments->compare ? (*graph)->clone() : nullptr;
  if (Status s = optimize(*arguments, **graph, context); !s.ok()) return report(s);
  if (arguments->print) std::fputs(ir::print(**graph).c_str(), stdout);
  if (arguments->summary) print_summary(**graph);
  if (before)
    if (Status s = compare(registry, *before, **graph); !s.ok()) return report(s);
  if (arguments->stats) {
    for (const auto& [pass, stats] : context.stats)
      std::fprintf(stderr, "%10.1f ms  %3lld runs  %s\n", stats.seconds * 1e3,
                   static_cast<long long>(stats.runs), std::string(pass).c_str());
    for (const auto& [rule, times] : context.fired)
      if (times) std::fprintf(stderr, "%8lld  %s\n", static_cast<long long>(times), rule.c_str());
  }
  return 0;
}

}  // namespace
}  // namespace planish

int main(int argc, char** argv) { return planish::run(argc, argv); }
