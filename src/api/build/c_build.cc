// The C API of libplanish over the C++ API.
#include <cstdlib>

#include "api/build/network_impl.h"
#include "api/runtime/c_support.h"
#include "base/text.h"
#include "planish/build.h"
#include "planish/c/build.h"
#include "planish/network.h"

namespace api = planish::api;
namespace v1 = planish::v1;

struct planish_network {
  v1::Network network;
};
struct planish_attributes {
  v1::Attributes attributes;
};
struct planish_plan {
  v1::Plan plan;
};

namespace {

v1::ImportOptions import_options(const planish_import_options* from) {
  v1::ImportOptions options;
  if (!from) return options;
  if (PLANISH_C_HAS(from, name) && from->name) options.name = from->name;
  if (PLANISH_C_HAS(from, base_folder) && from->base_folder) options.base_folder = from->base_folder;
  if (PLANISH_C_HAS(from, max_file_bytes)) options.limits.max_file_bytes = from->max_file_bytes;
  if (PLANISH_C_HAS(from, max_nodes)) options.limits.max_nodes = from->max_nodes;
  if (PLANISH_C_HAS(from, max_nesting)) options.limits.max_nesting = from->max_nesting;
  if (PLANISH_C_HAS(from, max_tensor_elements))
    options.limits.max_tensor_elements = from->max_tensor_elements;
  if (PLANISH_C_HAS(from, max_metadata_bytes))
    options.limits.max_metadata_bytes = from->max_metadata_bytes;
  return options;
}

v1::Status take_shapes(const planish_build_options& from, v1::BuildOptions& options) {
  v1::Profile profile;
  for (int i = 0; i < from.shape_count; ++i) {
    const planish_input_shape& shape = from.shapes[i];
    if (!shape.input || !shape.opt || shape.rank < 0)
      return v1::Status(v1::Code::kInvalidArgument,
                        planish::cat("shape ", i, " has no input, no opt dims or a negative rank"));
    const auto dims = [&](const int64_t* first) {
      return std::vector<int64_t>(first, first + shape.rank);
    };
    if (!shape.min && !shape.max) {
      options.shapes[shape.input] = dims(shape.opt);
    } else {
      profile[shape.input] = {dims(shape.min ? shape.min : shape.opt), dims(shape.opt),
                              dims(shape.max ? shape.max : shape.opt)};
    }
  }
  if (!profile.empty()) options.profiles.push_back(std::move(profile));
  return {};
}

v1::Status build_options(const planish_build_options& from, v1::BuildOptions& options) {
  if (!PLANISH_C_HAS(&from, user))
    return v1::Status(v1::Code::kInvalidArgument,
                      "build options: use planish_build_options_init first");
  if (from.device) options.device = from.device;
  if (from.shape_count && !from.shapes) return api::null_argument("options->shapes");
  if (v1::Status status = take_shapes(from, options); !status.ok()) return status;
  options.fp32 = from.fp32_exact ? v1::Fp32Mode::kExact : v1::Fp32Mode::kFast;
  options.deterministic = from.deterministic != 0;
  if (from.time_budget_s >= 0) options.time_budget_s = from.time_budget_s;
  if (from.timing_cache) options.timing_cache = from.timing_cache;
  if (from.decisions) options.decisions = from.decisions;
  options.max_workspace_bytes = from.max_workspace_bytes;
  options.max_memory_bytes = from.max_memory_bytes;
  options.threads = from.threads;
  options.packed_weights = from.packed_weights != 0;
  if (PLANISH_C_HAS(&from, precision) && from.precision) {
    PLANISH_API_ASSIGN_OR_RETURN(options.precision, api::precision_named(from.precision));
  }
  if (PLANISH_C_HAS(&from, io_precision) && from.io_precision) {
    PLANISH_API_ASSIGN_OR_RETURN(options.io_precision, api::precision_named(from.io_precision));
  }
  if (PLANISH_C_HAS(&from, allow_libraries)) options.allow_libraries = from.allow_libraries != 0;
  if (from.cancel) options.cancel = from.cancel->token;
  if (from.progress) {
    options.progress = [progress = from.progress, user = from.user](const v1::BuildProgress& p) {
      return progress(user, std::string(p.phase).c_str(), p.fraction,
                      std::string(p.message).c_str()) != 0;
    };
  }
  return {};
}

planish_code set_attribute(planish_attributes* attributes, const char* name, auto make_value) {
  return api::c_call([&]() -> v1::Status {
    if (!attributes) return api::null_argument("attributes");
    if (!name) return api::null_argument("name");
    attributes->attributes[name] = make_value();
    return {};
  });
}

}  // namespace

extern "C" {

planish_code planish_network_load_onnx(const char* path, const planish_import_options* options,
                                       planish_network** network) {
  return api::c_call([&]() -> v1::Status {
    if (!path) return api::null_argument("path");
    if (!network) return api::null_argument("network");
    auto loaded = v1::Network::load_onnx(path, import_options(options));
    if (!loaded.ok()) return loaded.status();
    *network = new planish_network{std::move(*loaded)};
    return {};
  });
}

planish_code planish_network_load_onnx_memory(const void* data, size_t bytes,
                                              const planish_import_options* options,
                                              planish_network** network) {
  return api::c_call([&]() -> v1::Status {
    if (!network) return api::null_argument("network");
    auto loaded = v1::Network::load_onnx(data, bytes, import_options(options));
    if (!loaded.ok()) return loaded.status();
    *network = new planish_network{std::move(*loaded)};
    return {};
  });
}

planish_code planish_network_create(const char* name, planish_network** network) {
  return api::c_call([&]() -> v1::Status {
    if (!network) return api::null_argument("network");
    *network = new planish_network{v1::Network::create(name ? name : "")};
    return {};
  });
}

void planish_network_free(planish_network* network) { delete network; }

planish_code planish_network_add_input(planish_network* network, const char* name,
                                       planish_dtype dtype, const char* const* dims, int rank,
                                       int* value) {
  return api::c_call([&]() -> v1::Status {
    if (!network) return api::null_argument("network");
    if (!name) return api::null_argument("name");
    if (rank < 0 || (rank && !dims)) return api::null_argument("dims");
    std::vector<v1::Dim> shape;
    for (int i = 0; i < rank; ++i) {
      if (!dims[i]) return api::null_argument("dims[i]");
      auto dim = planish::ir::Dim::parse(dims[i]);
      if (!dim.ok()) return api::to_public(dim.status()).at(planish::cat("input '", name, "'"));
      const auto constant = dim->constant();
      shape.push_back(constant ? v1::Dim(*constant) : v1::Dim(dim->to_string()));
    }
    auto added = network->network.add_input(name, v1::DataType(dtype), std::move(shape));
    if (!added.ok()) return added.status();
    if (value) *value = added->id;
    return {};
  });
}

planish_code planish_network_add_constant(planish_network* network, const char* name,
                                          planish_dtype dtype, const int64_t* dims, int rank,
                                          const void* data, int* value) {
  return api::c_call([&]() -> v1::Status {
    if (!network) return api::null_argument("network");
    if (rank < 0 || (rank && !dims)) return api::null_argument("dims");
    auto tensor =
        v1::Tensor::view(v1::DataType(dtype), std::vector<int64_t>(dims, dims + rank), data);
    if (!tensor.ok()) return tensor.status();
    auto added = network->network.add_constant(name ? name : "", *tensor);
    if (!added.ok()) return added.status();
    if (value) *value = added->id;
    return {};
  });
}

planish_code planish_network_add_op(planish_network* network, const char* op, const int* inputs,
                                    int input_count, const planish_attributes* attributes,
                                    const char* name, int* outputs, int output_count) {
  return api::c_call([&]() -> v1::Status {
    if (!network) return api::null_argument("network");
    if (!op) return api::null_argument("op");
    if (input_count < 0 || (input_count && !inputs)) return api::null_argument("inputs");
    std::vector<v1::Value> values;
    for (int i = 0; i < input_count; ++i) values.push_back({inputs[i]});
    auto made =
        network->network.add_op(op, std::move(values),
                                attributes ? attributes->attributes : v1::Attributes(),
                                output_count, name ? name : "");
    if (!made.ok()) return made.status();
    for (int i = 0; outputs && i < output_count; ++i) outputs[i] = (*made)[size_t(i)].id;
    return {};
  });
}

planish_code planish_network_mark_output(planish_network* network, int value, const char* name) {
  return api::c_call([&] {
    return network ? network->network.mark_output(v1::Value{value}, name ? name : "")
                   : api::null_argument("network");
  });
}

planish_code planish_network_mark_output_by_name(planish_network* network,
                                                 const char* value_name) {
  return api::c_call([&]() -> v1::Status {
    if (!network) return api::null_argument("network");
    if (!value_name) return api::null_argument("value_name");
    return network->network.mark_output(std::string(value_name));
  });
}

planish_code planish_network_set_metadata(planish_network* network, const char* key,
                                          const char* value) {
  return api::c_call([&]() -> v1::Status {
    if (!network) return api::null_argument("network");
    if (!key || !value) return api::null_argument("key or value");
    network->network.set_metadata(key, value);
    return {};
  });
}

planish_code planish_network_find(const planish_network* network, const char* value_name,
                                  int* value) {
  return api::c_call([&]() -> v1::Status {
    if (!network) return api::null_argument("network");
    if (!value_name || !value) return api::null_argument("value_name or value");
    auto found = network->network.find(value_name);
    if (!found.ok()) return found.status();
    *value = found->id;
    return {};
  });
}

int planish_network_node_count(const planish_network* network) {
  return network ? network->network.node_count() : 0;
}

planish_code planish_network_to_text(const planish_network* network, char** text) {
  return api::c_call([&]() -> v1::Status {
    if (!network) return api::null_argument("network");
    if (!text) return api::null_argument("text");
    *text = api::copy_text(network->network.to_text());
    return *text ? v1::Status() : v1::Status(v1::Code::kResourceExhausted, "out of memory");
  });
}

planish_code planish_attributes_create(planish_attributes** attributes) {
  return api::c_call([&]() -> v1::Status {
    if (!attributes) return api::null_argument("attributes");
    *attributes = new planish_attributes();
    return {};
  });
}
void planish_attributes_free(planish_attributes* attributes) { delete attributes; }
planish_code planish_attributes_set_int(planish_attributes* attributes, const char* name,
                                        int64_t value) {
  return set_attribute(attributes, name, [&] { return value; });
}
planish_code planish_attributes_set_float(planish_attributes* attributes, const char* name,
                                          double value) {
  return set_attribute(attributes, name, [&] { return value; });
}
planish_code planish_attributes_set_string(planish_attributes* attributes, const char* name,
                                           const char* value) {
  return set_attribute(attributes, name, [&] { return std::string(value ? value : ""); });
}
planish_code planish_attributes_set_ints(planish_attributes* attributes, const char* name,
                                         const int64_t* values, int count) {
  if (count < 0 || (count && !values)) return api::fail(api::null_argument("values"));
  return set_attribute(attributes, name,
                       [&] { return std::vector<int64_t>(values, values + count); });
}
planish_code planish_attributes_set_floats(planish_attributes* attributes, const char* name,
                                           const double* values, int count) {
  if (count < 0 || (count && !values)) return api::fail(api::null_argument("values"));
  return set_attribute(attributes, name,
                       [&] { return std::vector<double>(values, values + count); });
}
planish_code planish_attributes_set_dtype(planish_attributes* attributes, const char* name,
                                          planish_dtype value) {
  return set_attribute(attributes, name, [&] { return v1::DataType(value); });
}
planish_code planish_attributes_set_network(planish_attributes* attributes, const char* name,
                                            const planish_network* body) {
  if (!body) return api::fail(api::null_argument("body"));
  return set_attribute(attributes, name, [&] {
    return std::make_shared<v1::Network>(body->network.clone());
  });
}

void planish_build_options_init(planish_build_options* options) {
  if (!options) return;
  *options = {};
  options->struct_size = sizeof(*options);
  options->time_budget_s = -1;
}

planish_code planish_build(const planish_network* network, const planish_build_options* options,
                           planish_plan** plan) {
  return api::c_call([&]() -> v1::Status {
    if (!network) return api::null_argument("network");
    if (!plan) return api::null_argument("plan");
    v1::BuildOptions inner;
    if (options) {
      if (v1::Status status = build_options(*options, inner); !status.ok()) return status;
    }
    auto built = v1::build(network->network, inner);
    if (!built.ok()) return built.status();
    *plan = new planish_plan{std::move(*built)};
    return {};
  });
}

planish_code planish_plan_save(const planish_plan* plan, const char* path) {
  return api::c_call([&]() -> v1::Status {
    if (!plan) return api::null_argument("plan");
    return path ? plan->plan.save(path) : api::null_argument("path");
  });
}
const void* planish_plan_data(const planish_plan* plan) {
  return plan ? plan->plan.data() : nullptr;
}
size_t planish_plan_bytes(const planish_plan* plan) { return plan ? plan->plan.bytes() : 0; }
const char* planish_plan_report(const planish_plan* plan) {
  return plan ? plan->plan.report().c_str() : "";
}
const char* planish_plan_decisions(const planish_plan* plan) {
  return plan ? plan->plan.decisions().c_str() : "";
}

planish_code planish_plan_engine(const planish_plan* plan, const planish_engine_options* options,
                                 planish_engine** engine) {
  return api::c_call([&]() -> v1::Status {
    if (!plan) return api::null_argument("plan");
    if (!engine) return api::null_argument("engine");
    auto made = plan->plan.engine(api::engine_options(options));
    if (!made.ok()) return made.status();
    *engine = api::make_handle(std::move(*made));
    return {};
  });
}

void planish_plan_free(planish_plan* plan) { delete plan; }

}  // extern "C"
