// Builds: from a network to a plan.
#include "planish/build.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/function.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <exception>
#include <future>
#include <utility>

#include "bindings.h"
#include "errors.h"
#include "interruptible.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace planish::python {
namespace {

using ProgressFunction = std::function<bool(std::string, double, std::string)>;
using Ranges = std::map<std::string, std::vector<std::vector<int64_t>>>;

Fp32Mode fp32_mode(const std::string& text) {
  if (text == "fast") return Fp32Mode::kFast;
  if (text == "exact") return Fp32Mode::kExact;
  refuse("fp32: got '" + text + "', expected 'fast' or 'exact'");
}

Precision precision_of(const char* option, const std::string& text) {
  if (text == "fp32") return Precision::kFp32;
  if (text == "tf32") return Precision::kTf32;
  if (text == "fp16") return Precision::kFp16;
  if (text == "bf16") return Precision::kBf16;
  refuse(std::string(option) + ": got '" + text + "', expected 'fp32', 'tf32', 'fp16' or 'bf16'");
}

void set_profile(BuildOptions& options, const Ranges& ranges) {
  options.profiles.clear();
  if (ranges.empty()) return;
  Profile profile;
  for (const auto& [name, three] : ranges) {
    if (three.size() != 3)
      refuse("profile of '" + name + "': got " + std::to_string(three.size()) +
             " shapes, expected min, opt and max");
    profile[name] = {three[0], three[1], three[2]};
  }
  options.profiles.push_back(std::move(profile));
}

// The callback's own exception ends the build and is raised in place of its kCancelled.
Plan build_plan(const Network& network, BuildOptions options,
                std::optional<ProgressFunction> progress) {
  std::exception_ptr raised;
  if (progress) {
    options.progress = [&](const BuildProgress& state) {
      nb::gil_scoped_acquire acquire;
      try {
        return (*progress)(std::string(state.phase), state.fraction, std::string(state.message));
      } catch (...) {
        raised = std::current_exception();
        return false;
      }
    };
  }
  Result<Plan> plan = run_interruptibly(options.cancel, [&] { return build(network, options); });
  if (raised) std::rethrow_exception(raised);
  return take(std::move(plan));
}

Engine engine_of(const Plan& plan, const std::string& device, int threads) {
  nb::gil_scoped_release release;
  EngineOptions options;
  options.device = device;
  options.threads = threads;
  return take(plan.engine(options));
}

}  // namespace

void register_build(nb::module_& module) {
  nb::class_<CancelToken>(module, "CancelToken",
                          "Ends a build or a run from any thread: the call that it was given to "
                          "raises CancelledError soon after cancel().")
      .def(nb::init<>())
      .def("cancel", &CancelToken::cancel)
      .def_prop_ro("cancelled", &CancelToken::cancelled)
      .def("__repr__", [](const CancelToken& token) {
        return std::string("<planish.CancelToken, ") + (token.cancelled() ? "" : "not ") +
               "cancelled>";
      });
  // What comes of it, build() says.
  nb::class_<std::future<Status>>(module, "DeviceOpening");
  module.def("open_device_async", [](const std::string& device) { return open_device_async(device); }, "device"_a);
  nb::class_<BuildOptions>(module, "BuildOptions")
      .def(nb::init<>())
      .def_rw("device", &BuildOptions::device)
      .def_rw("shapes", &BuildOptions::shapes)
      .def("set_profile", set_profile, "ranges"_a)
      .def("set_fp32", [](BuildOptions& o, const std::string& v) { o.fp32 = fp32_mode(v); }, "mode"_a)
      .def("set_precision", [](BuildOptions& o, const std::string& v) {
        o.precision = precision_of("precision", v);
      }, "precision"_a)
      .def("set_io_precision", [](BuildOptions& o, const std::string& v) {
        o.io_precision = precision_of("io_precision", v);
      }, "precision"_a)
      .def_rw("deterministic", &BuildOptions::deterministic)
      .def_rw("time_budget_s", &BuildOptions::time_budget_s, nb::for_setter(nb::arg("value").none()))
      .def_rw("timing_cache", &BuildOptions::timing_cache, nb::for_setter(nb::arg("value").none()))
      .def_rw("decisions", &BuildOptions::decisions)
      .def_rw("max_workspace_bytes", &BuildOptions::max_workspace_bytes)
      .def_rw("max_memory_bytes", &BuildOptions::max_memory_bytes)
      .def_rw("threads", &BuildOptions::threads)
      .def_rw("packed_weights", &BuildOptions::packed_weights)
      .def_rw("allow_libraries", &BuildOptions::allow_libraries)
      .def_rw("disabled_passes", &BuildOptions::disabled_passes)
      .def_rw("cancel", &BuildOptions::cancel);
  nb::class_<Plan>(module, "Plan")
      .def("save", [](const Plan& plan, const std::string& path) {
        nb::gil_scoped_release release;
        check(plan.save(path));
      }, "path"_a)
      .def("to_bytes", [](const Plan& plan) {
        return nb::bytes(reinterpret_cast<const char*>(plan.data()), plan.bytes());
      })
      .def("engine", engine_of, "device"_a, "threads"_a);
  module.def("build", build_plan, "network"_a, "options"_a, "progress"_a.none());
}

}  // namespace planish::python
