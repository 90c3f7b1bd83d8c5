// The extension module: what planish/*.py is made of. Names with an underscore are wrapped there.
#include <nanobind/nanobind.h>
#include <nanobind/stl/function.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "errors.h"
#include "partition.h"
#include "planish/planish.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace planish::python {
namespace {

using Shapes = std::map<std::string, std::vector<int64_t>>;

nb::tuple describe(const TensorDesc& desc) {
  nb::list shape;
  for (const Dim& dim : desc.shape) {
    if (dim.is_symbolic()) shape.append(dim.expression);
    else shape.append(dim.value);
  }
  return nb::make_tuple(desc.name, std::string(name_of(desc.dtype)), nb::tuple(shape));
}
nb::list describe(const std::vector<TensorDesc>& all) {
  nb::list out;
  for (const TensorDesc& one : all) out.append(describe(one));
  return out;
}

Network load_network(const std::string& path, const std::string& signature,
                     const std::vector<std::string>& tags, const std::vector<std::string>& inputs,
                     const std::vector<std::string>& outputs, const Shapes& shapes) {
  nb::gil_scoped_release release;
  TensorflowOptions choice{signature, tags, inputs, outputs};
  ImportOptions options;
  options.shapes = shapes;
  return take(Network::load(path, choice, options));
}

Plan build_plan(const Network& network, const std::string& device, const Shapes& shapes,
                const std::map<std::string, std::vector<std::vector<int64_t>>>& profile,
                const std::string& fp32, bool deterministic, std::optional<double> time_budget,
                std::optional<std::string> timing_cache, int threads,
                std::optional<std::function<bool(std::string, double, std::string)>> progress) {
  BuildOptions options;
  options.device = device;
  options.shapes = shapes;
  for (const auto& [name, three] : profile) {
    if (three.size() != 3)
      throw StatusError(Status(Code::kInvalidArgument,
                               "profile of '" + name + "': expected min, opt and max"));
    if (options.profiles.empty()) options.profiles.emplace_back();
    options.profiles[0][name] = {three[0], three[1], three[2]};
  }
  if (fp32 != "fast" && fp32 != "exact")
    throw StatusError(Status(Code::kInvalidArgument, "fp32: got '" + fp32 + "', expected fast or exact"));
  options.fp32 = fp32 == "exact" ? Fp32Mode::kExact : Fp32Mode::kFast;
  options.deterministic = deterministic;
  options.time_budget_s = time_budget;
  options.timing_cache = timing_cache;
  options.threads = threads;
  if (progress) {
    options.progress = [&](const BuildProgress& state) {
      nb::gil_scoped_acquire acquire;
      return (*progress)(std::string(state.phase), state.fraction, std::string(state.message));
    };
  }
  nb::gil_scoped_release release;
  return take(build(network, options));
}

// Outputs are copies: the context's own memory is used again by its next run.
nb::list run_context(Context& context, const Engine& engine, const std::vector<Array>& inputs) {
  std::vector<Tensor> tensors;
  for (const Array& array : inputs) tensors.push_back(to_tensor(array));
  if (tensors.size() != engine.inputs().size())
    throw StatusError(Status(Code::kInvalidArgument,
                             "got " + std::to_string(tensors.size()) + " inputs, expected " +
                                 std::to_string(engine.inputs().size())));
  std::vector<Tensor> outputs;
  {
    nb::gil_scoped_release release;
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (tensors[i].dtype() != engine.inputs()[i].dtype)
        throw StatusError(Status(Code::kInvalidArgument,
                                 "input '" + engine.inputs()[i].name + "' is " +
                                     std::string(name_of(tensors[i].dtype())) + ", expected " +
                                     std::string(name_of(engine.inputs()[i].dtype))));
      check(context.set_input(int(i), tensors[i].data(), tensors[i].dims()));
    }
    check(context.run());
    for (size_t i = 0; i < engine.outputs().size(); ++i)
      outputs.push_back(copy_of(take(context.output(int(i)))));
  }
  nb::list out;
  for (const Tensor& output : outputs) out.append(to_numpy(output));
  return out;
}

nb::dict verify_engine(const Network& network, const Engine& engine, uint64_t seed,
                       std::optional<double> atol, std::optional<double> rtol, bool layers) {
  VerifyOptions options;
  options.seed = seed;
  options.atol = atol;
  options.rtol = rtol;
  options.layers = layers;
  VerifyReport report;
  {
    nb::gil_scoped_release release;
    report = take(verify(network, engine, options));
  }
  const auto rows = [](const std::vector<VerifyRow>& from) {
    nb::list out;
    for (const VerifyRow& row : from) {
      nb::dict one;
      one["name"] = row.name;
      one["worst_error"] = row.worst_error;
      one["bound"] = row.bound;
      one["ratio"] = row.ratio;
      one["good"] = row.good;
      out.append(one);
    }
    return out;
  };
  nb::dict out;
  out["good"] = report.good;
  out["outputs"] = rows(report.outputs);
  out["layers"] = rows(report.layers);
  return out;
}

}  // namespace

NB_MODULE(_planish, module) {
  register_errors(module);
  register_partition(module);
  nb::class_<Network>(module, "_Network")
      .def("inputs", [](const Network& n) { return describe(n.inputs()); })
      .def("outputs", [](const Network& n) { return describe(n.outputs()); })
      .def("node_count", &Network::node_count)
      .def("weight_bytes", &Network::weight_bytes)
      .def("to_text", &Network::to_text, "full_constants"_a = false);
  nb::class_<Plan>(module, "_Plan")
      .def("save", [](const Plan& plan, const std::string& path) { check(plan.save(path)); })
      .def("report", &Plan::report)
      .def("decisions", &Plan::decisions)
      .def("bytes", [](const Plan& plan) {
        return nb::bytes(reinterpret_cast<const char*>(plan.data()), plan.bytes());
      })
      .def("engine", [](const Plan& plan, int threads) {
        nb::gil_scoped_release release;
        EngineOptions options;
        options.threads = threads;
        return take(plan.engine(options));
      });
  nb::class_<Engine>(module, "_Engine")
      .def("inputs", [](const Engine& e) { return describe(e.inputs()); })
      .def("outputs", [](const Engine& e) { return describe(e.outputs()); })
      .def("step_count", [](const Engine& e) { return e.steps().size(); })
      .def("threads", &Engine::threads)
      .def("device", [](const Engine& e) { return e.device().name; })
      .def("metadata", &Engine::metadata)
      .def("describe_json", [](const Engine& e) { return take(e.describe_json()); });
  nb::class_<Context>(module, "_Context")
      .def_static("create", [](const Engine& engine, int threads) {
        ContextOptions options;
        options.threads = threads;
        return take(Context::create(engine, options));
      })
      .def("run", run_context, "engine"_a, "inputs"_a);
  module.def("load_network", load_network, "path"_a, "signature"_a = "", "tags"_a = nb::list(),
             "inputs"_a = nb::list(), "outputs"_a = nb::list(), "shapes"_a = Shapes());
  module.def("build", build_plan, "network"_a, "device"_a, "shapes"_a, "profile"_a, "fp32"_a,
             "deterministic"_a, "time_budget"_a.none(), "timing_cache"_a.none(), "threads"_a,
             "progress"_a.none());
  module.def("load_engine", [](const std::string& path, int threads) {
    nb::gil_scoped_release release;
    EngineOptions options;
    options.threads = threads;
    return take(Engine::load(path, options));
  });
  module.def("is_plan_file", &is_plan_file);
  module.def("verify", verify_engine, "network"_a, "engine"_a, "seed"_a, "atol"_a.none(),
             "rtol"_a.none(), "layers"_a);
}

}  // namespace planish::python
