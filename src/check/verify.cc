#include "check/verify.h"

#include <cmath>
#include <limits>
#include <map>

#include "base/text.h"
#include "eval/interpreter.h"
#include "runtime/context.h"

namespace planish::check {
namespace {

constexpr double kModelRoundingFactor = 16;
constexpr double kUnitFactor = 64;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// |a - b|, infinite where the two differ in kind.
double distance(double a, double b) {
  if (std::isnan(a) && std::isnan(b)) return 0;
  if (a == b) return 0;  // infinities of one sign
  const double difference = std::fabs(a - b);
  return std::isnan(difference) ? kInfinity : difference;
}

// Elements as doubles that are exact: 64-bit integers are compared as integers.
bool is_wide_integer(ir::DataType type) {
  return type == ir::DataType::kI64 || type == ir::DataType::kU64;
}

// What Winograd's transforms lose over a plain sum, on the model's rounding and on the unit roundoff
// (docs/decisions/0012).
constexpr double kTransformRoundingFactor = 2;
constexpr double kTransformUnitFactor = 16;

double derived_bound(const ir::Tensor& reference, double rounding, const VerifyOptions& options) {
  double largest = 0;
  for (int64_t i = 0; i < reference.count(); ++i) {
    const double ref = reference.f64(i);
    if (std::isfinite(ref)) largest = std::max(largest, std::fabs(ref));
  }
  const double on_rounding = options.transforms ? kTransformRoundingFactor : 1;
  const double on_unit = options.transforms ? kTransformUnitFactor : 1;
  return options.roundoff_factor *
         std::max(on_rounding * kModelRoundingFactor * rounding,
                  on_unit * kUnitFactor * ir::unit_roundoff(reference.dtype()) * largest);
}

// 0 / 0 is a perfect result; anything over a bound of zero is a failure.
double ratio_of(double error, double bound) {
  if (error == 0) return 0;
  return bound > 0 ? error / bound : kInfinity;
}

using Observed = std::map<std::string, ir::Tensor>;

struct Reference {
  std::vector<ir::Tensor> outputs;
  Observed values;
};

Result<Reference> interpret(const opdef::OpRegistry& registry, const ir::Graph& graph,
                            std::span<const ir::Tensor> inputs, eval::Options eval_options,
                            const std::map<std::string, int>& wanted,
                            const VerifyOptions& options) {
  Reference reference;
  eval_options.cancel = options.cancel;
  if (options.layers) {
    eval_options.observer = [&](const ir::Value& value, const ir::Tensor& tensor) {
      if (wanted.count(value.name)) reference.values[value.name] = tensor;
    };
  }
  PLANISH_ASSIGN_OR_RETURN(reference.outputs,
                           eval::interpret(registry, graph, inputs, eval_options));
  return reference;
}

// splitmix64: a good generator in four lines, the same everywhere.
uint64_t next_random(uint64_t& state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace

double model_rounding(const ir::Tensor& plain, const ir::Tensor& wide) {
  if (plain.dims() != wide.dims()) return 0;
  double rounding = 0;
  for (int64_t i = 0; i < plain.count(); ++i) {
    const double d = distance(plain.f64(i), wide.f64(i));
    if (std::isfinite(d)) rounding = std::max(rounding, d);
  }
  return rounding;
}

Result<Comparison> compare(const std::string& name, const ir::Tensor& got,
                           const ir::Tensor& reference, double rounding,
                           const VerifyOptions& options) {
  if (got.dtype() != reference.dtype()) {
    return invalid_argument(cat("value '", name, "': got ", ir::name_of(got.dtype()),
                                ", expected ", ir::name_of(reference.dtype())));
  }
  Comparison row;
  row.name = name;
  row.count = reference.count();
  if (got.dims() != reference.dims()) {
    row.worst_error = row.ratio = kInfinity;
    row.good = false;
    return row;
  }
  const bool overridden = options.atol || options.rtol;
  const double common = overridden ? 0 : derived_bound(reference, rounding, options);
  const bool exact = is_wide_integer(reference.dtype());
  row.bound = common;
  for (int64_t i = 0; i < reference.count(); ++i) {
    const double a = got.f64(i), b = reference.f64(i);
    double error = distance(a, b);
    if (exact && error == 0 && got.i64(i) != reference.i64(i)) error = 1;
    const double bound =
        overridden ? options.atol.value_or(0) + options.rtol.value_or(0) * std::fabs(b) : common;
    const double ratio = ratio_of(error, bound);
    row.worst_error = std::max(row.worst_error, error);
    if (ratio > row.ratio || i == 0) {
      row.ratio = ratio;
      row.bound = bound;
      row.index = i;
      row.got = a;
      row.expected = b;
    }
    if (!(error <= bound)) row.good = false;
  }
  return row;
}

Result<VerifyResult> verify(const opdef::OpRegistry& registry, const ir::Graph& graph,
                            std::shared_ptr<const runtime::Engine> engine,
                            std::span<const ir::Tensor> inputs,
                            std::span<const ir::Tensor> expected, const VerifyOptions& given) {
  const plan::Program& program = engine->program();
  VerifyOptions options = given;
  options.transforms = engine->rounds_differently();
  if (inputs.size() != program.inputs.size() || inputs.size() != graph.inputs.size()) {
    return invalid_argument(cat("got ", inputs.size(), " inputs, the network has ",
                                graph.inputs.size(), ", the plan ", program.inputs.size()));
  }
  std::map<std::string, int> step_of;  // value name -> step
  for (size_t s = 0; s < program.steps.size(); ++s)
    for (const int v : program.steps[s].results)
      if (v >= 0) step_of.emplace(program.values[size_t(v)].name, int(s));

  eval::Options in_double, with_sums;
  in_double.wide = true;
  with_sums.rounded_sums = true;
  PLANISH_ASSIGN_OR_RETURN(Reference plain,
                           interpret(registry, graph, inputs, {}, step_of, options));
  PLANISH_ASSIGN_OR_RETURN(Reference wide,
                           interpret(registry, graph, inputs, in_double, step_of, options));
  if (plain.outputs.size() != program.outputs.size()) {
    return invalid_argument(cat("the network has ", plain.outputs.size(), " outputs, the plan ",
                                program.outputs.size()));
  }

  VerifyResult result;
  Status layer_status;
  std::map<size_t, ir::Tensor> doubtful;  // layers beyond the bound without rounded sums
  runtime::ContextOptions context_options;
  context_options.threads = options.threads;
  PLANISH_ASSIGN_OR_RETURN(auto context,
                           runtime::ExecutionContext::create(engine, context_options));
  for (size_t i = 0; i < inputs.size(); ++i)
    PLANISH_RETURN_IF_ERROR(context->set_input(int(i), inputs[i].data(), inputs[i].dims()));
  runtime::RunOptions run_options;
  run_options.cancel = options.cancel;
  if (options.layers) {
    run_options.observer = [&](int v, const ir::Tensor& tensor) {
      const std::string& name = program.values[size_t(v)].name;
      const auto reference = plain.values.find(name);
      if (reference == plain.values.end() || !layer_status.ok()) return;
      // The engine's passes may have chosen another type for what lies between outputs.
      if (tensor.dtype() != reference->second.dtype()) return;
      const auto exact = wide.values.find(name);
      const double rounding =
          exact == wide.values.end() ? 0 : model_rounding(reference->second, exact->second);
      auto row = compare(name, tensor, reference->second, rounding, options);
      if (!row.ok()) {
        layer_status = row.status();
        return;
      }
      row->step = step_of.at(name);
      if (!row->good) doubtful[result.layers.size()] = tensor.clone();
      result.layers.push_back(std::move(*row));
    };
  }
  PLANISH_RETURN_IF_ERROR(context->run(run_options));
  PLANISH_RETURN_IF_ERROR(layer_status);

  // How f32 sums round is asked only where it matters: it takes as long as the rest.
  std::optional<Reference> rounded;
  const auto rounding_of_sums = [&]() -> Status {
    if (rounded || options.atol || options.rtol) return ok_status();
    PLANISH_ASSIGN_OR_RETURN(rounded,
                             interpret(registry, graph, inputs, with_sums, step_of, options));
    return ok_status();
  };
  for (const auto& [layer, tensor] : doubtful) {
    PLANISH_RETURN_IF_ERROR(rounding_of_sums());
    Comparison& row = result.layers[layer];
    if (rounded && wide.values.count(row.name) && rounded->values.count(row.name)) {
      const int step = row.step;
      const double rounding =
          model_rounding(rounded->values[row.name], wide.values[row.name]);
      PLANISH_ASSIGN_OR_RETURN(
          row, compare(row.name, tensor, plain.values[row.name], rounding, options));
      row.step = step;
    }
    if (!row.good && result.first_drift < 0) result.first_drift = int(layer);
  }
  for (size_t i = 0; i < program.outputs.size(); ++i) {
    const std::string& name = program.output_names[i];
    PLANISH_ASSIGN_OR_RETURN(const ir::Tensor got, context->output(int(i)));
    double rounding = model_rounding(plain.outputs[i], wide.outputs[i]);
    PLANISH_ASSIGN_OR_RETURN(Comparison row,
                             compare(name, got, plain.outputs[i], rounding, options));
    if (!row.good) {
      PLANISH_RETURN_IF_ERROR(rounding_of_sums());
      if (rounded)
        rounding = std::max(rounding, model_rounding(rounded->outputs[i], wide.outputs[i]));
      PLANISH_ASSIGN_OR_RETURN(row, compare(name, got, plain.outputs[i], rounding, options));
    }
    if (const auto step = step_of.find(name); step != step_of.end()) row.step = step->second;
    result.good &= row.good;
    result.outputs.push_back(std::move(row));
    if (i < expected.size()) {
      PLANISH_ASSIGN_OR_RETURN(Comparison against,
                               compare(name, got, expected[i], rounding, options));
      result.good &= against.good;
      result.expected.push_back(std::move(against));
    }
  }
  return result;
}

std::vector<ir::Tensor> random_inputs(const plan::Program& program,
                                      const std::vector<std::vector<int64_t>>& dims,
                                      uint64_t seed) {
  std::vector<ir::Tensor> inputs;
  uint64_t state = seed;
  for (size_t i = 0; i < program.inputs.size(); ++i) {
    const ir::DataType dtype = program.values[size_t(program.inputs[i])].type.dtype;
    ir::Tensor tensor(dtype, dims[i]);
    const bool real = ir::is_float(dtype);
    for (int64_t k = 0; k < tensor.count(); ++k) {
      const uint64_t random = next_random(state);
      if (real) {
        tensor.set_f64(k, double(int64_t(random) >> 11) * 0x1p-52);
      } else {
        tensor.set_i64(k, int64_t(random >> 63));
      }
    }
    inputs.push_back(std::move(tensor));
  }
  return inputs;
}

}  // namespace planish::check
