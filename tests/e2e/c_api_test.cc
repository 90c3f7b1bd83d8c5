// The C API from a host's side: what it takes (memory, threads, callbacks, limits, plans in memory) and
// what it answers. Each call of both headers is made here or by tests/package/outside/c_program.c.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "planish/c/planish.h"

namespace planish {
namespace {

using testing::HasSubstr;

constexpr const char* kDigits = "examples/digits/digits.onnx";

// y = relu(x w) over f32[N, 4], its product "h" inside.
planish_network* make_network() {
  planish_network* network = nullptr;
  EXPECT_EQ(planish_network_create("pair", &network), PLANISH_OK);
  const char* dims[] = {"N", "4"};
  int x = -1, w = -1, h = -1, y = -1;
  EXPECT_EQ(planish_network_add_input(network, "x", PLANISH_F32, dims, 2, &x), PLANISH_OK);
  const int64_t square[] = {4, 4};
  std::vector<float> weights(16);
  for (int i = 0; i < 4; ++i) weights[size_t(i * 5)] = 2;
  EXPECT_EQ(planish_network_add_constant(network, "w", PLANISH_F32, square, 2, weights.data(), &w),
            PLANISH_OK);
  const int inputs[] = {x, w};
  EXPECT_EQ(planish_network_add_op(network, "MatMul", inputs, 2, nullptr, "h", &h, 1), PLANISH_OK);
  EXPECT_EQ(planish_network_add_op(network, "Relu", &h, 1, nullptr, "y", &y, 1), PLANISH_OK);
  EXPECT_EQ(planish_network_mark_output(network, y, nullptr), PLANISH_OK);
  EXPECT_EQ(planish_network_set_metadata(network, "colour", "green"), PLANISH_OK);
  return network;
}

planish_plan* make_plan(planish_network* network) {
  planish_build_options options;
  planish_build_options_init(&options);
  options.deterministic = 1;
  options.timing_cache = "";
  planish_plan* plan = nullptr;
  EXPECT_EQ(planish_build(network, &options, &plan), PLANISH_OK) << planish_error_message();
  return plan;
}

planish_engine* make_engine(const planish_engine_options* options = nullptr) {
  planish_network* network = make_network();
  planish_plan* plan = make_plan(network);
  planish_engine* engine = nullptr;
  EXPECT_EQ(planish_plan_engine(plan, options, &engine), PLANISH_OK) << planish_error_message();
  planish_plan_free(plan);
  planish_network_free(network);
  return engine;
}

const int64_t kDims[] = {2, 4};
const float kInput[] = {1, -2, 3, -4, 5, 6, -7, 8};
const float kExpected[] = {2, 0, 6, 0, 10, 12, 0, 16};

planish_context* make_context(const planish_engine* engine,
                              const planish_context_options* options = nullptr) {
  planish_context* context = nullptr;
  EXPECT_EQ(planish_context_create(engine, options, &context), PLANISH_OK);
  EXPECT_EQ(planish_context_set_input(context, 0, kInput, kDims, 2), PLANISH_OK);
  return context;
}

void expect_result(const planish_context* context, const void* at = nullptr) {
  const void* data = nullptr;
  const int64_t* dims = nullptr;
  int64_t bytes = 0;
  int rank = 0;
  ASSERT_EQ(planish_context_output(context, 0, &data, &bytes, &dims, &rank), PLANISH_OK);
  ASSERT_EQ(bytes, int64_t(sizeof(kExpected)));
  EXPECT_EQ(rank, 2);
  EXPECT_EQ(dims[0], 2);
  EXPECT_EQ(std::memcmp(data, kExpected, sizeof(kExpected)), 0);
  if (at) {
    EXPECT_EQ(data, at);
  }
}

TEST(CApi, AnyValueCanBeAnOutput) {
  planish_network* network = make_network();
  EXPECT_EQ(planish_network_node_count(network), 2);
  int h = -1;
  ASSERT_EQ(planish_network_find(network, "h", &h), PLANISH_OK);
  ASSERT_EQ(planish_network_mark_output_by_name(network, "h"), PLANISH_OK);
  EXPECT_EQ(planish_network_mark_output_by_name(network, "nothing"), PLANISH_NOT_FOUND);
  EXPECT_THAT(planish_error_message(), HasSubstr("nothing"));
  char* text = nullptr;
  ASSERT_EQ(planish_network_to_text(network, &text), PLANISH_OK);
  EXPECT_THAT(text, HasSubstr("MatMul(%x, %w)"));
  planish_string_free(text);
  planish_plan* plan = make_plan(network);
  planish_engine* engine = nullptr;
  ASSERT_EQ(planish_engine_load_memory(planish_plan_data(plan), planish_plan_bytes(plan), nullptr, &engine),
            PLANISH_OK);
  ASSERT_EQ(planish_engine_output_count(engine), 2);
  EXPECT_STREQ(planish_engine_output_name(engine, 1), "h");
  EXPECT_THAT(planish_plan_report(plan), HasSubstr("\"passes\""));
  EXPECT_THAT(planish_plan_decisions(plan), HasSubstr("\"steps\""));
  planish_engine_free(engine);
  planish_plan_free(plan);
  planish_network_free(network);
}

TEST(CApi, EnginesAnswerQuestions) {
  planish_engine* engine = make_engine();
  EXPECT_EQ(planish_engine_input_count(engine), 1);
  EXPECT_STREQ(planish_engine_input_name(engine, 0), "x");
  EXPECT_EQ(planish_engine_input_name(engine, 1), nullptr);
  EXPECT_EQ(planish_engine_input_dtype(engine, 0), PLANISH_F32);
  EXPECT_EQ(planish_engine_output_dtype(engine, 0), PLANISH_F32);
  EXPECT_EQ(planish_engine_input_rank(engine, 0), 2);
  EXPECT_EQ(planish_engine_output_rank(engine, 0), 2);
  EXPECT_EQ(planish_engine_output_rank(engine, 7), -1);
  EXPECT_EQ(planish_engine_output_dim(engine, 0, 0), -1);
  EXPECT_EQ(planish_engine_output_dim(engine, 0, 1), 4);
  EXPECT_STREQ(planish_engine_output_dim_text(engine, 0, 0), "N");
  bool found = false;
  for (int i = 0; i < planish_engine_metadata_count(engine); ++i)
    found |= std::string(planish_engine_metadata_key(engine, i)) == "colour" &&
             std::string(planish_engine_metadata_value(engine, i)) == "green";
  EXPECT_TRUE(found);
  char* text = nullptr;
  ASSERT_EQ(planish_engine_describe_json(engine, &text), PLANISH_OK);
  EXPECT_THAT(text, HasSubstr("\"memory\""));
  planish_string_free(text);
  planish_memory memory{};
  memory.struct_size = sizeof(memory);
  const int64_t* dims[] = {kDims};
  ASSERT_EQ(planish_engine_memory(engine, dims, &memory), PLANISH_OK);
  EXPECT_EQ(memory.weight_bytes, 64);
  EXPECT_GE(memory.sum_bytes, memory.arena_bytes);
  EXPECT_GE(memory.arena_bytes, memory.lower_bound_bytes);
  EXPECT_STREQ(planish_dtype_name(PLANISH_BF16), "bf16");
  EXPECT_EQ(planish_dtype_bits(PLANISH_I4), 4);
  EXPECT_STREQ(planish_code_name(PLANISH_DATA_LOSS), "data loss");
  EXPECT_EQ(planish_engine_input_count(nullptr), 0);
  planish_engine_free(engine);
}

TEST(CApi, ResultsGoWhereTheHostWants) {
  planish_engine* engine = make_engine();
  planish_context* context = make_context(engine);
  ASSERT_EQ(planish_context_run(context, nullptr), PLANISH_OK) << planish_error_message();
  expect_result(context);
  float bound[8];
  ASSERT_EQ(planish_context_bind_output(context, 0, bound, sizeof(bound)), PLANISH_OK);
  ASSERT_EQ(planish_context_run(context, nullptr), PLANISH_OK);
  expect_result(context, bound);
  ASSERT_EQ(planish_context_bind_output(context, 0, bound, 4), PLANISH_OK);
  EXPECT_NE(planish_context_run(context, nullptr), PLANISH_OK);
  EXPECT_THAT(planish_error_message(), HasSubstr("32"));
  ASSERT_EQ(planish_context_bind_output(context, 0, nullptr, 0), PLANISH_OK);
  float given[8];
  ASSERT_EQ(planish_context_set_output_allocator(
                context, [](void* user, int, int64_t bytes) { return bytes == 32 ? user : nullptr; }, given),
            PLANISH_OK);
  ASSERT_EQ(planish_context_run(context, nullptr), PLANISH_OK);
  expect_result(context, given);
  EXPECT_GE(planish_context_arena_bytes(context), 0);
  planish_context_free(context);
  planish_engine_free(engine);
}

TEST(CApi, RunsAreProfiledCancelledAndKeepDeadlines) {
  planish_engine* engine = make_engine();
  planish_context* context = make_context(engine);
  planish_run_options options{};
  options.struct_size = sizeof(options);
  int steps = 0;
  options.user = &steps;
  options.profiler = [](void* user, int, double, double us) { *static_cast<int*>(user) += us >= 0; };
  ASSERT_EQ(planish_context_run(context, &options), PLANISH_OK);
  EXPECT_GT(steps, 0);
  planish_cancel* cancel = nullptr;
  ASSERT_EQ(planish_cancel_create(&cancel), PLANISH_OK);
  planish_cancel_raise(cancel);
  options.cancel = cancel;
  EXPECT_EQ(planish_context_run(context, &options), PLANISH_CANCELLED);
  planish_run* run = nullptr;
  ASSERT_EQ(planish_context_run_async(context, &options, &run), PLANISH_OK);
  EXPECT_EQ(planish_run_wait(run), PLANISH_CANCELLED);
  planish_cancel_free(cancel);
  options.cancel = nullptr;
  options.timeout_ms = 1e-6;
  EXPECT_EQ(planish_context_run(context, &options), PLANISH_DEADLINE_EXCEEDED);
  options.timeout_ms = 60e3;
  ASSERT_EQ(planish_context_run_async(context, &options, &run), PLANISH_OK);
  while (!planish_run_done(run)) continue;
  EXPECT_EQ(planish_run_wait(run), PLANISH_OK);
  expect_result(context);
  planish_context_free(context);
  planish_engine_free(engine);
}

TEST(CApi, TheHostsMemoryAndThreadsAreUsed) {
  struct Counts {
    std::atomic<int> given{0}, taken{0}, tasks{0};
  } counts;
  planish_allocator allocator{};
  allocator.struct_size = sizeof(allocator);
  allocator.user = &counts;
  allocator.allocate = [](void* user, size_t bytes, size_t alignment) -> void* {
    ++static_cast<Counts*>(user)->given;
    return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  };
  allocator.deallocate = [](void* user, void* memory, size_t) {
    ++static_cast<Counts*>(user)->taken;
    std::free(memory);
  };
  planish_engine_options engine_options{};
  engine_options.struct_size = sizeof(engine_options);
  engine_options.allocator = &allocator;
  // Enough work for two threads.
  constexpr int64_t kSize = 256;
  const char* dims[] = {"256", "256"};
  const int64_t square[] = {kSize, kSize};
  const std::vector<float> ones(size_t(kSize * kSize), 1);
  planish_network* network = nullptr;
  int operands[] = {-1, -1}, product = -1;
  ASSERT_EQ(planish_network_create("wide", &network), PLANISH_OK);
  ASSERT_EQ(planish_network_add_input(network, "x", PLANISH_F32, dims, 2, &operands[0]), PLANISH_OK);
  ASSERT_EQ(planish_network_add_constant(network, "w", PLANISH_F32, square, 2, ones.data(), &operands[1]),
            PLANISH_OK);
  ASSERT_EQ(planish_network_add_op(network, "MatMul", operands, 2, nullptr, "y", &product, 1), PLANISH_OK);
  ASSERT_EQ(planish_network_mark_output(network, product, nullptr), PLANISH_OK);
  planish_build_options build_options;
  planish_build_options_init(&build_options);
  build_options.deterministic = 1;
  build_options.threads = 2;
  planish_plan* plan = nullptr;
  ASSERT_EQ(planish_build(network, &build_options, &plan), PLANISH_OK) << planish_error_message();
  planish_engine* engine = nullptr;
  ASSERT_EQ(planish_plan_engine(plan, &engine_options, &engine), PLANISH_OK) << planish_error_message();
  planish_plan_free(plan);
  planish_network_free(network);
  planish_parallel_for threads{};
  threads.struct_size = sizeof(threads);
  threads.threads = 2;
  threads.user = &counts;
  threads.run = [](void* user, int64_t count, void (*task)(void*, int64_t), void* task_context) {
    for (int64_t i = 0; i < count; ++i, ++static_cast<Counts*>(user)->tasks) task(task_context, i);
  };
  planish_context_options context_options{};
  context_options.struct_size = sizeof(context_options);
  context_options.parallel_for = &threads;
  planish_context* context = nullptr;
  ASSERT_EQ(planish_context_create(engine, &context_options, &context), PLANISH_OK);
  ASSERT_EQ(planish_context_set_input(context, 0, ones.data(), square, 2), PLANISH_OK);
  ASSERT_EQ(planish_context_run(context, nullptr), PLANISH_OK) << planish_error_message();
  const void* data = nullptr;
  const int64_t* result_dims = nullptr;
  int64_t bytes = 0;
  int rank = 0;
  ASSERT_EQ(planish_context_output(context, 0, &data, &bytes, &result_dims, &rank), PLANISH_OK);
  ASSERT_EQ(bytes, kSize * kSize * 4);
  for (int64_t i = 0; i < kSize * kSize; ++i) ASSERT_EQ(static_cast<const float*>(data)[i], kSize);
  planish_context_free(context);
  planish_engine_free(engine);
  EXPECT_GT(counts.given, 0);
  EXPECT_EQ(counts.given, counts.taken);
  EXPECT_GT(counts.tasks, 0);
}

TEST(CApi, BuildsInAPrecisionAreNamed) {
  planish_network* network = make_network();
  planish_build_options options;
  planish_build_options_init(&options);
  options.deterministic = 1;
  options.precision = "fp8";
  planish_plan* plan = nullptr;
  EXPECT_EQ(planish_build(network, &options, &plan), PLANISH_INVALID_ARGUMENT);
  EXPECT_NE(std::string(planish_error_message()).find("fp32, tf32, fp16 or bf16"), std::string::npos);
  options.precision = options.io_precision = "fp16";
  ASSERT_EQ(planish_build(network, &options, &plan), PLANISH_OK) << planish_error_message();
  planish_engine* engine = nullptr;
  ASSERT_EQ(planish_plan_engine(plan, nullptr, &engine), PLANISH_OK) << planish_error_message();
  EXPECT_EQ(planish_engine_input_dtype(engine, 0), PLANISH_F16);
  planish_engine_free(engine);
  planish_plan_free(plan);
  planish_network_free(network);
}

TEST(CApi, BuildsTellTheirProgressAndAreCancelled) {
  planish_network* network = make_network();
  planish_build_options options;
  planish_build_options_init(&options);
  options.deterministic = 1;
  const int64_t smallest[] = {1, 4}, usual[] = {2, 4}, largest[] = {8, 4};
  planish_input_shape shape{sizeof(shape), "x", 2, smallest, usual, largest};
  options.shapes = &shape;
  options.shape_count = 1;
  struct Seen {
    int calls = 0;
    double fraction = 0;
  } seen;
  options.user = &seen;
  options.progress = [](void* user, const char* phase, double fraction, const char*) {
    auto& all = *static_cast<Seen*>(user);
    ++all.calls;
    EXPECT_NE(std::string(phase), "");
    EXPECT_GE(fraction, all.fraction);
    all.fraction = fraction;
    return 1;
  };
  planish_plan* plan = nullptr;
  ASSERT_EQ(planish_build(network, &options, &plan), PLANISH_OK) << planish_error_message();
  EXPECT_GT(seen.calls, 1);
  EXPECT_EQ(seen.fraction, 1);
  planish_plan_free(plan);
  plan = nullptr;
  options.progress = [](void*, const char*, double, const char*) { return 0; };
  EXPECT_EQ(planish_build(network, &options, &plan), PLANISH_CANCELLED);
  EXPECT_EQ(plan, nullptr);
  options.progress = nullptr;
  planish_cancel* cancel = nullptr;
  ASSERT_EQ(planish_cancel_create(&cancel), PLANISH_OK);
  planish_cancel_raise(cancel);
  options.cancel = cancel;
  EXPECT_EQ(planish_build(network, &options, &plan), PLANISH_CANCELLED);
  planish_cancel_free(cancel);
  planish_network_free(network);
}

TEST(CApi, LimitsAreNamedAndPlansSaved) {
  std::ifstream in(kDigits, std::ios::binary);
  const std::vector<char> bytes(std::istreambuf_iterator<char>(in), {});
  planish_import_options limits{};
  limits.struct_size = sizeof(limits);
  limits.name = "from memory";
  planish_network* network = nullptr;
  ASSERT_EQ(planish_network_load_onnx_memory(bytes.data(), bytes.size(), &limits, &network), PLANISH_OK)
      << planish_error_message();
  planish_network_free(network);
  network = nullptr;
  limits.max_nodes = 3;
  EXPECT_EQ(planish_network_load_onnx_memory(bytes.data(), bytes.size(), &limits, &network),
            PLANISH_RESOURCE_EXHAUSTED);
  EXPECT_THAT(planish_error_message(), HasSubstr("max_nodes"));
  EXPECT_THAT(planish_error_message(), HasSubstr("from memory"));
  EXPECT_EQ(network, nullptr);

  network = make_network();
  planish_plan* plan = make_plan(network);
  const std::string path = testing::TempDir() + "c_api.plan";
  ASSERT_EQ(planish_plan_save(plan, path.c_str()), PLANISH_OK);
  planish_engine* engine = nullptr;
  ASSERT_EQ(planish_engine_load(path.c_str(), nullptr, &engine), PLANISH_OK);
  planish_engine_free(engine);
  engine = nullptr;
  planish_engine_options options{};
  options.struct_size = sizeof(options);
  options.max_plan_bytes = 10;
  EXPECT_EQ(planish_engine_load(path.c_str(), &options, &engine), PLANISH_RESOURCE_EXHAUSTED);
  EXPECT_EQ(planish_plan_save(plan, "/nowhere/x.plan"), PLANISH_NOT_FOUND);
  std::filesystem::remove(path);
  planish_plan_free(plan);
  planish_network_free(network);
}

TEST(CApi, BodiesAndAttributesOfEveryKind) {
  planish_network* network = nullptr;
  ASSERT_EQ(planish_network_create("branches", &network), PLANISH_OK);
  const char* dims[] = {"2"};
  int flag = -1, x = -1, y = -1;
  ASSERT_EQ(planish_network_add_input(network, "flag", PLANISH_BOOL, nullptr, 0, &flag), PLANISH_OK);
  ASSERT_EQ(planish_network_add_input(network, "x", PLANISH_F32, dims, 1, &x), PLANISH_OK);
  planish_attributes* attributes = nullptr;
  ASSERT_EQ(planish_attributes_create(&attributes), PLANISH_OK);
  for (const auto& [key, op] : {std::pair("then_branch", "Relu"), std::pair("else_branch", "Neg")}) {
    planish_network* body = nullptr;
    int in = -1, out = -1;
    ASSERT_EQ(planish_network_create(op, &body), PLANISH_OK);
    ASSERT_EQ(planish_network_add_input(body, "a", PLANISH_F32, dims, 1, &in), PLANISH_OK);
    ASSERT_EQ(planish_network_add_op(body, op, &in, 1, nullptr, "b", &out, 1), PLANISH_OK);
    ASSERT_EQ(planish_network_mark_output(body, out, nullptr), PLANISH_OK);
    ASSERT_EQ(planish_attributes_set_network(attributes, key, body), PLANISH_OK);
    planish_network_free(body);
  }
  const int inputs[] = {flag, x, x};
  ASSERT_EQ(planish_network_add_op(network, "If", inputs, 3, attributes, "y", &y, 1), PLANISH_OK)
      << planish_error_message();
  planish_attributes_free(attributes);
  ASSERT_EQ(planish_attributes_create(&attributes), PLANISH_OK);
  ASSERT_EQ(planish_attributes_set_dtype(attributes, "to", PLANISH_F16), PLANISH_OK);
  ASSERT_EQ(planish_network_add_op(network, "Cast", &y, 1, attributes, "half", &y, 1), PLANISH_OK)
      << planish_error_message();
  planish_attributes_free(attributes);
  const int64_t perm[] = {0};
  ASSERT_EQ(planish_attributes_create(&attributes), PLANISH_OK);
  ASSERT_EQ(planish_attributes_set_ints(attributes, "perm", perm, 1), PLANISH_OK);
  ASSERT_EQ(planish_network_add_op(network, "Transpose", &y, 1, attributes, "z", &y, 1), PLANISH_OK);
  EXPECT_EQ(planish_attributes_set_int(attributes, "axis", 1), PLANISH_OK);
  EXPECT_EQ(planish_network_add_op(network, "Transpose", &y, 1, attributes, "q", &y, 1),
            PLANISH_INVALID_ARGUMENT);
  EXPECT_THAT(planish_error_message(), HasSubstr("axis"));
  const double numbers[] = {1, 2};
  EXPECT_EQ(planish_attributes_set_floats(attributes, "numbers", numbers, 2), PLANISH_OK);
  EXPECT_EQ(planish_attributes_set_string(attributes, "text", "abc"), PLANISH_OK);
  EXPECT_EQ(planish_attributes_set_int(nullptr, "axis", 1), PLANISH_INVALID_ARGUMENT);
  planish_attributes_free(attributes);
  planish_network_free(network);
}

TEST(CApi, TheHostTakesTheLog) {
  static std::string said;
  planish_set_log_callback([](void*, int level, const char* message) {
    EXPECT_LE(level, 2);
    said += message;
  }, nullptr);
  planish_set_log_level(2);
  planish_engine_free(make_engine());
  planish_set_log_level(1);
  planish_set_log_callback(nullptr, nullptr);
  EXPECT_THAT(said, HasSubstr("pass"));
  EXPECT_EQ(planish_load_plugin("/nowhere/plugin.so"), PLANISH_NOT_FOUND);
  EXPECT_THAT(planish_error_message(), HasSubstr("/nowhere/plugin.so"));
  EXPECT_STRNE(planish_version(), "");
}

}  // namespace
}  // namespace planish
