// Comparing an engine with the reference interpreter.
#include "planish/verify.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "bindings.h"
#include "errors.h"
#include "interruptible.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace planish::python {
namespace {

VerifyReport verify_engine(const Network& network, const Engine& engine,
                           const nb::typed<nb::list, nb::object>& inputs, uint64_t seed,
                           std::optional<double> atol, std::optional<double> rtol, bool layers) {
  VerifyOptions options;
  options.seed = seed;
  options.atol = atol;
  options.rtol = rtol;
  options.layers = layers;
  for (size_t i = 0; i < inputs.size(); ++i)
    options.inputs.push_back(input_tensor(engine.inputs().at(i), inputs[i]));
  return take(run_interruptibly(options.cancel, [&] { return verify(network, engine, options); }));
}

}  // namespace

void register_verify(nb::module_& module) {
  nb::class_<VerifyRow>(module, "VerifyRow", "One compared value: where it was farthest off.")
      .def_ro("name", &VerifyRow::name)
      .def_ro("step", &VerifyRow::step, "Kernel of the step that made it.")
      .def_ro("sources", &VerifyRow::sources, "The source nodes that the step came from.")
      .def_ro("count", &VerifyRow::count, "Elements.")
      .def_ro("worst_error", &VerifyRow::worst_error, "Largest |got - expected|.")
      .def_ro("bound", &VerifyRow::bound, "At the element nearest to, or beyond, its bound.")
      .def_ro("ratio", &VerifyRow::ratio, "Largest |got - expected| / bound; above 1 fails.")
      .def_ro("index", &VerifyRow::index, "Of that element, in row-major order.")
      .def_ro("got", &VerifyRow::got)
      .def_ro("expected", &VerifyRow::expected)
      .def_ro("good", &VerifyRow::good)
      .def("__repr__", [](const VerifyRow& row) {
        return nb::str("<{}: {:.3g} of its bound {:.3g}, worst error {:.3g}, {} elements, {}>")
            .format(row.name, row.ratio, row.bound, row.worst_error, row.count,
                    row.good ? "good" : "beyond its bound");
      });
  nb::class_<VerifyReport>(module, "VerifyReport",
                           "Outputs and layers against the reference interpreter. True when good.")
      .def_ro("outputs", &VerifyReport::outputs)
      .def_ro("layers", &VerifyReport::layers, "Values between steps, in execution order.")
      .def_ro("first_drift", &VerifyReport::first_drift,
              "Index into layers of the first that fails; -1: none.")
      .def_ro("good", &VerifyReport::good)
      .def("__bool__", [](const VerifyReport& report) { return report.good; })
      .def("__repr__", [](const VerifyReport& report) {
        nb::list rows;
        for (const VerifyRow& row : report.outputs) rows.append(nb::repr(nb::cast(row)));
        return nb::str("<planish.VerifyReport, {}: {}; {} layers>")
            .format(report.good ? "good" : "not good", nb::str(", ").attr("join")(rows),
                    report.layers.size());
      });
  module.def("verify", verify_engine, "network"_a, "engine"_a, "inputs"_a, "seed"_a, "atol"_a.none(),
             "rtol"_a.none(), "layers"_a);
}

}  // namespace planish::python
