// The text form: everything a graph holds survives print and parse, and hostile text is refused with
// line and column.
#include "ir/graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace planish::ir {
namespace {

using ::testing::HasSubstr;

void expect_round_trip(const Graph& graph) {
  ASSERT_TRUE(verify(graph).ok()) << verify(graph).to_string();
  PrintOptions full;
  full.full_constants = true;
  const std::string text = print(graph, full);
  auto parsed = parse(text);
  ASSERT_TRUE(parsed.ok()) << parsed.status().to_string() << "\n" << text;
  EXPECT_EQ(print(**parsed, full), text);
  EXPECT_EQ(print(**parsed), print(graph));
  EXPECT_TRUE(verify(**parsed).ok());
}

std::string message_of(std::string_view text) {
  auto parsed = parse(text);
  if (parsed.ok()) return "parsed";
  EXPECT_EQ(parsed.status().code(), Code::kInvalidArgument);
  return parsed.status().message();
}

TEST(Text, PrintsAReadableGraph) {
  Graph g;
  g.name = "tiny";
  g.symbols["N"] = {1, 64, false, std::nullopt};
  g.metadata["producer"] = "test";
  Value* x = g.add_input("x", {DataType::kF32, {Dim::symbol("N"), 3}});
  Value* w = g.add_constant("w", Tensor::from_f64(DataType::kF32, {2}, std::vector<double>{1, 0.1}));
  Node* n = g.add_node("Op", {x, nullptr, w}, {{"axis", int64_t(-1)}, {"alpha", 1.0}},
                       {{DataType::kF32, {Dim::symbol("N"), 3}}, {DataType::kI64, {2}}});
  n->sources = {"node_7"};
  g.rename(n->outputs[0], "y");
  g.rename(n->outputs[1], "strange name");
  n->outputs[0]->keep = true;
  n->outputs[1]->content = std::vector<Dim>{Dim::symbol("N"), 3};
  g.outputs = {n->outputs[0], n->outputs[1], n->outputs[0]};
  EXPECT_EQ(print(g), R"(graph "tiny" {
  symbol N [1, 64]
  metadata "producer" = "test"
  input %x: f32[N, 3]
  const %w: f32[2] = {1, 0.1}
  %y: f32[N, 3] keep, %"strange name": i64[2] content [N, 3] = Op(%x, _, %w) {alpha = 1.0, axis = -1} from "node_7"
  output %y, %"strange name", %y
}
)");
  expect_round_trip(g);
}

TEST(Text, KeepsEveryKindOfAttribute) {
  Graph g;
  auto body = std::make_shared<Graph>();
  body->name = "inner \"quoted\"\n";
  Value* b = body->add_input("b", {DataType::kF32, {}});
  body->outputs = {body->add_node("Relu", {b}, {}, {{DataType::kF32, {}}})->outputs[0]};
  Attributes attrs;
  attrs["int"] = int64_t(5);
  attrs["float"] = 5.0;
  attrs["huge"] = 1e300;
  attrs["inf"] = -std::numeric_limits<double>::infinity();
  attrs["nan"] = std::nan("");
  attrs["text"] = std::string("tab\there\x01");
  attrs["ints"] = std::vector<int64_t>{1, -2, std::numeric_limits<int64_t>::min()};
  attrs["floats"] = std::vector<double>{1, -0.0, 0.1};
  attrs["strings"] = std::vector<std::string>{"a", ""};
  attrs["no ints"] = std::vector<int64_t>{};
  attrs["no_floats"] = std::vector<double>{};
  attrs["no_strings"] = std::vector<std::string>{};
  attrs["type"] = DataType::kBF16;
  attrs["tensor"] = Tensor::scalar_i64(7);
  attrs["body"] = GraphPtr(body);
  Node* n = g.add_node("Any", {}, attrs, {{DataType::kF32, {}}});
  g.outputs = {n->outputs[0]};
  expect_round_trip(g);
  auto parsed = parse(print(g));
  ASSERT_TRUE(parsed.ok()) << parsed.status().to_string();
  const Node& back = *parsed.value()->nodes().front();
  for (const auto& [key, value] : attrs)
    EXPECT_EQ(back.attrs.at(key).index(), value.index()) << key;
  EXPECT_EQ(back.attr_string("text"), "tab\there\x01");
  EXPECT_TRUE(std::signbit(back.attr_floats("floats")[1]));
}

TEST(Text, KeepsLayoutsSpacesAndSymbols) {
  Graph g;
  g.symbols["N"] = {0, std::nullopt, false, std::nullopt};
  g.symbols["odd name"] = {1, 9, true, floordiv(Dim::symbol("N") * 4 + 1, 2)};
  TensorType t{DataType::kF16, {Dim::symbol("N"), 8, floordiv(Dim::symbol("odd name") + 1, 2), 4}};
  t.layout = Layout::channels_last(4);
  t.space = MemorySpace::kDevice;
  g.add_input("x", t);
  t.layout = Layout::blocked(1, 8);
  t.space = MemorySpace::kPinned;
  Value* y = g.add_input("y", t);
  t.layout = Layout::channels_last(4);
  t.layout.block_dim = 0;
  t.layout.block = 4;
  y->keep = true;
  g.outputs = {g.add_node("plugin::Op", {y}, {}, {t})->outputs[0]};
  expect_round_trip(g);
}

TEST(Text, KeepsConstantsOfEveryType) {
  std::mt19937 random(5);
  Graph g;
  for (int type = 0; type < kDataTypeCount; ++type) {
    for (int64_t count : {0, 1, 5, 40}) {
      Tensor t(DataType(type), {count});
      auto* bytes = t.mutable_data_as<uint8_t>();
      for (int64_t i = 0; i < t.bytes(); ++i) bytes[i] = uint8_t(random());
      g.add_constant("", t);
    }
  }
  expect_round_trip(g);
  PrintOptions full;
  full.full_constants = true;
  auto parsed = parse(print(g, full));
  ASSERT_TRUE(parsed.ok()) << parsed.status().to_string();
  for (const auto& [id, value] : g.values())
    EXPECT_TRUE(parsed.value()->find(value->name)->constant->same_bytes(*value->constant));
}

TEST(Text, TakesDigestsThroughALookup) {
  Graph g;
  const Tensor big = Tensor::from_f64(DataType::kF32, {20}, std::vector<double>(20, 1.5));
  g.outputs = {g.add_constant("big", big)};
  const std::string text = print(g);
  EXPECT_THAT(message_of(text), HasSubstr("is given by its digest"));
  ParseOptions options;
  options.constants = [&](std::string_view name, uint64_t wanted) -> std::optional<Tensor> {
    if (name == "big" && wanted == digest(big)) return big;
    return std::nullopt;
  };
  auto parsed = parse(text, options);
  ASSERT_TRUE(parsed.ok()) << parsed.status().to_string();
  EXPECT_EQ(print(**parsed), text);
  options.constants = [](std::string_view, uint64_t) { return Tensor::scalar_i64(1); };
  EXPECT_THAT(parse(text, options).status().message(), HasSubstr("got i64[], expected f32[20]"));
}

TEST(Text, FreshNamesDoNotCollide) {
  auto parsed = parse(R"(graph "" {
  %v_1: f32[], %v_0: f32[] = A()
  %v_3: f32[], %v_2: f32[] = B(%v_0)
  output %v_2
})");
  ASSERT_TRUE(parsed.ok()) << parsed.status().to_string();
  expect_round_trip(**parsed);
}

TEST(Text, SaysWhereTextIsWrong) {
  EXPECT_EQ(message_of("graf"), "graph text, line 1, column 1: expected 'graph', got \"graf\"");
  EXPECT_EQ(message_of("graph \"g\" {\n  input %x f32[1]\n}"),
            "graph text, line 2, column 12: expected ':', got \"f32\"");
  const std::pair<const char*, const char*> cases[] = {
      {"graph \"g", "no closing"},
      {"graph \"\\q\" {}", "unknown escape"},
      {"graph \"g\" {", "expected a statement, got the end"},
      {"graph \"g\" {} x", "expected end of text"},
      {"graph \"g\" { input %x: f99[1] }", "expected an element type"},
      {"graph \"g\" { input %x: f32[1 }", "column 27"},
      {"graph \"g\" { input %x: f32[N +] }", "line 1, column 27"},
      {"graph \"g\" { input %x: f32[1] input %x: f32[1] }", "defined twice"},
      {"graph \"g\" { output %y }", "value \"y\" is not defined before"},
      {"graph \"g\" { output _ }", "an output has to be a value"},
      {"graph \"g\" { const %c: f32[3] = {1, 2} }", "got 2 elements, expected 3"},
      {"graph \"g\" { const %c: f32[N] = {1, 2} }", "dims that are numbers"},
      {"graph \"g\" { const %c: f32[-1] = {} }", "dims that are numbers"},
      {"graph \"g\" { const %c: f32[9999999999, 9999999999, 0] = {} }", "exceeds"},
      {"graph \"g\" { const %c: f32[1000000000] = hex \"00\" }", "got 2 hex digits"},
      {"graph \"g\" { const %c: u8[1] = hex \"0g\" }", "hex digits"},
      {"graph \"g\" { %y: f32[1] = Op() {a = 1, a = 2} }", "given twice"},
      {"graph \"g\" { %y: f32[1] = Op() {a = } }", "column 36"},
      {"graph \"g\" { %y: f32[1] = Op() {a = [1, 2.5]} }", "expected an integer"},
      {"graph \"g\" { %y: f32[1], %y: f32[1] = Op() }", "defined twice"},
      {"graph \"g\" { %y: f32[1] perm(1,0) = Op() }", "layout does not fit rank 1"},
      {"graph \"g\" { %y: f32[1] blocked(x) = Op() }", "expected row_major"},
      {"graph \"g\" { symbol N [1, 99999999999999999999] }", "expected an integer"},
      {"graph \"g\" { symbol N [1, *] symbol N [1, *] }", "declared twice"},
  };
  for (const auto& [text, expected] : cases) EXPECT_THAT(message_of(text), HasSubstr(expected));
}

TEST(Text, BoundsNesting) {
  std::string text = "graph \"\" {";
  for (int i = 0; i < 100000; ++i) text += " %a: f32[] = If() {b = graph \"\" {";
  EXPECT_THAT(message_of(text), HasSubstr("at most 32 nested graphs"));
  EXPECT_THAT(message_of("graph \"\" { input %x: f32[" + std::string(100000, '(') + "] }"),
              HasSubstr("too long"));
  std::string rank = "graph \"\" { input %x: f32[1";
  for (int i = 0; i < 1000; ++i) rank += ", 1";
  EXPECT_THAT(message_of(rank + "] }"), HasSubstr("at most 64 dims"));
}

// Damaged text is refused or gives a graph that verifies; it never does harm.
TEST(Text, SurvivesMutations) {
  const std::string seed = R"(graph "g" {
  symbol N [1, 64] data upper (2*N)
  metadata "a" = "b"
  input %x: f32[N, floordiv(N + 1, 2)] keep
  const %w: f32[2] = {1, 0.5}
  const %h: u8[2] = hex "00ff"
  %y: f32[N] perm(0) device, %z: i64[2] content [N, 3] = Op(%x, _, %w) {axis = -1, s = ["a"], e = ints[], t = tensor f32[1] {1}, g = graph "" { input %q: f32[] output %q }} from "n"
  output %y
})";
  std::mt19937 random(11);
  int parsed_count = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string text = seed;
    const int edits = 1 + int(random() % 3);
    for (int e = 0; e < edits; ++e) {
      const size_t at = random() % text.size();
      switch (random() % 4) {
        case 0: text[at] = char(random()); break;
        case 1: text.erase(at, random() % 8); break;
        case 2: text.insert(at, text.substr(random() % text.size(), random() % 8)); break;
        default: text[at] = seed[random() % seed.size()];
      }
      if (text.empty()) break;
    }
    auto parsed = parse(text);
    if (!parsed.ok()) continue;
    ++parsed_count;
    PrintOptions full;
    full.full_constants = true;
    const std::string once = print(**parsed, full);
    auto again = parse(once);
    ASSERT_TRUE(again.ok()) << again.status().to_string() << "\n" << once;
    EXPECT_EQ(print(**again, full), once);
    EXPECT_TRUE(verify(**parsed).ok()) << verify(**parsed).to_string() << text;
  }
  EXPECT_GT(parsed_count, 500);
}

}  // namespace
}  // namespace planish::ir
