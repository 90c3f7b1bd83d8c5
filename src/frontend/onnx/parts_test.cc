// Units of the importer: names in messages, SHA-1, node order, tensors there and back, the list of
// refusals. Whole models are in tests/error and in the node cases.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "frontend/onnx/onnx_import.h"
#include "base/quote.h"
#include "opdef/refusals.h"
#include "frontend/onnx/sha1.h"
#include "frontend/onnx/topology.h"

namespace planish::frontend::onnx {
namespace {

TEST(Quote, EscapesAndCuts) {
  EXPECT_EQ(quoted("conv1"), "'conv1'");
  EXPECT_EQ(quoted("größe"), "'größe'");
  EXPECT_EQ(quoted(std::string_view("a\nb\0c\xff", 6)), "'a\\x0ab\\x00c\\xff'");
  const std::string cut = quoted(std::string_view(std::string(1000, 'n')));
  EXPECT_LT(cut.size(), 160u);
  EXPECT_THAT(cut, testing::HasSubstr("(1000 bytes)"));
}

TEST(Quote, KnowsCleanText) {
  EXPECT_TRUE(is_clean_text(""));
  EXPECT_TRUE(is_clean_text("λ/\xf0\x9f\x98\x80"));
  EXPECT_FALSE(is_clean_text("\xf5\x80\x80\x80"));      // beyond U+10FFFF
  EXPECT_FALSE(is_clean_text("\xe0\x80\x80"));          // overlong
  EXPECT_FALSE(is_clean_text("\xed\xa0\x80"));          // surrogate
  EXPECT_FALSE(is_clean_text("\xc3"));                  // cut off
  EXPECT_FALSE(is_clean_text("a\tb"));
}

std::string sha1_of(std::string_view text) {
  Sha1 sha1;
  sha1.update(std::as_bytes(std::span(text)));
  return sha1.finish();
}

TEST(Sha1, PublishedDigests) {  // FIPS 180-4 examples
  EXPECT_EQ(sha1_of(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  EXPECT_EQ(sha1_of("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(sha1_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  EXPECT_EQ(sha1_of(std::string(1000000, 'a')), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

NodeDesc node(std::vector<std::string_view> inputs, std::vector<std::string_view> outputs) {
  NodeDesc made;
  made.op_type = "Op";
  made.inputs = std::move(inputs);
  made.outputs = std::move(outputs);
  return made;
}

TEST(Topology, KeepsTheOrderThatServes) {
  FreeNames free_names;
  std::vector<NodeDesc> nodes;
  nodes.push_back(node({"c"}, {"d"}));
  nodes.push_back(node({"x"}, {"b"}));
  nodes.push_back(node({"a", "b"}, {"c"}));
  nodes.push_back(node({"x"}, {"a"}));
  const auto order = topological_order(nodes, free_names);
  ASSERT_TRUE(order.ok());
  EXPECT_EQ(*order, (std::vector<int>{1, 3, 2, 0}));
}

TEST(Topology, SeesWhatBodiesRead) {
  FreeNames free_names;
  std::vector<NodeDesc> nodes;
  nodes.push_back(node({}, {"y"}));
  nodes.push_back(node({"x"}, {"late"}));
  AttributeDesc& attribute = nodes[0].attributes.emplace_back();
  attribute.g = std::make_unique<GraphDesc>();
  attribute.g->nodes.push_back(node({"late", "inner"}, {"z"}));
  attribute.g->nodes.push_back(node({"late"}, {"inner"}));
  attribute.g->outputs.push_back({"z", {}});
  EXPECT_EQ(free_names.of(*attribute.g), (std::vector<std::string_view>{"late"}));
  const auto order = topological_order(nodes, free_names);
  ASSERT_TRUE(order.ok());
  EXPECT_EQ(*order, (std::vector<int>{1, 0}));
}

TEST(Topology, NamesTheNodesOfACycle) {
  FreeNames free_names;
  std::vector<NodeDesc> nodes;
  nodes.push_back(node({"x"}, {"ok"}));
  nodes.push_back(node({"ok", "b"}, {"a"}));
  nodes.push_back(node({"a"}, {"b"}));
  const auto order = topological_order(nodes, free_names);
  EXPECT_THAT(order.status().message(),
              testing::AllOf(testing::HasSubstr("'Op:a'"), testing::HasSubstr("'Op:b'"),
                             testing::Not(testing::HasSubstr("'Op:ok'"))));
}

TEST(Tensors, ReadBackAsWritten) {
  using ir::DataType;
  for (int t = 0; t < ir::kDataTypeCount; ++t) {
    const DataType dtype = DataType(t);
    const std::vector<int64_t> values = {1, 0, 1, 1, 0};
    const ir::Tensor tensor = ir::Tensor::from_i64(dtype, {5}, values);
    const std::string bytes = write_tensor_proto("t", tensor);
    const auto read = read_tensor_proto(std::as_bytes(std::span(bytes)));
    ASSERT_TRUE(read.ok()) << name_of(dtype) << ": " << read.status().to_string();
    EXPECT_EQ(read->name, "t");
    EXPECT_EQ(read->tensor.type(), tensor.type());
    EXPECT_TRUE(read->tensor.same_bytes(tensor)) << name_of(dtype);
  }
}

TEST(Refusals, ListEverythingOnce) {
  opdef::Refusals refusals;
  EXPECT_TRUE(refusals.to_status().ok());
  for (int i = 0; i < 8; ++i) refusals.add("Foo", "unknown", cat("n", i));
  refusals.add("Foo", "unknown", "n0");
  refusals.add("Bar", "too new", "b");
  EXPECT_EQ(refusals.count(), 9);
  const Status status = refusals.to_status();
  EXPECT_EQ(status.code(), Code::kUnsupported);
  EXPECT_EQ(status.message(),
            "9 parts of the model cannot be imported\n"
            "  Foo: unknown [8x: 'n0', 'n1', 'n2', 'n3', 'n4', ...]\n"
            "  Bar: too new [1x: 'b']");
}

}  // namespace
}  // namespace planish::frontend::onnx
