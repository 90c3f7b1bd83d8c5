// Runs the node cases that extract.py wrote: import, compute, compare with the stored outputs. Each
// case runs three ways: through the interpreter, through the optimized engine (built without
// measuring), and through a plan that was saved and loaded.
//
// A child process works through the cases and reports each on a pipe before and after; when it dies,
// the case it was in is a crash and a new child takes over behind it, so that one bad case costs
// nothing but itself. The manifest names every case: pass with the kernels of its plan,
// refused with its reason, or WRONG.
//
// Usage: run_node_cases FOLDER [--manifest FILE] [--minimum N] [--filter TEXT]
// Exit code: 0 all right, 1 a wrong case, a crash, or fewer than N right, 77 no cases there.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>

#include "backend/cpu/cpu_backend.h"
#include "base/text.h"
#include "compare.h"
#include "compiler/compile.h"
#include "eval/control_kernel.h"
#include "eval/interpreter.h"
#include "eval/reference_kernel.h"
#include "frontend/onnx/onnx_import.h"
#include "opdef/check_problem.h"
#include "ops/register_ops.h"
#include "plan/plan_file.h"
#include "runtime/context.h"

namespace planish::tests {
namespace {

constexpr unsigned kSecondsPerCase = 30;

struct Case {
  std::string name;
  Tolerance tolerance;
  int sets = 0;
};

struct Outcome {
  enum class Kind { kPass, kRefused, kWrong, kCrash } kind = Kind::kPass;
  std::string reason;
};

std::string_view name_of(Outcome::Kind kind) {
  constexpr std::string_view kNames[] = {"pass", "refused", "WRONG", "CRASH"};
  return kNames[size_t(kind)];
}

std::vector<Case> read_index(const std::string& folder, const std::string& filter) {
  std::ifstream file(folder + "/index.txt");
  std::vector<Case> cases;
  Case c;
  while (file >> c.name >> c.tolerance.relative >> c.tolerance.absolute >> c.sets)
    if (c.name.find(filter) != std::string::npos) cases.push_back(c);
  return cases;
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return not_found(path);
  std::stringstream content;
  content << file.rdbuf();
  return content.str();
}

// Tensors prefix_0.pb, prefix_1.pb, ... of a data set.
Result<std::vector<frontend::NamedTensor>> read_tensors(const std::string& prefix) {
  std::vector<frontend::NamedTensor> tensors;
  for (int i = 0;; ++i) {
    const std::string path = cat(prefix, '_', i);
    if (std::ifstream(path + ".other"))
      return unsupported(cat(path, " is not a tensor"));
    auto bytes = read_file(path + ".pb");
    if (!bytes.ok()) return tensors;
    auto tensor = frontend::read_tensor_proto(std::as_bytes(std::span(*bytes)));
    if (!tensor.ok()) return tensor.status().at(path);
    tensors.push_back(std::move(tensor).value());
  }
}

bool has_random(const opdef::OpRegistry& registry, const ir::Graph& graph) {
  for (const auto& node : graph.nodes())
    if (const opdef::OpDef* op = registry.find(node->op); op && op->random) return true;
  return false;
}

bool accumulates(const opdef::OpRegistry& registry, const ir::Graph& graph) {
  if (graph.node_count() != 1) return true;
  const opdef::OpDef* op = registry.find(graph.nodes().front()->op);
  return op && op->kind != opdef::FusionKind::kElementwise &&
         op->kind != opdef::FusionKind::kInjective;
}

// What the child computes with.
struct Machine {
  opdef::OpRegistry ops;
  kernel::KernelRegistry kernels;
  std::shared_ptr<backend::Device> device;
};

Machine& machine() {
  static Machine m;
  return m;
}

// Threads do not survive fork(): the child makes the device.
void start_device() {
  auto backend = cpu::make_cpu_backend();
  backend->register_kernels(machine().kernels);
  machine().kernels.add(eval::make_reference_kernel(machine().ops));
  machine().kernels.add(eval::make_control_kernel(machine().ops));
  machine().device = std::move(backend->device(0, 2)).value();
}

Result<std::shared_ptr<runtime::Engine>> make_engine(plan::Plan plan) {
  runtime::EngineOptions options;
  options.check_problem = [](const kernel::Problem& problem) {
    return opdef::check_problem(machine().ops, problem);
  };
  return runtime::Engine::create(std::move(plan), machine().device, machine().kernels, options);
}

// The engine built now, and the one from the saved plan.
struct Engines {
  std::shared_ptr<runtime::Engine> built, loaded;
  std::string kernels;  // of the steps, in order
};

Result<Engines> build_engines(const ir::Graph& graph) {
  compiler::CompileOptions options;
  options.deterministic = true;
  PLANISH_ASSIGN_OR_RETURN(plan::Plan plan,
                           compiler::compile(graph.clone(), options,
                                             {machine().ops, machine().kernels, *machine().device,
                                              nullptr}));
  Engines engines;
  std::vector<std::string> names;
  for (const plan::Step& step : plan.program.steps) names.push_back(step.kernel);
  engines.kernels = names.empty() ? "no step" : join(names, " ");
  PLANISH_ASSIGN_OR_RETURN(auto bytes, plan::serialize(plan));
  auto kept = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  PLANISH_ASSIGN_OR_RETURN(plan::Plan loaded, plan::read_plan(*kept, kept));
  PLANISH_ASSIGN_OR_RETURN(engines.built, make_engine(std::move(plan)));
  PLANISH_ASSIGN_OR_RETURN(engines.loaded, make_engine(std::move(loaded)));
  return engines;
}

Result<std::vector<ir::Tensor>> run_engine(std::shared_ptr<runtime::Engine> engine,
                                           const std::vector<ir::Tensor>& feeds) {
  PLANISH_ASSIGN_OR_RETURN(auto context, runtime::ExecutionContext::create(engine));
  for (size_t i = 0; i < feeds.size(); ++i)
    PLANISH_RETURN_IF_ERROR(context->set_input(int(i), feeds[i].data(), feeds[i].dims()));
  PLANISH_RETURN_IF_ERROR(context->run());
  std::vector<ir::Tensor> outputs;
  for (size_t i = 0; i < engine->program().outputs.size(); ++i) {
    PLANISH_ASSIGN_OR_RETURN(const ir::Tensor output, context->output(int(i)));
    outputs.push_back(output.clone());
  }
  return outputs;
}

Status run_set(const opdef::OpRegistry& registry, const ir::Graph& graph, const Engines& engines,
               const Case& c, const std::string& folder) {
  PLANISH_ASSIGN_OR_RETURN(auto inputs, read_tensors(folder + "/input"));
  PLANISH_ASSIGN_OR_RETURN(auto expected, read_tensors(folder + "/output"));
  std::vector<ir::Tensor> feeds;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const ir::Value* input = graph.inputs[i];
    auto found = std::find_if(inputs.begin(), inputs.end(),
                              [&](const auto& t) { return t.name == input->name; });
    // Data sets of elsewhere leave their tensors without names.
    if (found == inputs.end() && i < inputs.size() && inputs[i].name.empty())
      found = inputs.begin() + ptrdiff_t(i);
    if (found == inputs.end()) return internal_error(cat("no data for input ", input->name));
    feeds.push_back(found->tensor);
  }
  const bool random = has_random(registry, graph);
  const auto check = [&](std::string_view way,
                         const Result<std::vector<ir::Tensor>>& outputs) -> Status {
    if (!outputs.ok()) return outputs.status().at(way);
    if (outputs->size() != expected.size())
      return Status(Code::kVerificationFailed, cat(way, ": got ", outputs->size(),
                                                   " outputs, expected ", expected.size()));
    for (size_t i = 0; i < outputs->size(); ++i) {
      Tolerance tolerance = c.tolerance;
      tolerance.accumulates = accumulates(registry, graph);
      Status status = compare((*outputs)[i], expected[i].tensor, tolerance);
      if (!status.ok() && random) status = compare_distribution((*outputs)[i], expected[i].tensor);
      if (!status.ok()) return status.at(cat(way, ": output '", graph.outputs[i]->name, "'"));
    }
    return ok_status();
  };
  PLANISH_RETURN_IF_ERROR(check("interpreter", eval::interpret(registry, graph, feeds)));
  PLANISH_RETURN_IF_ERROR(check("engine", run_engine(engines.built, feeds)));
  return check("loaded plan", run_engine(engines.loaded, feeds));
}

Outcome outcome_of(const Status& status, std::string_view phase) {
  if (status.ok()) return {};
  const bool refused = status.code() == Code::kUnsupported || status.code() == Code::kUnimplemented;
  return {refused ? Outcome::Kind::kRefused : Outcome::Kind::kWrong,
          cat(phase, ": ", status.to_string())};
}

Outcome run_case(const opdef::OpRegistry& registry, const Case& c, const std::string& folder) {
  frontend::ImportOptions options;
  options.name = c.name;
  const auto graph = frontend::import_onnx_file(folder + "/model.onnx", options, registry);
  if (!graph.ok()) return outcome_of(graph.status(), "import");
  const auto engines = build_engines(**graph);
  if (!engines.ok()) return {Outcome::Kind::kWrong, cat("build: ", engines.status().to_string())};
  for (int k = 0; k < c.sets; ++k) {
    const Outcome outcome =
        outcome_of(run_set(registry, **graph, *engines, c, cat(folder, "/set_", k)), "run");
    if (outcome.kind != Outcome::Kind::kPass) return outcome;
  }
  return {Outcome::Kind::kPass, engines->kernels};
}

// Child: one line "kind reason" per case. Newlines of reasons become "; ".
[[noreturn]] void work(const opdef::OpRegistry& registry, const std::vector<Case>& cases,
                       size_t first, const std::string& folder, FILE* out) {
  start_device();
  for (size_t i = first; i < cases.size(); ++i) {
    alarm(kSecondsPerCase);
    Outcome outcome;
    try {
      outcome = run_case(registry, cases[i], folder + "/" + cases[i].name);
    } catch (const std::exception& e) {
      outcome = {Outcome::Kind::kCrash, cat("exception: ", e.what())};
    }
    for (size_t at; (at = outcome.reason.find('\n')) != std::string::npos;)
      outcome.reason[at] = ';';
    fprintf(out, "%d %s\n", int(outcome.kind), outcome.reason.c_str());
    fflush(out);
  }
  fclose(out);
  _exit(0);
}

std::vector<Outcome> run_all(const opdef::OpRegistry& registry, const std::vector<Case>& cases,
                             const std::string& folder) {
  std::vector<Outcome> outcomes;
  while (outcomes.size() < cases.size()) {
    int ends[2];
    PLANISH_CHECK(pipe(ends) == 0, "pipe");
    std::cout.flush();
    const pid_t child = fork();
    PLANISH_CHECK(child >= 0, "fork");
    if (child == 0) {
      close(ends[0]);
      work(registry, cases, outcomes.size(), folder, fdopen(ends[1], "w"));
    }
    close(ends[1]);
    FILE* in = fdopen(ends[0], "r");
    char* line = nullptr;
    size_t capacity = 0;
    while (getline(&line, &capacity, in) > 0) {
      std::string_view text(line);
      text.remove_suffix(1);
      outcomes.push_back({Outcome::Kind(text[0] - '0'), std::string(text.substr(2))});
    }
    free(line);
    fclose(in);
    int status = 0;
    waitpid(child, &status, 0);
    if (outcomes.size() == cases.size()) break;
    const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    outcomes.push_back({Outcome::Kind::kCrash,
                        signal == SIGALRM ? cat("no answer within ", kSecondsPerCase, " seconds")
                                          : cat("the process ended by signal ", signal, " (",
                                                strsignal(signal), ")")});
  }
  return outcomes;
}

int run(int argc, char** argv) {
  std::string folder, manifest, filter;
  int64_t minimum = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    const std::string value = i + 1 < argc ? argv[i + 1] : "";
    if (arg == "--manifest") manifest = value, ++i;
    else if (arg == "--filter") filter = value, ++i;
    else if (arg == "--minimum") minimum = std::stoll(value), ++i;
    else folder = arg;
  }
  const std::vector<Case> cases = read_index(folder, filter);
  if (cases.empty()) {
    std::cout << "skipped: no cases in '" << folder << "' (extract.py writes them)\n";
    return 77;
  }
  opdef::OpRegistry& registry = machine().ops;
  ops::register_all_ops(registry);
  const std::vector<Outcome> outcomes = run_all(registry, cases, folder);

  int64_t counts[4] = {};
  std::ofstream file(manifest.empty() ? "/dev/null" : manifest);
  for (size_t i = 0; i < cases.size(); ++i) {
    const Outcome& outcome = outcomes[i];
    ++counts[int(outcome.kind)];
    const std::string line = cat(cases[i].name, ": ", name_of(outcome.kind),
                                 outcome.reason.empty() ? "" : " ", outcome.reason, '\n');
    file << line;
    if (outcome.kind == Outcome::Kind::kWrong || outcome.kind == Outcome::Kind::kCrash)
      std::cout << line;
  }
  std::cout << cases.size() << " cases: " << counts[0] << " right, " << counts[1] << " refused, "
            << counts[2] << " wrong, " << counts[3] << " crashed\n";
  if (counts[0] < minimum)
    std::cout << "fewer right than the minimum of " << minimum << "\n";
  return counts[2] == 0 && counts[3] == 0 && counts[0] >= minimum ? 0 : 1;
}

}  // namespace
}  // namespace planish::tests

int main(int argc, char** argv) { return planish::tests::run(argc, argv); }
