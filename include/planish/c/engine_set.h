/* The C API of libplanish: engines of one TensorFlow graph for the shapes that callers bring, for
 * hosts that put Planish inside of another framework. Behind it stands planish/engine_set.h, which
 * explains. Thread-safe. The conventions are those of planish/c/runtime.h.
 */
#ifndef PLANISH_C_ENGINE_SET_H_
#define PLANISH_C_ENGINE_SET_H_

#include "planish/c/build.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct planish_engine_set planish_engine_set;

/* Dense, row-major host memory, borrowed for the call. */
typedef struct planish_tensor {
  const void* data;
  planish_dtype dtype;
  int rank;
  const int64_t* dims;
} planish_tensor;

typedef struct planish_engine_set_options {
  size_t struct_size;
  const char* const* inputs; /* nodes of the graph, in the order in which runs bring tensors */
  int input_count;
  const char* const* outputs; /* tensors of the graph: "node" or "node:1" */
  int output_count;
  int max_engines;               /* at least 1 */
  int64_t max_bytes;             /* 0: no cap */
  int allow_build;
  int share_batches;             /* 1: an engine serves smaller batches than its own */
  int threads;                   /* 0: all cores */
  const planish_parallel_for* parallel_for; /* null: our own threads */
  int64_t max_workspace_bytes;   /* 0: no cap */
  /* JSON of further build options, null: none: "precision": "fp32", "fp16", "bf16"; "fp32": "fast",
     "exact"; "deterministic": true; "time_budget_s": 2.5; "timing_cache": path. */
  const char* build;
} planish_engine_set_options;

/* All defaults of EngineSetOptions, and struct_size. */
PLANISH_C_API void planish_engine_set_options_init(planish_engine_set_options* options);
PLANISH_C_API planish_code planish_engine_set_create(const planish_engine_set_options* options,
                                                     planish_engine_set** set);
PLANISH_C_API void planish_engine_set_free(planish_engine_set* set);

/* The graph, asked for when an engine is to be built: 0 when *data and *bytes hold a GraphDef, which
   lives until `release`. */
typedef struct planish_graph_source {
  size_t struct_size;
  void* user;
  int (*get)(void* user, const void** data, size_t* bytes);
  void (*release)(void* user);
} planish_graph_source;

/* Runs on an engine for the inputs' shapes, built now when there is none. `allocator` (or null) as in
   planish_context_set_output_allocator. `take` is called once per output of a good run; the tensor
   lives until it returns. An error is counted under its text. */
typedef void (*planish_take_output)(void* user, int output, const planish_tensor* tensor);
PLANISH_C_API planish_code planish_engine_set_run(planish_engine_set* set,
                                                  const planish_graph_source* source,
                                                  const planish_tensor* inputs, int input_count,
                                                  planish_output_allocator allocator,
                                                  planish_take_output take, void* user);

/* Takes over what was kept of an engine: a plan file, or JSON with "shapes" and "decisions", which is
   built again without measuring. */
PLANISH_C_API planish_code planish_engine_set_add_file(planish_engine_set* set,
                                                       const planish_graph_source* source,
                                                       const char* path);
PLANISH_C_API planish_code planish_engine_set_add_plan(planish_engine_set* set, const void* data,
                                                       size_t bytes);
/* Builds an engine for a range of shapes: {"min": [[1, 3]], "max": [[8, 3]]}. Null decisions: none. */
PLANISH_C_API planish_code planish_engine_set_prepare(planish_engine_set* set,
                                                      const planish_graph_source* source,
                                                      const char* shapes_json,
                                                      const char* decisions);

/* A snapshot of the engines there are, the one used last first. */
typedef struct planish_engine_records planish_engine_records;
PLANISH_C_API planish_code planish_engine_set_records(const planish_engine_set* set,
                                                      planish_engine_records** records);
PLANISH_C_API int planish_engine_records_count(const planish_engine_records* records);
PLANISH_C_API const char* planish_engine_records_shapes_json(const planish_engine_records* records,
                                                             int index);
PLANISH_C_API const char* planish_engine_records_decisions(const planish_engine_records* records,
                                                           int index);
/* Null data: the engine was loaded from a plan, which is the one to keep. */
PLANISH_C_API const void* planish_engine_records_plan(const planish_engine_records* records,
                                                      int index, size_t* bytes);
PLANISH_C_API void planish_engine_records_free(planish_engine_records* records);

/* EngineSetStatistics as JSON; *text is freed with planish_string_free. */
PLANISH_C_API planish_code planish_engine_set_statistics_json(const planish_engine_set* set,
                                                              char** text);

#ifdef __cplusplus
}
#endif

#endif /* PLANISH_C_ENGINE_SET_H_ */
