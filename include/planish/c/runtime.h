/* The C API of libplanish_runtime: load plans, run them. For bindings and C programs.
 *
 * Handles are opaque; whoever gets one frees it with its _free function (null is fine). Every call
 * that can fail returns a planish_code; planish_error_message() then gives the text, per thread,
 * until the thread's next failing call. Strings and arrays that are handed out belong to their
 * handle and live as long as it does, unless said otherwise. Nothing throws, null handles are
 * answered with PLANISH_INVALID_ARGUMENT. Thread safety is that of the C++ classes behind:
 * engines may be shared, a context serves one caller at a time.
 */
#ifndef PLANISH_C_RUNTIME_H_
#define PLANISH_C_RUNTIME_H_

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define PLANISH_C_API __attribute__((visibility("default")))
#else
#define PLANISH_C_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum planish_code {
  PLANISH_OK = 0,
  PLANISH_INVALID_ARGUMENT = 1,
  PLANISH_UNSUPPORTED = 2,
  PLANISH_UNIMPLEMENTED = 3,
  PLANISH_NOT_FOUND = 4,
  PLANISH_RESOURCE_EXHAUSTED = 5,
  PLANISH_FAILED_PRECONDITION = 6,
  PLANISH_DATA_LOSS = 7,
  PLANISH_INCOMPATIBLE = 8,
  PLANISH_CANCELLED = 9,
  PLANISH_DEADLINE_EXCEEDED = 10,
  PLANISH_DEVICE_ERROR = 11,
  PLANISH_VERIFICATION_FAILED = 12,
  PLANISH_INTERNAL = 13
} planish_code;

typedef enum planish_dtype {
  PLANISH_F32 = 0, PLANISH_F16 = 1, PLANISH_BF16 = 2, PLANISH_F64 = 3, PLANISH_I8 = 4,
  PLANISH_U8 = 5, PLANISH_I16 = 6, PLANISH_U16 = 7, PLANISH_I32 = 8, PLANISH_I64 = 9,
  PLANISH_U32 = 10, PLANISH_U64 = 11, PLANISH_BOOL = 12, PLANISH_F8E4M3FN = 13,
  PLANISH_F8E5M2 = 14, PLANISH_I4 = 15, PLANISH_U4 = 16, PLANISH_F8E4M3FNUZ = 17,
  PLANISH_F8E5M2FNUZ = 18, PLANISH_F8E8M0 = 19, PLANISH_F4E2M1 = 20, PLANISH_I2 = 21,
  PLANISH_U2 = 22
} planish_dtype;

typedef struct planish_engine planish_engine;
typedef struct planish_context planish_context;
typedef struct planish_cancel planish_cancel;
typedef struct planish_run planish_run; /* an asynchronous run */

/* Version of the loaded library, "0.1.0". */
PLANISH_C_API const char* planish_version(void);
/* Text of this thread's last failing call, with the code's name; "" before the first. */
PLANISH_C_API const char* planish_error_message(void);
PLANISH_C_API const char* planish_code_name(planish_code code);
/* "f32"; "" for a number that is no type. Bits per element, 0 likewise. */
PLANISH_C_API const char* planish_dtype_name(planish_dtype dtype);
PLANISH_C_API int planish_dtype_bits(planish_dtype dtype);

/* Levels: 0 error, 1 warning, 2 info, 3 debug, 4 trace. A null callback brings stderr back. */
typedef void (*planish_log_callback)(void* user, int level, const char* message);
PLANISH_C_API void planish_set_log_level(int level);
PLANISH_C_API void planish_set_log_callback(planish_log_callback callback, void* user);
PLANISH_C_API planish_code planish_load_plugin(const char* path);

/* What a host may bring; zero-initialize, set struct_size = sizeof the struct, then what differs. */
typedef struct planish_allocator {
  size_t struct_size;
  void* user;
  void* (*allocate)(void* user, size_t bytes, size_t alignment);
  void (*deallocate)(void* user, void* memory, size_t bytes);
} planish_allocator;

typedef struct planish_parallel_for {
  size_t struct_size;
  int threads;
  void* user;
  void (*run)(void* user, int64_t count, void (*task)(void* task_context, int64_t i),
              void* task_context);
} planish_parallel_for;

typedef struct planish_engine_options {
  size_t struct_size;
  const char* device;          /* null: the plan's */
  int threads;                 /* 0: as the plan was tuned for */
  int instance_cache;          /* 0: the default */
  int64_t max_memory_bytes;    /* 0: none */
  const planish_allocator* allocator; /* null: the system's */
  int64_t max_plan_bytes;      /* 0: none */
  const planish_allocator* device_allocator; /* of the device's memory; null: the driver's */
  int64_t max_device_memory_bytes; /* of the engine and its contexts; 0: none */
} planish_engine_options;

/* Null options: all defaults. */
PLANISH_C_API planish_code planish_engine_load(const char* path,
                                               const planish_engine_options* options,
                                               planish_engine** engine);
PLANISH_C_API planish_code planish_engine_load_memory(const void* data, size_t bytes,
                                                      const planish_engine_options* options,
                                                      planish_engine** engine);
/* Contexts of the engine stay valid. */
PLANISH_C_API void planish_engine_free(planish_engine* engine);

PLANISH_C_API int planish_engine_input_count(const planish_engine* engine);
PLANISH_C_API int planish_engine_output_count(const planish_engine* engine);
/* Name, type and rank of an input or output; null and -1 for an index out of range. */
PLANISH_C_API const char* planish_engine_input_name(const planish_engine* engine, int index);
PLANISH_C_API const char* planish_engine_output_name(const planish_engine* engine, int index);
PLANISH_C_API int planish_engine_input_dtype(const planish_engine* engine, int index);
PLANISH_C_API int planish_engine_output_dtype(const planish_engine* engine, int index);
PLANISH_C_API int planish_engine_input_rank(const planish_engine* engine, int index);
PLANISH_C_API int planish_engine_output_rank(const planish_engine* engine, int index);
/* One dim: its number, or -1 when it is symbolic; *_text gives "3", "N", "2*N + 1". */
PLANISH_C_API int64_t planish_engine_input_dim(const planish_engine* engine, int index, int axis);
PLANISH_C_API int64_t planish_engine_output_dim(const planish_engine* engine, int index, int axis);
PLANISH_C_API const char* planish_engine_input_dim_text(const planish_engine* engine, int index,
                                                        int axis);
PLANISH_C_API const char* planish_engine_output_dim_text(const planish_engine* engine, int index,
                                                         int axis);
/* Metadata by position; null past the end. */
PLANISH_C_API int planish_engine_metadata_count(const planish_engine* engine);
PLANISH_C_API const char* planish_engine_metadata_key(const planish_engine* engine, int index);
PLANISH_C_API const char* planish_engine_metadata_value(const planish_engine* engine, int index);
/* Inspection as JSON for the engine's example dims. *text is freed with planish_string_free. */
PLANISH_C_API planish_code planish_engine_describe_json(const planish_engine* engine, char** text);
PLANISH_C_API void planish_string_free(char* text);

typedef struct planish_memory {
  size_t struct_size;
  int64_t weight_bytes, packed_bytes, arena_bytes, sum_bytes, lower_bound_bytes;
} planish_memory;
/* dims[i] points to the dims of input i; struct_size of *memory is set by the caller. */
PLANISH_C_API planish_code planish_engine_memory(const planish_engine* engine,
                                                 const int64_t* const* dims,
                                                 planish_memory* memory);

typedef struct planish_context_options {
  size_t struct_size;
  int threads;                              /* 0: the engine's */
  const planish_parallel_for* parallel_for; /* null: our own threads */
  void* stream;                             /* CUstream, borrowed; null: the context's own */
} planish_context_options;

PLANISH_C_API planish_code planish_context_create(const planish_engine* engine,
                                                  const planish_context_options* options,
                                                  planish_context** context);
/* Waits for an asynchronous run. */
PLANISH_C_API void planish_context_free(planish_context* context);
/* Borrows `data` until the run has ended. */
PLANISH_C_API planish_code planish_context_set_input(planish_context* context, int index,
                                                     const void* data, const int64_t* dims,
                                                     int rank);
/* Null data: context-owned again. */
PLANISH_C_API planish_code planish_context_bind_output(planish_context* context, int index,
                                                       void* data, int64_t bytes);
/* The same for memory of the engine's device, read and written where it lies. */
PLANISH_C_API planish_code planish_context_set_device_input(planish_context* context, int index,
                                                            const void* data, const int64_t* dims,
                                                            int rank);
PLANISH_C_API planish_code planish_context_bind_device_output(planish_context* context, int index,
                                                              void* data, int64_t bytes);
/* The stream of its runs (CUstream); null on a device without streams. */
PLANISH_C_API void* planish_context_stream(const planish_context* context);
/* Memory for unbound outputs once their size is known; null from it: context-owned. */
typedef void* (*planish_output_allocator)(void* user, int output, int64_t bytes);
PLANISH_C_API planish_code planish_context_set_output_allocator(planish_context* context,
                                                                planish_output_allocator allocator,
                                                                void* user);

/* One executed step: its index, start since the run's start, duration. */
typedef void (*planish_profiler)(void* user, int step, double start_us, double duration_us);

typedef struct planish_run_options {
  size_t struct_size;
  const planish_cancel* cancel; /* null: none */
  double timeout_ms;            /* deadline from now; 0 or less: none */
  planish_profiler profiler;    /* null: none */
  void* user;
  int enqueue_only; /* 1: return once enqueued, when inputs and outputs are all on the device */
} planish_run_options;

PLANISH_C_API planish_code planish_context_run(planish_context* context,
                                               const planish_run_options* options);
/* Starts a run on a thread of its own; planish_run_wait gives its outcome and frees the handle. */
PLANISH_C_API planish_code planish_context_run_async(planish_context* context,
                                                     const planish_run_options* options,
                                                     planish_run** run);
/* 1 when the run has ended, 0 while it runs. */
PLANISH_C_API int planish_run_done(const planish_run* run);
PLANISH_C_API planish_code planish_run_wait(planish_run* run);

/* After a good run: bytes, dims (*dims lives until the next run), type. */
PLANISH_C_API planish_code planish_context_output(const planish_context* context, int index,
                                                  const void** data, int64_t* bytes,
                                                  const int64_t** dims, int* rank);
PLANISH_C_API int64_t planish_context_arena_bytes(const planish_context* context);

/* A flag that any thread may raise, for runs and builds. */
PLANISH_C_API planish_code planish_cancel_create(planish_cancel** cancel);
PLANISH_C_API void planish_cancel_raise(const planish_cancel* cancel);
PLANISH_C_API void planish_cancel_free(planish_cancel* cancel);

#ifdef __cplusplus
}
#endif

#endif /* PLANISH_C_RUNTIME_H_ */
