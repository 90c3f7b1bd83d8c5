/* The plugin ABI: operators and kernels that live in a shared object of somebody else's.
 *
 * A plugin exports planish_plugin_entry(), which returns a description of its operators (attributes,
 * shapes, reference code) and kernels (what they take, workspace, artifact bytes, run). It is plain C
 * so that compilers and standard libraries may differ. Every struct begins with its size as its
 * maker knew it; a reader looks at no field beyond that size, so fields are only ever appended.
 * planish/plugin_op.h wraps this in C++. A plugin is usable for building and for running; a plan
 * names the plugins it needs and never holds their code. Loading a plugin runs its code.
 *
 * Who calls what: the host (Planish) calls the function pointers below, from any thread, several at
 * once; `self` is passed through. Everything a callback is given is borrowed for the call. Callbacks
 * return a planish_plugin_code, throw nothing and write the reason into the message they are given.
 */
#ifndef PLANISH_PLUGIN_H_
#define PLANISH_PLUGIN_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Host and plugin must agree on this number; additions at the end of structs do not change it. */
#define PLANISH_PLUGIN_ABI 1u

/* The numbers of planish::Code; these are what a plugin has use for. */
enum {
  PLANISH_PLUGIN_OK = 0,
  PLANISH_PLUGIN_INVALID_ARGUMENT = 1,
  PLANISH_PLUGIN_UNSUPPORTED = 2,
  PLANISH_PLUGIN_RESOURCE_EXHAUSTED = 5,
  PLANISH_PLUGIN_INTERNAL = 13
};
typedef int32_t planish_plugin_code;

/* Where a callback says why: `text` takes `capacity` bytes, the closing zero included. */
typedef struct planish_plugin_message {
  uint32_t struct_size;
  char* text;
  size_t capacity;
} planish_plugin_message;

/* A tensor. dtype has the numbers of planish::DataType. Row-major, dense. */
typedef struct planish_plugin_tensor {
  uint32_t struct_size;
  int32_t dtype;
  int32_t rank;
  const int64_t* dims;           /* -1: not known yet */
  const char* const* dim_texts;  /* each dim as an expression: "3", "N", "2*N + 1" */
  void* data;                    /* elements; null when not known (infer, supports) */
} planish_plugin_tensor;

/* Kinds of attributes. */
enum {
  PLANISH_PLUGIN_INT = 0,
  PLANISH_PLUGIN_FLOAT = 1,
  PLANISH_PLUGIN_STRING = 2,
  PLANISH_PLUGIN_INTS = 3,
  PLANISH_PLUGIN_FLOATS = 4
};

/* An attribute with its value, or in a schema with its default. */
typedef struct planish_plugin_attribute {
  uint32_t struct_size;
  const char* name;
  int32_t kind;
  int32_t required;         /* schemas: 1 when there is no default */
  int64_t int_value;
  double float_value;
  const char* string_value;
  const int64_t* ints;
  const double* floats;
  int64_t count;            /* elements of ints or floats */
  const char* doc;          /* schemas */
} planish_plugin_attribute;

/* One node to look at: attributes with all defaults filled in; absent optional inputs are null. */
typedef struct planish_plugin_node {
  uint32_t struct_size;
  const char* op;
  int32_t attribute_count;
  const planish_plugin_attribute* const* attributes;
  int32_t input_count;
  const planish_plugin_tensor* const* inputs;
  int32_t output_count;
} planish_plugin_node;

/* Given to infer(): sets output `index`. Dims are texts, so that symbolic shapes stay symbolic:
 * names of symbols that occur in input dims, + - *, floordiv, ceildiv, mod, min, max. */
typedef struct planish_plugin_shapes {
  uint32_t struct_size;
  void* host;
  planish_plugin_code (*set_output)(void* host, int32_t index, int32_t dtype, int32_t rank,
                                    const char* const* dim_texts);
} planish_plugin_shapes;

/* How an operator may be fused. With a contraction or reduction Planish may offer its kernels a
 * region of the operator and an elementwise epilogue; a kernel that cannot says so in supports(). */
enum {
  PLANISH_PLUGIN_OPAQUE = 0,
  PLANISH_PLUGIN_REDUCTION = 1,
  PLANISH_PLUGIN_CONTRACTION = 2
};

/* An input or output of an operator: bit i of `types` allows the DataType of number i. */
typedef struct planish_plugin_value_spec {
  uint32_t struct_size;
  const char* name;
  uint64_t types;
  int32_t optional;
  const char* type_var;  /* values that share it have one element type; null: free */
  const char* doc;
} planish_plugin_value_spec;

typedef struct planish_plugin_op {
  uint32_t struct_size;
  const char* name;    /* unique among all operators: "ExampleScaledDifference" */
  const char* domain;  /* ONNX domain that models use for it: "com.example" */
  const char* doc;
  int32_t fusion;
  int32_t input_count;
  const planish_plugin_value_spec* const* inputs;
  int32_t output_count;
  const planish_plugin_value_spec* const* outputs;
  int32_t attribute_count;
  const planish_plugin_attribute* const* attributes;
  void* self;
  /* Types of all outputs; also where attributes and shapes are checked. */
  planish_plugin_code (*infer)(void* self, const planish_plugin_node* node,
                               const planish_plugin_shapes* shapes,
                               planish_plugin_message* message);
  /* The definition: plain code over known inputs into zero-filled outputs. */
  planish_plugin_code (*evaluate)(void* self, const planish_plugin_node* node,
                                  planish_plugin_tensor* const* outputs,
                                  planish_plugin_message* message);
} planish_plugin_op;

/* What a kernel is asked: one node with known dims, and the epilogue that is to follow it. */
typedef struct planish_plugin_problem {
  uint32_t struct_size;
  const planish_plugin_node* node;  /* data of constant inputs is set */
  const planish_plugin_tensor* const* outputs;
  /* Null: the operator alone. Else the elementwise expression over its result, as text; a kernel
   * that does not compute it refuses. */
  const char* epilogue;
} planish_plugin_problem;

/* Takes bytes from a kernel; may be called several times, the bytes are appended. */
typedef struct planish_plugin_sink {
  uint32_t struct_size;
  void* host;
  void (*append)(void* host, const void* data, size_t bytes);
} planish_plugin_sink;

/* Everything that one run needs. Inputs and outputs in the problem's order. */
typedef struct planish_plugin_run {
  uint32_t struct_size;
  const planish_plugin_problem* problem;
  const void* const* inputs;
  void* const* outputs;
  void* workspace;       /* workspace_bytes() of it, aligned to 64 */
  const void* artifact;  /* what compile() made, from the plan */
  size_t artifact_bytes;
  int32_t threads;
  void* host;
  /* Calls task(context, i) for each i in [0, count) on the context's threads and waits. */
  void (*parallel_for)(void* host, int64_t count, void (*task)(void* context, int64_t i),
                       void* context);
} planish_plugin_run;

typedef struct planish_plugin_kernel {
  uint32_t struct_size;
  const char* name;    /* unique among all kernels: "example.scaled_difference" */
  const char* op;      /* the operator it computes */
  const char* device;  /* "cpu" */
  int32_t version;     /* raised when saved artifacts or timings become void */
  void* self;
  /* PLANISH_PLUGIN_OK, or PLANISH_PLUGIN_UNSUPPORTED with the reason. */
  planish_plugin_code (*supports)(void* self, const planish_plugin_problem* problem,
                                  planish_plugin_message* message);
  double (*predict_us)(void* self, const planish_plugin_problem* problem);
  int64_t (*workspace_bytes)(void* self, const planish_plugin_problem* problem); /* null: 0 */
  /* Bytes made at build time and kept in the plan; null: none. */
  planish_plugin_code (*compile)(void* self, const planish_plugin_problem* problem,
                                 const planish_plugin_sink* sink, planish_plugin_message* message);
  planish_plugin_code (*run)(void* self, const planish_plugin_run* run,
                             planish_plugin_message* message);
} planish_plugin_kernel;

typedef struct planish_plugin {
  uint32_t struct_size;
  uint32_t abi;         /* PLANISH_PLUGIN_ABI */
  const char* name;     /* as plans name it */
  const char* version;  /* plans run with exactly this version */
  int32_t op_count;
  const planish_plugin_op* const* ops;
  int32_t kernel_count;
  const planish_plugin_kernel* const* kernels;
} planish_plugin;

/* The one exported symbol. Returns a description of static life, or null when the plugin does not
 * work with a host of that ABI. */
const planish_plugin* planish_plugin_entry(uint32_t host_abi);
typedef const planish_plugin* (*planish_plugin_entry_function)(uint32_t host_abi);

#ifdef __cplusplus
}
#endif

#endif  /* PLANISH_PLUGIN_H_ */
