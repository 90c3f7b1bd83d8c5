// Networks: models before optimization.
#include "planish/network.h"

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

using Shapes = std::map<std::string, std::vector<int64_t>>;

Network load_network(const std::string& path, const std::string& signature,
                     const std::vector<std::string>& tags, const std::vector<std::string>& inputs,
                     const std::vector<std::string>& outputs, const Shapes& shapes) {
  nb::gil_scoped_release release;
  const TensorflowOptions choice{signature, tags, inputs, outputs, {}, {}};
  auto network = Network::load(path, choice);
  // An input whose shape the model leaves open can only be imported with one.
  if (!network.ok() && !shapes.empty() && network.status().code() == Code::kUnsupported) {
    ImportOptions options;
    options.shapes = shapes;
    network = Network::load(path, choice, options);
  }
  return take(std::move(network));
}

Network parse_onnx(const nb::bytes& data, const std::string& name, const Shapes& shapes) {
  const char* begin = data.c_str();
  const size_t size = data.size();
  nb::gil_scoped_release release;
  ImportOptions options;
  options.name = name;
  options.shapes = shapes;
  return take(Network::load_onnx(begin, size, options));
}

}  // namespace

TensorRows describe(const std::vector<TensorDesc>& all) {
  nb::list out;
  for (const TensorDesc& desc : all) {
    nb::list shape;
    for (const Dim& dim : desc.shape) {
      if (dim.is_symbolic()) {
        shape.append(dim.expression);
      } else {
        shape.append(dim.value);
      }
    }
    out.append(nb::make_tuple(desc.name, std::string(name_of(desc.dtype)), nb::tuple(shape)));
  }
  return nb::borrow<TensorRows>(out);
}

void register_network(nb::module_& module) {
  nb::class_<Network>(module, "Network")
      .def_prop_ro("name", &Network::name)
      .def("inputs", [](const Network& network) { return describe(network.inputs()); })
      .def("outputs", [](const Network& network) { return describe(network.outputs()); });
  module.def("load_network", load_network, "path"_a, "signature"_a, "tags"_a, "inputs"_a, "outputs"_a,
             "shapes"_a);
  module.def("parse_onnx", parse_onnx, "data"_a, "name"_a, "shapes"_a);
}

}  // namespace planish::python
