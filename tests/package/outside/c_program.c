/* The C API from C: build by hand, run, look at the result and at an error. */
#include <planish/c/planish.h>
#include <stdio.h>
#include <string.h>

#define CHECK(condition)                                                                   \
  do {                                                                                     \
    if (!(condition)) {                                                                    \
      fprintf(stderr, "c_program: line %d: %s: %s\n", __LINE__, #condition,               \
              planish_error_message());                                                    \
      return 1;                                                                            \
    }                                                                                      \
  } while (0)

int main(void) {
  planish_network* network = NULL;
  planish_attributes* attributes = NULL;
  planish_plan* plan = NULL;
  planish_engine* engine = NULL;
  planish_context* context = NULL;
  const char* dims[] = {"N", "4"};
  int x = -1, y = -1;
  CHECK(planish_network_create("c", &network) == PLANISH_OK);
  CHECK(planish_network_add_input(network, "x", PLANISH_F32, dims, 2, &x) == PLANISH_OK);
  CHECK(planish_attributes_create(&attributes) == PLANISH_OK);
  CHECK(planish_attributes_set_float(attributes, "alpha", 0.5) == PLANISH_OK);
  CHECK(planish_network_add_op(network, "LeakyRelu", &x, 1, attributes, "y", &y, 1) == PLANISH_OK);
  CHECK(planish_network_mark_output(network, y, NULL) == PLANISH_OK);

  CHECK(planish_network_add_op(network, "NoSuchOp", &x, 1, NULL, NULL, &y, 1) ==
        PLANISH_UNSUPPORTED);
  CHECK(strstr(planish_error_message(), "NoSuchOp") != NULL);

  planish_build_options options;
  planish_build_options_init(&options);
  options.deterministic = 1;
  CHECK(planish_build(network, &options, &plan) == PLANISH_OK);
  CHECK(planish_plan_engine(plan, NULL, &engine) == PLANISH_OK);
  CHECK(planish_engine_input_count(engine) == 1);
  CHECK(strcmp(planish_engine_input_name(engine, 0), "x") == 0);
  CHECK(planish_engine_input_dim(engine, 0, 0) == -1);
  CHECK(strcmp(planish_engine_input_dim_text(engine, 0, 0), "N") == 0);

  const float input[4] = {1, -2, 3, -4};
  const float expected[4] = {1, -1, 3, -2};
  const int64_t shape[2] = {1, 4};
  CHECK(planish_context_create(engine, NULL, &context) == PLANISH_OK);
  CHECK(planish_context_set_input(context, 0, input, shape, 2) == PLANISH_OK);
  planish_run* run = NULL;
  CHECK(planish_context_run_async(context, NULL, &run) == PLANISH_OK);
  CHECK(planish_run_wait(run) == PLANISH_OK);
  const void* data = NULL;
  const int64_t* out_dims = NULL;
  int64_t bytes = 0;
  int rank = 0;
  CHECK(planish_context_output(context, 0, &data, &bytes, &out_dims, &rank) == PLANISH_OK);
  CHECK(bytes == sizeof(expected) && rank == 2 && out_dims[1] == 4);
  CHECK(memcmp(data, expected, sizeof(expected)) == 0);

  planish_context_free(context);
  planish_engine_free(engine);
  planish_plan_free(plan);
  planish_attributes_free(attributes);
  planish_network_free(network);
  puts("c_program: all right");
  return 0;
}
