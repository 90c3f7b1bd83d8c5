/* The C API of libplanish: networks and builds. The conventions are those of planish/c/runtime.h. */
#ifndef PLANISH_C_BUILD_H_
#define PLANISH_C_BUILD_H_

#include "planish/c/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct planish_network planish_network;
typedef struct planish_attributes planish_attributes;
typedef struct planish_plan planish_plan;

/* Limits of an import; 0: this version's default. The one that is hit is named in the error. */
typedef struct planish_import_options {
  size_t struct_size;
  const char* name;        /* in messages, for models from memory */
  const char* base_folder; /* of external data, for models from memory; null: refused */
  int64_t max_file_bytes, max_nodes, max_nesting, max_tensor_elements, max_metadata_bytes;
} planish_import_options;

PLANISH_C_API planish_code planish_network_load_onnx(const char* path,
                                                     const planish_import_options* options,
                                                     planish_network** network);
PLANISH_C_API planish_code planish_network_load_onnx_memory(const void* data, size_t bytes,
                                                            const planish_import_options* options,
                                                            planish_network** network);
PLANISH_C_API planish_code planish_network_create(const char* name, planish_network** network);
PLANISH_C_API void planish_network_free(planish_network* network);

/* Values are numbers of one network; -1 is an absent optional input. Dims are texts: "3", "N". */
PLANISH_C_API planish_code planish_network_add_input(planish_network* network, const char* name,
                                                     planish_dtype dtype,
                                                     const char* const* dims, int rank,
                                                     int* value);
/* Copies the bytes. */
PLANISH_C_API planish_code planish_network_add_constant(planish_network* network, const char* name,
                                                        planish_dtype dtype, const int64_t* dims,
                                                        int rank, const void* data, int* value);
/* Null attributes: all defaults; null or "" name: one of ours. `outputs` takes output_count values. */
PLANISH_C_API planish_code planish_network_add_op(planish_network* network, const char* op,
                                                  const int* inputs, int input_count,
                                                  const planish_attributes* attributes,
                                                  const char* name, int* outputs,
                                                  int output_count);
/* Null name: the value's own. */
PLANISH_C_API planish_code planish_network_mark_output(planish_network* network, int value,
                                                       const char* name);
PLANISH_C_API planish_code planish_network_mark_output_by_name(planish_network* network,
                                                               const char* value_name);
PLANISH_C_API planish_code planish_network_set_metadata(planish_network* network, const char* key,
                                                        const char* value);
PLANISH_C_API planish_code planish_network_find(const planish_network* network,
                                                const char* value_name, int* value);
PLANISH_C_API int planish_network_node_count(const planish_network* network);
/* Readable text, freed with planish_string_free. */
PLANISH_C_API planish_code planish_network_to_text(const planish_network* network, char** text);

PLANISH_C_API planish_code planish_attributes_create(planish_attributes** attributes);
PLANISH_C_API void planish_attributes_free(planish_attributes* attributes);
PLANISH_C_API planish_code planish_attributes_set_int(planish_attributes* attributes,
                                                      const char* name, int64_t value);
PLANISH_C_API planish_code planish_attributes_set_float(planish_attributes* attributes,
                                                        const char* name, double value);
PLANISH_C_API planish_code planish_attributes_set_string(planish_attributes* attributes,
                                                         const char* name, const char* value);
PLANISH_C_API planish_code planish_attributes_set_ints(planish_attributes* attributes,
                                                       const char* name, const int64_t* values,
                                                       int count);
PLANISH_C_API planish_code planish_attributes_set_floats(planish_attributes* attributes,
                                                         const char* name, const double* values,
                                                         int count);
PLANISH_C_API planish_code planish_attributes_set_dtype(planish_attributes* attributes,
                                                        const char* name, planish_dtype value);
/* A body of If, Loop or Scan; the network is copied. */
PLANISH_C_API planish_code planish_attributes_set_network(planish_attributes* attributes,
                                                          const char* name,
                                                          const planish_network* body);

/* Shapes by input name. min and max may be null when only opt, a fixed shape, is meant. */
typedef struct planish_input_shape {
  size_t struct_size;
  const char* input;
  int rank;
  const int64_t* min;
  const int64_t* opt;
  const int64_t* max;
} planish_input_shape;

/* 0 cancels the build. */
typedef int (*planish_progress)(void* user, const char* phase, double fraction,
                                const char* message);

typedef struct planish_build_options {
  size_t struct_size;
  const char* device; /* null: "cpu" */
  const planish_input_shape* shapes;
  int shape_count;
  int fp32_exact;            /* 1: no algorithm that rounds differently */
  int deterministic;         /* 1: nothing is measured */
  double time_budget_s;      /* less than 0: as long as it takes; 0: no measuring */
  const char* timing_cache;  /* null: the user's; "": none */
  const char* decisions;     /* JSON; null: none */
  int64_t max_workspace_bytes, max_memory_bytes;
  int threads;
  int packed_weights;
  const planish_cancel* cancel;
  planish_progress progress;
  void* user;
  /* What f32 tensors are computed in: "fp32" (null), "tf32", "fp16", "bf16". io_precision: inputs and
     outputs of the network take that type too ("fp16", "bf16"; null: they stay f32). */
  const char* precision;
  const char* io_precision;
  int allow_libraries; /* 1: kernels of cuBLASLt and cuDNN race ours (GPU) */
} planish_build_options;

/* Fills in the defaults, time_budget_s = -1 among them, and struct_size. */
PLANISH_C_API void planish_build_options_init(planish_build_options* options);
PLANISH_C_API planish_code planish_build(const planish_network* network,
                                         const planish_build_options* options,
                                         planish_plan** plan);
PLANISH_C_API planish_code planish_plan_save(const planish_plan* plan, const char* path);
PLANISH_C_API const void* planish_plan_data(const planish_plan* plan);
PLANISH_C_API size_t planish_plan_bytes(const planish_plan* plan);
PLANISH_C_API const char* planish_plan_report(const planish_plan* plan);
PLANISH_C_API const char* planish_plan_decisions(const planish_plan* plan);
PLANISH_C_API planish_code planish_plan_engine(const planish_plan* plan,
                                               const planish_engine_options* options,
                                               planish_engine** engine);
PLANISH_C_API void planish_plan_free(planish_plan* plan);

#ifdef __cplusplus
}
#endif

#endif /* PLANISH_C_BUILD_H_ */
