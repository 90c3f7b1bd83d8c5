// The C API of engine sets over the C++ API.
#include <fstream>
#include <nlohmann/json.hpp>

#include "api/build/shape_range.h"
#include "api/runtime/c_support.h"
#include "base/text.h"
#include "planish/c/engine_set.h"
#include "planish/engine_set.h"

namespace api = planish::api;
namespace v1 = planish::v1;

struct planish_engine_set {
  v1::EngineSet set;
  v1::EngineOptions engine;
  std::vector<std::string> inputs, outputs;
};
struct planish_engine_records {
  std::vector<v1::EngineRecord> records;
  std::vector<std::string> shapes;
};

namespace {

using Json = nlohmann::json;
using v1::Code;
using v1::Status;

Status bad_option(const std::string& name, const Json& got, const char* expected) {
  return Status(Code::kInvalidArgument,
                planish::cat("build option ", name, ": got ", got.dump(), ", expected ", expected));
}

// Options that have no field of their own, and hosts pass through.
Status take_build_options(const char* text, v1::BuildOptions& options) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object())
    return Status(Code::kInvalidArgument, planish::cat("build options: no JSON object: ", text));
  for (const auto& [name, value] : json.items()) {
    if (name == "precision") {
      if (value == "fp32") options.precision = v1::Precision::kFp32;
      else if (value == "fp16") options.precision = v1::Precision::kFp16;
      else if (value == "bf16") options.precision = v1::Precision::kBf16;
      else return bad_option(name, value, "fp32, fp16 or bf16");
    } else if (name == "fp32") {
      if (value == "fast") options.fp32 = v1::Fp32Mode::kFast;
      else if (value == "exact") options.fp32 = v1::Fp32Mode::kExact;
      else return bad_option(name, value, "fast or exact");
    } else if (name == "deterministic") {
      if (!value.is_boolean()) return bad_option(name, value, "true or false");
      options.deterministic = value;
    } else if (name == "time_budget_s") {
      if (!value.is_number()) return bad_option(name, value, "a number of seconds");
      options.time_budget_s = value.get<double>();
    } else if (name == "timing_cache") {
      if (!value.is_string()) return bad_option(name, value, "a path, or an empty text for none");
      options.timing_cache = value.get<std::string>();
    } else {
      return Status(Code::kInvalidArgument, planish::cat("there is no build option '", name, "'"));
    }
  }
  return {};
}

std::vector<std::string> texts(const char* const* from, int count) {
  return std::vector<std::string>(from, from + count);
}

// Gives a GraphDef back when the network has been read from it.
struct Borrowed {
  const planish_graph_source& source;
  const void* data = nullptr;
  size_t bytes = 0;
  bool held = false;

  explicit Borrowed(const planish_graph_source& from) : source(from) {
    held = source.get(source.user, &data, &bytes) == 0;
  }
  ~Borrowed() {
    if (held && source.release) source.release(source.user);
  }
};

v1::EngineSet::Source source_of(const planish_engine_set& set, const planish_graph_source* from) {
  if (!from || !from->get) return nullptr;
  return [&set, from](const std::map<std::string, std::vector<int64_t>>& shapes)
             -> v1::Result<v1::Network> {
    const Borrowed graph(*from);
    if (!graph.held) return Status(Code::kNotFound, "the host has no graph to build from");
    v1::ImportOptions options;
    options.name = "segment";
    options.shapes = shapes;
    // The bytes are in memory already: the host has accepted their size.
    options.limits.max_file_bytes = int64_t(graph.bytes) + 1;
    return v1::Network::load_tensorflow(graph.data, graph.bytes,
                                        {"", {}, set.inputs, set.outputs, {}, {}}, options);
  };
}

Status add(planish_engine_set* set, const v1::Result<v1::Engine>& engine) {
  return engine.ok() ? set->set.add(*engine) : engine.status();
}

}  // namespace

extern "C" {

void planish_engine_set_options_init(planish_engine_set_options* options) {
  if (!options) return;
  const v1::EngineSetOptions defaults;
  *options = {};
  options->struct_size = sizeof(*options);
  options->max_engines = defaults.max_engines;
  options->max_bytes = defaults.max_bytes;
  options->allow_build = defaults.allow_build;
  options->share_batches = defaults.share_batches;
}

planish_code planish_engine_set_create(const planish_engine_set_options* options,
                                       planish_engine_set** set) {
  return api::c_call([&]() -> Status {
    if (!options) return api::null_argument("options");
    if (!set) return api::null_argument("set");
    if (!PLANISH_C_HAS(options, build))
      return Status(Code::kInvalidArgument,
                    "engine set options: use planish_engine_set_options_init first");
    if (options->input_count < 0 || (options->input_count && !options->inputs))
      return api::null_argument("options->inputs");
    if (options->output_count < 1 || !options->outputs)
      return api::null_argument("options->outputs");
    v1::EngineSetOptions inner;
    inner.inputs = texts(options->inputs, options->input_count);
    inner.max_engines = options->max_engines;
    inner.max_bytes = options->max_bytes;
    inner.allow_build = options->allow_build != 0;
    inner.share_batches = options->share_batches != 0;
    inner.build.threads = inner.engine.threads = options->threads;
    inner.build.max_workspace_bytes = options->max_workspace_bytes;
    if (options->build) {
      PLANISH_API_RETURN_IF_ERROR(take_build_options(options->build, inner.build));
    }
    if (options->parallel_for)
      inner.parallel_for = v1::HostParallelFor{options->parallel_for->threads,
                                               options->parallel_for->user,
                                               options->parallel_for->run};
    PLANISH_API_ASSIGN_OR_RETURN(v1::EngineSet made, v1::EngineSet::create(inner));
    *set = new planish_engine_set{std::move(made), inner.engine, inner.inputs,
                                  texts(options->outputs, options->output_count)};
    return {};
  });
}

void planish_engine_set_free(planish_engine_set* set) { delete set; }

planish_code planish_engine_set_run(planish_engine_set* set, const planish_graph_source* source,
                                    const planish_tensor* inputs, int input_count,
                                    planish_output_allocator allocator, planish_take_output take,
                                    void* user) {
  return api::c_call([&]() -> Status {
    if (!set) return api::null_argument("set");
    if (!take) return api::null_argument("take");
    if (input_count < 0 || (input_count && !inputs)) return api::null_argument("inputs");
    std::vector<v1::Tensor> tensors;
    for (int i = 0; i < input_count; ++i) {
      const planish_tensor& from = inputs[i];
      PLANISH_API_ASSIGN_OR_RETURN(
          v1::Tensor tensor,
          v1::Tensor::view(v1::DataType(from.dtype),
                           std::vector<int64_t>(from.dims, from.dims + from.rank), from.data));
      tensors.push_back(std::move(tensor));
    }
    v1::Context::OutputAllocator allocate;
    if (allocator)
      allocate = [&](int output, int64_t bytes) { return allocator(user, output, bytes); };
    return set->set.run(tensors, source_of(*set, source), allocate,
                        [&](int output, const v1::Tensor& tensor) {
                          const planish_tensor given{tensor.data(), planish_dtype(tensor.dtype()),
                                                     int(tensor.dims().size()),
                                                     tensor.dims().data()};
                          take(user, output, &given);
                        });
  });
}

planish_code planish_engine_set_add_file(planish_engine_set* set, const planish_graph_source* source,
                                         const char* path) {
  return api::c_call([&]() -> Status {
    if (!set) return api::null_argument("set");
    if (!path) return api::null_argument("path");
    std::ifstream file(path, std::ios::binary);
    if (file.peek() != '{') return add(set, v1::Engine::load(path, set->engine));
    const Json json = Json::parse(file, nullptr, false);
    if (!json.is_object() || !json.contains("shapes") || !json.contains("decisions") ||
        !json["decisions"].is_string())
      return Status(Code::kDataLoss,
                    planish::cat(path, ": no record of an engine: expected shapes and decisions"));
    PLANISH_API_ASSIGN_OR_RETURN(const v1::ShapeRange range,
                                 api::range_of_json(json["shapes"].dump()));
    return set->set.prepare(range, source_of(*set, source), json["decisions"].get<std::string>());
  });
}

planish_code planish_engine_set_add_plan(planish_engine_set* set, const void* data, size_t bytes) {
  return api::c_call([&]() -> Status {
    if (!set) return api::null_argument("set");
    return add(set, v1::Engine::load(data, bytes, set->engine));
  });
}

planish_code planish_engine_set_prepare(planish_engine_set* set, const planish_graph_source* source,
                                        const char* shapes_json, const char* decisions) {
  return api::c_call([&]() -> Status {
    if (!set) return api::null_argument("set");
    if (!shapes_json) return api::null_argument("shapes_json");
    PLANISH_API_ASSIGN_OR_RETURN(const v1::ShapeRange range, api::range_of_json(shapes_json));
    return set->set.prepare(range, source_of(*set, source), decisions ? decisions : "");
  });
}

planish_code planish_engine_set_records(const planish_engine_set* set,
                                        planish_engine_records** records) {
  return api::c_call([&]() -> Status {
    if (!set) return api::null_argument("set");
    if (!records) return api::null_argument("records");
    auto made = std::make_unique<planish_engine_records>();
    made->records = set->set.records();
    for (const v1::EngineRecord& record : made->records)
      made->shapes.push_back(api::to_json(record.range));
    *records = made.release();
    return {};
  });
}

int planish_engine_records_count(const planish_engine_records* records) {
  return records ? int(records->records.size()) : 0;
}
const char* planish_engine_records_shapes_json(const planish_engine_records* records, int index) {
  if (index < 0 || index >= planish_engine_records_count(records)) return nullptr;
  return records->shapes[size_t(index)].c_str();
}
const char* planish_engine_records_decisions(const planish_engine_records* records, int index) {
  if (index < 0 || index >= planish_engine_records_count(records)) return nullptr;
  return records->records[size_t(index)].engine.decisions().c_str();
}
const void* planish_engine_records_plan(const planish_engine_records* records, int index,
                                        size_t* bytes) {
  if (index < 0 || index >= planish_engine_records_count(records)) return nullptr;
  const auto& plan = records->records[size_t(index)].plan;
  if (bytes) *bytes = plan ? plan->bytes() : 0;
  return plan ? plan->data() : nullptr;
}
void planish_engine_records_free(planish_engine_records* records) { delete records; }

planish_code planish_engine_set_statistics_json(const planish_engine_set* set, char** text) {
  return api::c_call([&]() -> Status {
    if (!set) return api::null_argument("set");
    if (!text) return api::null_argument("text");
    const v1::EngineSetStatistics s = set->set.statistics();
    const Json json = {{"hits", s.hits},           {"builds", s.builds},
                       {"loads", s.loads},         {"evictions", s.evictions},
                       {"engines", s.engines},     {"bytes", s.bytes},
                       {"build_ms", s.build_ms},   {"run_us", s.run_us},
                       {"refusals", s.refusals}};
    *text = api::copy_text(json.dump());
    return *text ? Status() : Status(Code::kResourceExhausted, "out of memory");
  });
}

}  // extern "C"
