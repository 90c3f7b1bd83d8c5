// Engines: loaded plans.
#include "planish/engine.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.h"
#include "errors.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace planish::python {
namespace {

EngineOptions options_of(const std::string& device, int threads, int64_t max_device_memory) {
  EngineOptions options;
  options.device = device;
  options.threads = threads;
  options.max_device_memory_bytes = max_device_memory;
  return options;
}

Engine load_engine(const std::string& path, const std::string& device, int threads,
                   int64_t max_device_memory) {
  nb::gil_scoped_release release;
  return take(Engine::load(path, options_of(device, threads, max_device_memory)));
}

Engine parse_engine(const nb::bytes& plan, const std::string& device, int threads,
                    int64_t max_device_memory) {
  const char* begin = plan.c_str();
  const size_t size = plan.size();
  nb::gil_scoped_release release;
  return take(Engine::load(begin, size, options_of(device, threads, max_device_memory)));
}

nb::typed<nb::dict, nb::str, int64_t> memory(const Engine& engine,
                                             const std::vector<std::vector<int64_t>>& dims) {
  MemoryReport report;
  {
    nb::gil_scoped_release release;
    report = take(engine.memory(dims.empty() ? engine.example_dims() : dims));
  }
  nb::typed<nb::dict, nb::str, int64_t> out;
  out["weight_bytes"] = report.weight_bytes;
  out["packed_bytes"] = report.packed_bytes;
  out["arena_bytes"] = report.arena_bytes;
  out["sum_bytes"] = report.sum_bytes;
  out["lower_bound_bytes"] = report.lower_bound_bytes;
  return out;
}

// kind, name, isa, threads, available, reason.
using DeviceRow = nb::typed<nb::tuple, nb::str, nb::str, nb::str, int, bool, nb::str>;

nb::typed<nb::list, DeviceRow> device_rows() {
  std::vector<DeviceDesc> found;
  {
    nb::gil_scoped_release release;
    found = devices();
  }
  nb::list out;
  for (const DeviceDesc& one : found)
    out.append(nb::make_tuple(one.kind, one.name, one.isa, one.threads, one.available, one.reason));
  return nb::borrow<nb::typed<nb::list, DeviceRow>>(out);
}

}  // namespace

void register_engine(nb::module_& module) {
  nb::class_<Engine>(module, "Engine")
      .def("inputs", [](const Engine& engine) { return describe(engine.inputs()); })
      .def("outputs", [](const Engine& engine) { return describe(engine.outputs()); })
      .def("step_count", [](const Engine& engine) { return engine.steps().size(); })
      .def("threads", &Engine::threads)
      .def("device", [](const Engine& engine) { return engine.device().kind; })
      .def("metadata", &Engine::metadata)
      .def("example_dims", &Engine::example_dims)
      .def("memory", memory, "dims"_a)
      .def("decisions", &Engine::decisions)
      .def("describe_json", [](const Engine& engine) {
        nb::gil_scoped_release release;
        return take(engine.describe_json());
      });
  module.def("load_engine", load_engine, "path"_a, "device"_a, "threads"_a,
             "max_device_memory_bytes"_a);
  module.def("parse_engine", parse_engine, "plan"_a, "device"_a, "threads"_a,
             "max_device_memory_bytes"_a);
  module.def("is_plan_file", &is_plan_file, "path"_a);
  module.def("devices", device_rows);
  module.def("load_plugin", [](const std::string& path) {
    nb::gil_scoped_release release;
    check(load_plugin(path));
  }, "path"_a);
}

}  // namespace planish::python
