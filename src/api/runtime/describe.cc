// An engine as JSON: what `planish inspect` prints and what scripts read. Field names are stable;
// docs/cli.md lists them.
#include <nlohmann/json.hpp>

#include "api/runtime/engine_impl.h"
#include "base/text.h"

namespace planish::api {
namespace {

using nlohmann::ordered_json;

// Model text may hold any bytes; dump() must not throw on what is no UTF-8.
std::string dump(const ordered_json& json) {
  return json.dump(1, ' ', false, ordered_json::error_handler_t::replace);
}

ordered_json parsed(const std::string& text) {
  if (text.empty()) return nullptr;
  ordered_json json = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  return json.is_discarded() ? ordered_json(text) : json;
}

ordered_json describe_value(const std::string& name, const ir::TensorType& type) {
  ordered_json shape = ordered_json::array();
  for (const ir::Dim& dim : type.shape) {
    if (const auto value = dim.constant()) {
      shape.push_back(*value);
    } else {
      shape.push_back(dim.to_string());
    }
  }
  return {{"name", name}, {"dtype", ir::name_of(type.dtype)}, {"shape", shape}};
}

ordered_json value_names(const plan::Program& program, const std::vector<int>& values) {
  ordered_json names = ordered_json::array();
  for (const int v : values) {
    if (v < 0) {
      names.push_back(nullptr);
    } else {
      names.push_back(program.values[size_t(v)].name);
    }
  }
  return names;
}

ordered_json describe_considered(const plan::Considered& one) {
  ordered_json out{{"kernel", one.kernel}, {"tactic", one.tactic}};
  if (!one.refused.empty()) {
    out["refused"] = one.refused;
    return out;
  }
  out["predicted_us"] = one.predicted_us;
  if (one.measured_us >= 0) out["measured_us"] = one.measured_us;
  return out;
}

ordered_json describe_step(const plan::Program& program, int index, const runtime::Phase& phase) {
  const plan::Step& step = program.steps[size_t(index)];
  ordered_json out{{"index", index},
                   {"kernel", step.kernel},
                   {"tactic", step.tactic.to_string()},
                   {"description", kernel::describe(step.problem)},
                   {"sources", step.sources},
                   {"operands", value_names(program, step.operands)},
                   {"results", value_names(program, step.results)},
                   {"expected_us", step.expected_us},
                   {"reference", step.reference}};
  ordered_json layouts = ordered_json::array();
  for (const int v : step.results)
    layouts.push_back(v < 0 ? "" : ir::to_string(program.values[size_t(v)].type.layout));
  out["result_layouts"] = layouts;
  const int bound = index - phase.first_step;
  if (bound >= 0 && bound < int(phase.steps.size())) {
    out["flops"] = phase.steps[size_t(bound)].flops;
    out["bytes_moved"] = phase.steps[size_t(bound)].bytes_moved;
  }
  for (const plan::Body& body : step.bodies) {
    ordered_json inner = ordered_json::array();
    for (const plan::Step& one : body.program->steps)
      inner.push_back({{"kernel", one.kernel},
                       {"tactic", one.tactic.to_string()},
                       {"description", kernel::describe(one.problem)},
                       {"sources", one.sources},
                       {"expected_us", one.expected_us},
                       {"reference", one.reference}});
    out["bodies"].push_back({{"attribute", body.attribute}, {"steps", inner}});
  }
  if (program.device_kind != "cpu") {
    out["stream"] = step.launch.stream;
    out["waits"] = step.launch.waits;
    out["programmatic"] = step.launch.programmatic;
  }
  if (!step.artifact.empty()) out["artifact_bytes"] = step.artifact.size();
  ordered_json considered = ordered_json::array();
  for (const plan::Considered& one : step.considered) considered.push_back(describe_considered(one));
  out["considered"] = considered;
  return out;
}

ordered_json describe_memory(const runtime::Engine& engine, const runtime::Phase& phase) {
  ordered_json values = ordered_json::array();
  for (const runtime::MemoryUse& use : phase.memory) {
    values.push_back({{"name", use.name},
                      {"bytes", use.bytes},
                      {"first_step", use.first_step},
                      {"last_step", use.last_step},
                      {"offset", use.offset}});
  }
  return {{"values", values},
          {"arena_bytes", phase.arena_bytes},
          {"sum_bytes", phase.sum_bytes},
          {"lower_bound_bytes", phase.lower_bound_bytes},
          {"weight_bytes", engine.weight_bytes()},
          {"packed_bytes", engine.packed_bytes()},
          {"steps_covered", phase.end_step - phase.first_step}};
}

}  // namespace

Result<std::string> describe_json(const runtime::Engine& engine,
                                  const std::vector<std::vector<int64_t>>& input_dims) {
  const plan::Plan& plan = engine.plan();
  const plan::Program& program = plan.program;
  PLANISH_ASSIGN_OR_RETURN(const auto instance, engine.instance(input_dims));
  const runtime::Phase& phase = instance->first_phase();

  ordered_json out;
  out["planish_version"] = plan.planish_version;
  out["device"] = {{"kind", program.device_kind},
                   {"name", program.device_name},
                   {"isa", program.isa},
                   {"threads", program.threads}};
  out["metadata"] = plan.metadata;
  out["options"] = plan.options;
  out["plugins"] = plan.plugins;
  out["libraries"] = plan.libraries;
  out["absent"] = ordered_json::object();
  for (const BackendEntry& entry : backends())
    if (!entry.backend) out["absent"][entry.kind] = entry.reason;
  ordered_json inputs = ordered_json::array(), outputs = ordered_json::array();
  for (size_t i = 0; i < program.inputs.size(); ++i) {
    const plan::ProgramValue& value = program.values[size_t(program.inputs[i])];
    inputs.push_back(describe_value(value.name, value.type));
    inputs.back()["dims"] = input_dims[i];
  }
  for (size_t i = 0; i < program.outputs.size(); ++i) {
    outputs.push_back(describe_value(program.output_names[i],
                                     program.values[size_t(program.outputs[i])].type));
  }
  out["inputs"] = inputs;
  out["outputs"] = outputs;
  ordered_json steps = ordered_json::array(), refused = ordered_json::array();
  for (int i = 0; i < int(program.steps.size()); ++i) {
    steps.push_back(describe_step(program, i, phase));
    for (const plan::Considered& one : program.steps[size_t(i)].considered) {
      if (!one.refused.empty())
        refused.push_back({{"step", i}, {"kernel", one.kernel}, {"reason", one.refused}});
    }
  }
  out["steps"] = steps;
  out["refused"] = refused;
  out["memory"] = describe_memory(engine, phase);
  out["graph"] = plan.graph_text;
  out["report"] = parsed(plan.report);
  out["decisions"] = parsed(plan.decisions);
  return dump(out);
}

}  // namespace planish::api
