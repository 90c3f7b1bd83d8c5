// Group A of the bad inputs: bytes that are no protobuf, or no ONNX. Numbers are those of
// docs/bad_inputs.md.
#include <random>

#include "base/text.h"
#include "expect_status.h"

namespace planish::tests {
namespace {

std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 128; value >>= 7) out += char(value | 128);
  return out + char(value);
}
std::string field(uint32_t tag, uint32_t wire_type) { return varint(tag << 3 | wire_type); }

TEST(Wire, A01_empty_file) {
  expect_refused(std::string(), Code::kDataLoss, {"not an ONNX model"});
}

TEST(Wire, A02_one_byte) {
  for (int b = 0; b < 256; ++b) EXPECT_FALSE(import(std::string(1, char(b))).ok()) << b;
  expect_refused(std::string("\x08"), Code::kDataLoss, {"not a protobuf message"});
}

TEST(Wire, A03_random_bytes) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::string bytes(4096, '\0');
    for (char& c : bytes) c = char(random());
    EXPECT_FALSE(import(bytes).ok()) << "seed 7, round " << round;
  }
}

TEST(Wire, A04_every_prefix) {
  ModelText model = relu_model();
  model.graph.initializers = {floats("w", {2, 2}, {1, 2, 3, 4})};
  const std::string bytes = model.bytes();
  ASSERT_TRUE(import(bytes).ok());
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(import(bytes.substr(0, size)).ok()) << size;
}

TEST(Wire, A05_length_past_the_end) {
  expect_refused(field(7, 2) + varint(100) + "abc", Code::kDataLoss, {"not a protobuf message"});
}

TEST(Wire, A06_huge_lengths) {
  for (const uint64_t length : {uint64_t(1) << 31, uint64_t(1) << 32, uint64_t(1) << 63,
                                ~uint64_t(0)})
    expect_refused(field(7, 2) + varint(length) + "abc", Code::kDataLoss, {});
}

TEST(Wire, A07_varint_of_eleven_bytes) {
  expect_refused(field(1, 0) + std::string(10, '\xff') + "\x01", Code::kDataLoss, {"varint"});
}

TEST(Wire, A08_field_number_zero) {
  expect_refused(std::string("\x00\x01", 2), Code::kDataLoss, {"tag"});
}

TEST(Wire, A09_wire_types_six_and_seven) {
  expect_refused(field(1, 6) + "a", Code::kDataLoss, {});
  expect_refused(field(1, 7) + "a", Code::kDataLoss, {});
}

TEST(Wire, A10_wrong_wire_type_of_a_known_field) {
  expect_refused(field(7, 0) + varint(1), Code::kDataLoss, {"field 7 has wire type 0, expected 2"});
  const Message bad_node = Message().integer(4, 3);  // op_type as a number
  expect_refused(Message().integer(1, 10).message(7, Message().message(1, bad_node)).text(),
                 Code::kDataLoss, {"graph.node[0]: field 4 has wire type 0, expected 2"});
}

TEST(Wire, A10_dims_packed_and_unpacked) {
  const std::string raw(16, '\0');
  const Message packed = Message().packed_ints(1, {2, 2}).integer(2, kFloat).bytes(9, raw);
  const Message single =
      Message().integer(1, 2).integer(1, 2).integer(2, kFloat).bytes(9, raw);
  for (const Message& message : {packed, single}) {
    const auto tensor = frontend::read_tensor_proto(std::as_bytes(std::span(message.text())));
    ASSERT_TRUE(tensor.ok()) << tensor.status().to_string();
    EXPECT_EQ(tensor->tensor.dims(), (std::vector<int64_t>{2, 2}));
  }
}

TEST(Wire, A11_group_never_closed) {
  expect_refused(field(50, 3) + field(1, 0) + varint(1), Code::kDataLoss, {});
}

TEST(Wire, A12_nested_groups) {
  std::string bytes;
  for (int i = 0; i < 10000; ++i) bytes += field(50, 3);
  for (int i = 0; i < 10000; ++i) bytes += field(50, 4);
  expect_refused(relu_model().bytes() + bytes, Code::kDataLoss, {});
}

TEST(Wire, A13_ten_thousand_nested_subgraphs) {
  Message graph = GraphText().message();
  std::string inner = graph.text();
  for (int i = 0; i < 10000; ++i) {
    // Built by hand: adding layers through copies of messages would take quadratic time.
    const std::string attribute = "\x0a\x01g" + field(6, 2) + varint(inner.size()) + inner;
    const std::string one = field(4, 2) + "\x02If" + field(5, 2) + varint(attribute.size()) + attribute;
    inner = field(1, 2) + varint(one.size()) + one;
  }
  const std::string bytes =
      Message().integer(1, 10).text() + field(7, 2) + varint(inner.size()) + inner;
  expect_refused(bytes, Code::kResourceExhausted, {"max_nesting (64)"});
}

TEST(Wire, A14_singular_message_twice_is_merged) {
  GraphText first, second;
  first.inputs = {value("x", kFloat, {"N", 4})};
  first.outputs = {value("y", kFloat)};
  second.nodes = {node("Relu", {"x"}, {"y"})};
  const Message model = Message()
                            .integer(1, 10)
                            .message(8, Message().bytes(1, "").integer(2, 21))
                            .message(7, first.message())
                            .message(7, second.message());
  const auto graph = import(model.text());
  ASSERT_TRUE(graph.ok()) << graph.status().to_string();
  EXPECT_EQ((*graph)->node_count(), 1);
}

TEST(Wire, A15_ten_million_empty_entries) {
  // Each kind of repeated entry in two bytes; memory must stay a small multiple of the file.
  const int64_t before = peak_memory_bytes();
  for (const uint32_t tag : {1u, 5u, 11u, 12u, 13u, 15u}) {
    std::string graph;
    graph.reserve(20000000);
    for (int i = 0; i < 10000000; ++i) graph += field(tag, 2) + std::string(1, '\0');
    const std::string bytes =
        Message().integer(1, 10).text() + field(7, 2) + varint(graph.size()) + graph;
    EXPECT_FALSE(import(bytes).ok());
  }
  EXPECT_LT(peak_memory_bytes() - before, int64_t(400) << 20);
}

TEST(Wire, A15_many_small_nodes) {
  frontend::ImportOptions options;
  options.limits.max_nodes = 1000;
  ModelText model = relu_model();
  for (int i = 0; i < 1000; ++i) model.graph.nodes.push_back(node("Relu", {"x"}, {cat("v", i)}));
  expect_refused(model, Code::kResourceExhausted, {"max_nodes (1000)"}, options);
}

TEST(Wire, A16_packed_float_of_one_to_three_bytes) {
  for (int size = 1; size <= 3; ++size) {
    const Message tensor = tensor_head("w", kFloat, {1}).bytes(4, std::string(size_t(size), 'a'));
    expect_refused(model_with(tensor), Code::kDataLoss, {"'w'", "multiple of 4"});
    const Message attribute = Message().bytes(1, "alpha").integer(20, 6).bytes(7, "abc");
    ModelText model = relu_model();
    model.graph.nodes = {node("LeakyRelu", {"x"}, {"y"}, {attribute}, "act")};
    expect_refused(model, Code::kDataLoss, {"'act' (LeakyRelu)", "'alpha'", "multiple of 4"});
  }
}

TEST(Wire, A17_bad_names) {
  for (const std::string& name : {std::string("a\xff"), std::string("a\0b", 3), std::string("a\nb"),
                                  std::string("\xc0\x80"), std::string("\xed\xa0\x80")}) {
    ModelText model = relu_model();
    model.graph.nodes = {node("Relu", {"x"}, {"y"}, {}, name)};
    expect_refused(model, Code::kInvalidArgument, {"graph.node[0]", "\\x"});
  }
  ModelText model = relu_model();
  model.graph.nodes = {node("Relu", {"x"}, {"y"}, {}, std::string(1 << 20, 'n'))};
  expect_refused(model, Code::kResourceExhausted, {"max_name_bytes", "(1048576 bytes)"});
  model.graph.nodes = {node("Relu", {"x"}, {"y"}, {}, "größe/λ")};
  EXPECT_TRUE(import(model).ok());
}

TEST(Wire, A18_file_over_the_limit) {
  frontend::ImportOptions options;
  options.limits.max_file_bytes = 20;
  expect_refused(relu_model(), Code::kResourceExhausted, {"max_file_bytes (20)"}, options);
}

TEST(Wire, A19_trailing_garbage) {
  expect_refused(relu_model().bytes() + "\xff\xff\xff", Code::kDataLoss, {});
}

TEST(Wire, A20_two_models_in_one) {
  expect_refused(relu_model().bytes() + relu_model().bytes(), Code::kInvalidArgument, {"'x'"});
}

TEST(Wire, A21_enum_values_beyond_the_list) {
  expect_refused(model_with(raw_tensor("w", 9999, {1}, "abcd")), Code::kInvalidArgument,
                 {"'w'", "9999"});
  expect_refused(model_with(raw_tensor("w", -1, {1}, "abcd")), Code::kInvalidArgument,
                 {"'w'", "-1"});
  ModelText model = relu_model();
  for (const int64_t type : {int64_t(9999), int64_t(-1)}) {
    model.graph.nodes = {node("Relu", {"x"}, {"y"}, {Message().bytes(1, "a").integer(20, type)})};
    expect_refused(model, Code::kInvalidArgument, {cat("type number ", type)});
  }
  model = relu_model();
  model.graph.inputs = {value("x", 9999, {4})};
  expect_refused(model, Code::kInvalidArgument, {"input 'x'", "9999"});
}

}  // namespace
}  // namespace planish::tests
