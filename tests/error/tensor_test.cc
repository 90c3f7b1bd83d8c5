// Group B of the bad inputs: tensors whose data and declaration disagree.
#include "base/text.h"
#include "expect_status.h"

namespace planish::tests {
namespace {

TEST(Tensors, B22_dims_wrap_64_bits) {
  expect_refused(model_with(raw_tensor("w", kFloat, {int64_t(1) << 32, int64_t(1) << 32}, "")),
                 Code::kResourceExhausted, {"'w'", "max_tensor_elements"});
  expect_refused(model_with(raw_tensor("w", kFloat, {INT64_MAX, INT64_MAX, 4}, "")),
                 Code::kResourceExhausted, {"'w'", "max_tensor_elements"});
}

TEST(Tensors, B23_dims_wrap_32_bits) {
  expect_refused(model_with(raw_tensor("w", kFloat, {65537, 65536}, "abcd")),
                 Code::kInvalidArgument, {"'w'", "4 bytes of raw_data", "17180131328"});
}

TEST(Tensors, B24_negative_dim) {
  expect_refused(model_with(raw_tensor("w", kFloat, {-1}, "")), Code::kInvalidArgument,
                 {"'w'", "dim 0 is negative"});
  expect_refused(model_with(raw_tensor("w", kFloat, {2, -2}, "")), Code::kInvalidArgument,
                 {"dim 1 is negative"});
  ModelText model = relu_model();
  model.graph.inputs = {value("x", kFloat, {-1, 4})};
  expect_refused(model, Code::kInvalidArgument, {"input 'x'", "dim 0 of -1"});
}

TEST(Tensors, B25_zero_dim) {
  expect_refused(model_with(raw_tensor("w", kFloat, {0, 4}, "abcd")), Code::kInvalidArgument,
                 {"4 bytes of raw_data, expected 0"});
  expect_refused(model_with(floats("w", {0}, {1, 2})), Code::kInvalidArgument,
                 {"2 entries of float_data, expected 0"});
  ModelText model;
  model.graph.inputs = {value("x", kFloat, {0, 4})};
  model.graph.outputs = {value("y", kFloat)};
  model.graph.initializers = {raw_tensor("w", kFloat, {0, 4}, "")};
  model.graph.nodes = {node("Add", {"x", "w"}, {"y"})};
  EXPECT_TRUE(import(model).ok()) << import(model).status().to_string();
}

TEST(Tensors, B26_raw_data_shorter) {
  expect_refused(model_with(raw_tensor("w", kFloat, {4}, std::string(15, '\0'))),
                 Code::kInvalidArgument, {"'w'", "15 bytes of raw_data", "expected 16", "f32[4]"});
}

TEST(Tensors, B27_raw_data_longer) {
  expect_refused(model_with(raw_tensor("w", kFloat, {1}, std::string(1000, '\0'))),
                 Code::kInvalidArgument, {"'w'", "1000 bytes of raw_data", "expected 4"});
}

TEST(Tensors, B28_typed_data_of_another_count) {
  expect_refused(
      model_with(tensor_head("w", kDouble, {50, 50}).packed_doubles(10, {1, 2, 3, 4})),
      Code::kInvalidArgument, {"'w'", "4 entries of double_data", "expected 2500"});
  expect_refused(model_with(ints("w", {4}, {1, 2, 3})), Code::kInvalidArgument,
                 {"3 entries of int64_data", "expected 4"});
  expect_refused(model_with(ints("w", {1}, std::vector<int64_t>(100, 1))), Code::kInvalidArgument,
                 {"100 entries of int64_data", "expected 1"});
}

TEST(Tensors, B28_typed_data_of_another_field) {
  expect_refused(model_with(tensor_head("w", kFloat, {1}).packed_ints(7, {1})),
                 Code::kInvalidArgument, {"'w'", "has int64_data, expected float_data"});
  expect_refused(model_with(tensor_head("w", kUint8, {1}).packed_ints(5, {256})),
                 Code::kInvalidArgument, {"entry 0 is 256, which u8 cannot hold"});
}

TEST(Tensors, B29_raw_and_typed_data) {
  expect_refused(model_with(floats("w", {1}, {1}).bytes(9, "abcd")), Code::kInvalidArgument,
                 {"'w'", "both raw_data and float_data"});
}

TEST(Tensors, B30_undefined_and_string_types) {
  expect_refused(model_with(raw_tensor("w", 0, {1}, "abcd")), Code::kInvalidArgument,
                 {"'w'", "no element type"});
  expect_refused(model_with(tensor_head("w", kString, {1}).bytes(6, "text")), Code::kUnsupported,
                 {"'w'", "string"});
}

TEST(Tensors, B31_packed_types_with_odd_counts) {
  const auto tensor = [](int64_t type, int64_t count, std::string_view raw) {
    const std::string text = raw_tensor("w", type, {count}, raw).text();
    return frontend::read_tensor_proto(std::as_bytes(std::span(text)));
  };
  const auto good = tensor(kInt4, 3, "\x21\xf7");  // 1, 2, 7; the last nibble is padding
  ASSERT_TRUE(good.ok()) << good.status().to_string();
  EXPECT_EQ(good->tensor.i64_values(), (std::vector<int64_t>{1, 2, 7}));
  EXPECT_EQ(good->tensor.data_as<uint8_t>()[1], 7) << "padding is cleared";
  EXPECT_FALSE(tensor(kInt4, 3, "a").ok());
  EXPECT_FALSE(tensor(kUint4, 2, "ab").ok());
  EXPECT_FALSE(tensor(23, 3, "abc").ok());  // float4e2m1
  EXPECT_FALSE(tensor(17, 3, "ab").ok());   // float8e4m3fn
}

TEST(Tensors, B32_segment) {
  const Message segment = Message().integer(1, 0).integer(2, 4);
  expect_refused(model_with(raw_tensor("w", kFloat, {1}, "abcd").message(3, segment)),
                 Code::kUnsupported, {"'w'", "segment"});
}

Message sparse(const Message& values, const Message& indices, const std::vector<int64_t>& dims) {
  return Message().message(1, values).message(2, indices).packed_ints(3, dims);
}

TEST(Tensors, B33_sparse_indices) {
  const auto refused = [](const Message& indices, const std::string& what) {
    ModelText model = model_with(floats("unused", {1}, {0}));
    model.graph.sparse = {sparse(floats("w", {2}, {1, 2}), indices, {2, 2})};
    expect_refused(model, Code::kInvalidArgument, {"'w'", what});
  };
  refused(ints("", {2}, {3, 1}), "sorted");
  refused(ints("", {2}, {1, 1}), "sorted");
  refused(ints("", {2}, {-1, 1}), "sparse index 0 is -1");
  refused(ints("", {2}, {0, 4}), "sparse index 1 is 4");
  refused(ints("", {2, 3}, {0, 0, 0, 1, 1, 1}), "expected i64[2] or i64[2, 2]");
  refused(ints("", {2, 2}, {0, 0, 0, 2}), "on axis 1");
  refused(ints("", {3}, {0, 1, 2}), "expected i64[2] or i64[2, 2]");
  ModelText model = model_with(floats("unused", {1}, {0}));
  model.graph.sparse = {sparse(floats("w", {2}, {1, 2}), ints("", {2}, {0, 3}), {4})};
  const auto graph = import(model);
  ASSERT_TRUE(graph.ok()) << graph.status().to_string();
  EXPECT_EQ((*graph)->find("w")->constant->f64_values(), (std::vector<double>{1, 0, 0, 2}));
}

TEST(Tensors, B33_sparse_bomb) {
  ModelText model = model_with(floats("unused", {1}, {0}));
  model.graph.sparse = {sparse(floats("w", {1}, {1}), ints("", {1}, {0}), {1 << 30, 4})};
  expect_refused(model, Code::kResourceExhausted, {"'w'", "max_folding_bytes"});
}

TEST(Tensors, B34_declared_without_data) {
  const int64_t before = peak_memory_bytes();
  expect_refused(model_with(raw_tensor("w", kFloat, {1000000000000}, "")),
                 Code::kResourceExhausted, {"'w'", "max_tensor_elements"});
  expect_refused(model_with(raw_tensor("w", kFloat, {1000000000}, "")), Code::kInvalidArgument,
                 {"'w'", "0 bytes of raw_data"});
  expect_refused(model_with(floats("w", {1000000000}, {})), Code::kInvalidArgument, {"0 entries"});
  expect_refused(model_with(ints("w", {1000000000}, {})), Code::kInvalidArgument, {"0 entries"});
  EXPECT_LT(peak_memory_bytes() - before, int64_t(64) << 20);
}

TEST(Tensors, B35_duplicate_initializers) {
  ModelText model = model_with(floats("w", {1}, {1}));
  model.graph.initializers.push_back(floats("w", {1}, {2}));
  expect_refused(model, Code::kInvalidArgument, {"two initializers are named 'w'"});
}

TEST(Tensors, B36_initializer_and_input_of_one_name) {
  ModelText model = model_with(floats("w", {1}, {1}));
  model.graph.inputs.push_back(value("w", kInt64, {1}));
  expect_refused(model, Code::kInvalidArgument, {"'w'", "f32[1]", "element type int64"});
  model.graph.inputs.back() = value("w", kFloat, {2});
  expect_refused(model, Code::kInvalidArgument, {"'w'", "dim 0 as 2"});
  model.graph.inputs.back() = value("w", kFloat, {1});
  model.ir_version = 3;
  EXPECT_TRUE(import(model).ok()) << import(model).status().to_string();
}

TEST(Tensors, B37_scalar_with_eight_bytes) {
  expect_refused(model_with(raw_tensor("w", kFloat, {}, "abcdefgh")), Code::kInvalidArgument,
                 {"'w'", "8 bytes of raw_data, expected 4"});
}

TEST(Tensors, B38_many_tiny_initializers) {
  ModelText model = model_with(floats("w", {1}, {1}));
  for (int i = 0; i < 100000; ++i)
    model.graph.initializers.push_back(floats(cat("c", i), {1}, {1}));
  EXPECT_TRUE(import(model).ok());  // the program's time limit catches a quadratic importer
}

}  // namespace
}  // namespace planish::tests
