// Group D of the bad inputs: well-formed files whose graph makes no sense, or too much of it.
#include "base/text.h"
#include "eval/interpreter.h"
#include "expect_status.h"

namespace planish::tests {
namespace {

Message branch(const std::vector<Message>& nodes, const std::string& output) {
  GraphText graph;
  graph.nodes = nodes;
  graph.outputs = {value(output, kFloat)};
  return graph.message();
}

// x: f32[N, 4], c: bool; y = If(c) { then } else { otherwise }
ModelText if_model(const Message& then_branch, const Message& else_branch) {
  ModelText model = relu_model();
  model.graph.inputs.push_back(value("c", kBool, {}));
  model.graph.nodes = {node(
      "If", {"c"}, {"y"},
      {attr_graph("then_branch", then_branch), attr_graph("else_branch", else_branch)}, "choice")};
  return model;
}

TEST(Graphs, D61_cycle) {
  ModelText model = relu_model();
  model.graph.nodes = {node("Add", {"x", "b"}, {"a"}, {}, "one"),
                       node("Relu", {"a"}, {"b"}, {}, "two"),
                       node("Relu", {"b"}, {"y"}, {}, "three")};
  expect_refused(model, Code::kInvalidArgument, {"cycle", "'one' (Add)", "'two' (Relu)"});
  model.graph.nodes = {node("Relu", {"y"}, {"y"}, {}, "self")};
  expect_refused(model, Code::kInvalidArgument, {"cycle", "'self' (Relu)"});
}

TEST(Graphs, D62_undefined_input) {
  ModelText model = relu_model();
  model.graph.nodes = {node("Relu", {"z"}, {"y"}, {}, "act")};
  expect_refused(model, Code::kInvalidArgument,
                 {"'act' (Relu)", "input 0 reads 'z', which nothing produces"});
}

TEST(Graphs, D63_two_producers) {
  ModelText model = relu_model();
  model.graph.nodes.push_back(node("Abs", {"x"}, {"y"}, {}, "second"));
  expect_refused(model, Code::kInvalidArgument, {"'y'", "'act' (Relu)", "'second' (Abs)"});
  model = relu_model();
  model.graph.nodes.push_back(node("Abs", {"y"}, {"x"}, {}, "back"));
  EXPECT_FALSE(import(model).ok());
}

TEST(Graphs, D64_output_without_producer) {
  ModelText model = relu_model();
  model.graph.outputs.push_back(value("z", kFloat));
  expect_refused(model, Code::kInvalidArgument, {"output 'z' is produced by nothing"});
}

TEST(Graphs, NodesWithoutOutputs) {
  ModelText model = relu_model();
  model.graph.nodes.push_back(node("Squeeze", {"x"}, {}, {}, "mute"));
  expect_refused(model, Code::kInvalidArgument, {"'mute' (Squeeze)", "got no outputs"});
}

// A list of axes that only data decide gives the rank, however long the list.
TEST(Graphs, RanksBeyondTheLimit) {
  for (int64_t rank : {int64_t(100), int64_t(1) << 40}) {
    ModelText model = relu_model();
    model.graph.inputs.push_back(value("axes", kInt64, {rank}));
    model.graph.nodes = {node("Unsqueeze", {"x", "axes"}, {"y"}, {}, "deep")};
    expect_refused(model, Code::kResourceExhausted, {"'deep' (Unsqueeze)"});
  }
}

TEST(Graphs, D65_shadowing) {
  const Message good = branch({node("Abs", {"x"}, {"t"})}, "t");
  // A node of a branch defines a name of the graph around it.
  const Message bad = branch({node("Abs", {"x"}, {"c"})}, "c");
  expect_refused(if_model(good, bad), Code::kInvalidArgument, {"'c' has the name of a value"});
  EXPECT_TRUE(import(if_model(good, good)).ok()) << import(if_model(good, good)).status().to_string();
}

ModelText function_model(const std::vector<FunctionText>& functions) {
  ModelText model = relu_model();
  model.opsets.push_back({"local", 1});
  model.functions = functions;
  model.graph.nodes = {node("F0", {"x"}, {"y"}, {}, "call", "local")};
  return model;
}
FunctionText function(const std::string& name, const std::vector<Message>& nodes) {
  FunctionText made;
  made.name = name;
  made.inputs = {"a"};
  made.outputs = {"b"};
  made.nodes = nodes;
  return made;
}

TEST(Graphs, D66_self_recursive_function) {
  expect_refused(function_model({function("F0", {node("F0", {"a"}, {"b"}, {}, "again", "local")})}),
                 Code::kInvalidArgument, {"'call'", "'again'", "'F0' calls itself"});
}

TEST(Graphs, D67_mutual_recursion_through_a_body) {
  const Message body = branch({node("F0", {"a"}, {"t"}, {}, "again", "local")}, "t");
  const Message condition = raw_tensor("c", kBool, {}, std::string(1, '\1'));
  expect_refused(
      function_model({function("F0", {node("Constant", {}, {"k"}, {attr_tensor("value", condition)}),
                                      node("If", {"k"}, {"b"},
                                           {attr_graph("then_branch", body),
                                            attr_graph("else_branch", body)})})}),
      Code::kInvalidArgument, {"'F0' calls itself"});
}

TEST(Graphs, D68_call_chain_and_many_functions) {
  const auto chain = [](int length) {
    std::vector<FunctionText> functions;
    for (int i = 0; i + 1 < length; ++i)
      functions.push_back(
          function(cat("F", i), {node(cat("F", i + 1), {"a"}, {"b"}, {}, "", "local")}));
    functions.push_back(function(cat("F", length - 1), {node("Relu", {"a"}, {"b"})}));
    return function_model(functions);
  };
  const auto good = import(chain(100));
  ASSERT_TRUE(good.ok()) << good.status().to_string();
  EXPECT_EQ((*good)->node_count(), 1);
  expect_refused(chain(101), Code::kResourceExhausted, {"max_call_depth (100)"});
  expect_refused(chain(10001), Code::kResourceExhausted, {"max_functions (10000)"});
}

TEST(Graphs, D68_exponential_calls) {
  std::vector<FunctionText> functions;
  for (int i = 0; i < 40; ++i)
    functions.push_back(
        function(cat("F", i), {node(cat("F", i + 1), {"a"}, {"m"}, {}, "", "local"),
                               node(cat("F", i + 1), {"m"}, {"b"}, {}, "", "local")}));
  functions.push_back(function("F40", {node("Relu", {"a"}, {"b"})}));
  frontend::ImportOptions options;
  options.limits.max_nodes = 10000;
  expect_refused(function_model(functions), Code::kResourceExhausted, {"max_nodes (10000)"},
                 options);
}

TEST(Graphs, functions_are_inlined_with_attributes) {
  FunctionText leaky = function("F0", {node("LeakyRelu", {"a"}, {"b"}, {attr_ref("alpha", "slope", 1)},
                                            "inner")});
  leaky.attributes = {"slope"};
  ModelText model = function_model({leaky});
  expect_refused(model, Code::kInvalidArgument, {"'call'", "needs attribute 'slope'"});
  model.graph.nodes = {node("F0", {"x"}, {"y"}, {attr_float("slope", 0.5)}, "call", "local")};
  const auto graph = import(model);
  ASSERT_TRUE(graph.ok()) << graph.status().to_string();
  const ir::Node& added = *(*graph)->nodes().front();
  EXPECT_EQ(added.op, "LeakyRelu");
  EXPECT_EQ(added.attr_float("alpha"), 0.5);
  EXPECT_EQ(added.sources, std::vector<std::string>{"call/inner"});
  EXPECT_EQ((*graph)->outputs[0]->name, "y");
}

TEST(Graphs, D69_if_nested_a_thousand_deep) {
  Message inner = branch({node("Abs", {"x"}, {"t1000"})}, "t1000");
  for (int i = 999; i > 0; --i)
    inner = branch({node("If", {"c"}, {cat("t", i)},
                         {attr_graph("then_branch", inner)})}, cat("t", i));
  expect_refused(if_model(inner, inner), Code::kResourceExhausted, {"max_nesting (64)"});
}

TEST(Graphs, D70_empty_graph_and_no_outputs) {
  ModelText model;
  expect_refused(model, Code::kInvalidArgument, {"no outputs"});
  model = relu_model();
  model.graph.outputs.clear();
  expect_refused(model, Code::kInvalidArgument, {"no outputs"});
  expect_refused(Message().integer(1, 10).text(), Code::kInvalidArgument, {"no graph"});
  model = relu_model();
  model.graph.nodes.clear();
  model.graph.outputs = {value("x", kFloat)};
  EXPECT_TRUE(import(model).ok());
}

TEST(Graphs, D71_unknown_ops_are_listed_at_once) {
  ModelText model = relu_model();
  model.opsets.push_back({"com.example", 3});
  model.graph.nodes = {node("Foo", {"x"}, {"a"}, {}, "f1"), node("Foo", {"a"}, {"b"}, {}, "f2"),
                       node("Bar", {"b"}, {"c"}, {}, "b1", "com.example"),
                       node("Relu", {"c"}, {"y"})};
  expect_refused(model, Code::kUnsupported,
                 {"3 parts", "Foo (domain ai.onnx, opset 21)", "'f1', 'f2'",
                  "Bar (domain com.example, opset 3)", "'b1'"});
}

TEST(Graphs, D71_opsets) {
  ModelText model = relu_model();
  model.graph.nodes = {node("Relu", {"x"}, {"y"}, {}, "act", "com.example")};
  expect_refused(model, Code::kInvalidArgument, {"'act'", "no opset of domain 'com.example'"});
  model = relu_model();
  model.opsets.clear();
  expect_refused(model, Code::kInvalidArgument, {"imports no opset"});
  model.opsets = {{"", 21}, {"ai.onnx", 20}};
  expect_refused(model, Code::kInvalidArgument, {"beside opset 21"});
  model.opsets = {{"", 314159}};
  expect_refused(model, Code::kUnsupported, {"opset 314159", "expected 7 to 28"});
  model.opsets = {{"", 0}};
  expect_refused(model, Code::kInvalidArgument, {"opset 0"});
  model.opsets = {{"", -1}};
  expect_refused(model, Code::kInvalidArgument, {"opset -1"});
  model.opsets = {{"", 6}};
  expect_refused(model, Code::kUnsupported, {"opset 6", "expected 7 to 28"});
}

TEST(Graphs, D72_input_counts) {
  ModelText model = relu_model();
  model.graph.nodes = {node("Add", {"x"}, {"y"}, {}, "n")};
  expect_refused(model, Code::kInvalidArgument, {"'n' (Add)"});
  model.graph.nodes = {node("Relu", {"x", "x"}, {"y"}, {}, "n")};
  expect_refused(model, Code::kInvalidArgument, {"'n' (Relu)", "2 inputs"});
  model.graph.nodes = {node("Relu", {""}, {"y"}, {}, "n")};
  expect_refused(model, Code::kInvalidArgument, {"'n' (Relu)"});
  model.graph.nodes = {node("Relu", {}, {"y"}, {}, "n")};
  expect_refused(model, Code::kInvalidArgument, {"'n' (Relu)"});
  model.graph.nodes = {node("Relu", {"x"}, {"y", "z"}, {}, "n")};
  expect_refused(model, Code::kInvalidArgument, {"'n' (Relu)", "2 outputs"});
}

TEST(Graphs, D73_attributes) {
  ModelText model = relu_model();
  const auto with = [&](const Message& attribute) {
    model.graph.nodes = {node("LeakyRelu", {"x"}, {"y"}, {attribute}, "act")};
    return model;
  };
  expect_refused(with(attr_string("alpha", "much")), Code::kInvalidArgument,
                 {"'act' (LeakyRelu)", "alpha", "string", "expected float"});
  expect_refused(with(attr_ref("alpha", "slope", 1)), Code::kInvalidArgument,
                 {"'alpha'", "only attributes inside a function"});
  expect_refused(with(attr_float("beta", 1)), Code::kInvalidArgument, {"'act' (LeakyRelu)", "beta"});
  expect_refused(with(Message().bytes(1, "alpha").integer(3, 1).integer(20, 1)),
                 Code::kInvalidArgument, {"'alpha'", "declared FLOAT", "INT"});
  expect_refused(with(Message().bytes(1, "alpha")), Code::kInvalidArgument,
                 {"neither type nor value"});
  expect_refused(with(Message().bytes(1, "alpha").integer(20, 4)), Code::kInvalidArgument,
                 {"declared TENSOR", "nothing"});
  model.graph.nodes = {
      node("LeakyRelu", {"x"}, {"y"}, {attr_float("alpha", 1), attr_float("alpha", 2)}, "act")};
  expect_refused(model, Code::kInvalidArgument, {"'alpha' is given twice"});
  model.graph.nodes = {node("Cast", {"x"}, {"y"}, {}, "act")};
  expect_refused(model, Code::kInvalidArgument, {"'act' (Cast)", "to"});
}

TEST(Graphs, D74_a_million_nodes_in_a_chain) {
  Message graph;
  for (int i = 0; i < 1000000; ++i)
    graph.message(1, node("Relu", {i == 0 ? std::string("x") : cat("v", i)}, {cat("v", i + 1)}));
  graph.message(11, value("x", kFloat, {"N", 4})).message(12, value("v1000000", kFloat));
  const std::string bytes = Message()
                                .integer(1, 10)
                                .message(8, Message().bytes(1, "").integer(2, 21))
                                .message(7, graph)
                                .text();
  const auto imported = import(bytes);
  ASSERT_TRUE(imported.ok()) << imported.status().to_string();
  EXPECT_EQ((*imported)->node_count(), 1000000);
}

TEST(Graphs, D75_folding_bombs) {
  ModelText model = model_with(floats("w", {4}, {1, 2, 3, 4}));
  model.graph.nodes.clear();
  std::string last = "w";
  for (int i = 0; i < 60; ++i) {
    const std::string next = cat("w", i);
    model.graph.nodes.push_back(
        node("Concat", {last, last}, {next}, {attr_int("axis", 0)}, cat("double", i)));
    last = next;
  }
  model.graph.outputs = {value(last, kFloat)};
  const int64_t before = peak_memory_bytes();
  const auto graph = import(model);
  if (!graph.ok()) {
    EXPECT_THAT(graph.status().message(), testing::HasSubstr("double"));
  } else {
    EXPECT_FALSE(eval::interpret(registry(), **graph, std::vector{ir::Tensor(ir::DataType::kF32, {4})})
                     .ok());
  }
  EXPECT_LT(peak_memory_bytes() - before, int64_t(256) << 20);
}

TEST(Graphs, D77_sequences_maps_and_optionals) {
  const Message tensor = Message().message(1, Message().integer(1, kFloat));
  for (const uint32_t tag : {4u, 9u}) {
    ModelText model = relu_model();
    const Message type = Message().message(tag, Message().message(1, tensor));
    model.graph.inputs.push_back(Message().bytes(1, "s").message(2, type));
    expect_refused(model, Code::kUnsupported,
                   {"input: it is a ", tag == 4 ? "sequence" : "optional", "'s'"});
  }
  ModelText model = relu_model();
  model.graph.inputs.push_back(Message().bytes(1, "s"));
  expect_refused(model, Code::kInvalidArgument, {"input 's' has no type"});
  model.graph.inputs.back() = value("s", kFloat);
  expect_refused(model, Code::kUnsupported, {"shape is open", "'s'"});
  model.graph.inputs.back() = value("s", kString, {1});
  expect_refused(model, Code::kUnsupported, {"string", "'s'"});
}

TEST(Graphs, D78_given_shapes) {
  ModelText model = relu_model();
  model.graph.inputs.push_back(value("z", kFloat, {"N", 4}));
  frontend::ImportOptions options;
  options.shapes = {{"x", {2, 4}}, {"z", {3, 4}}};
  expect_refused(model, Code::kInvalidArgument, {"'N' both 2 and 3"}, options);
  options.shapes = {{"x", {2, 5}}};
  expect_refused(model, Code::kInvalidArgument, {"'x'", "dim 1 fixed to 4"}, options);
  options.shapes = {{"x", {2}}};
  expect_refused(model, Code::kInvalidArgument, {"'x' has rank 2"}, options);
  options.shapes = {{"q", {2}}};
  expect_refused(model, Code::kInvalidArgument, {"'q', which is not an input"}, options);
  options.shapes = {{"x", {-2, 4}}};
  expect_refused(model, Code::kInvalidArgument, {"'x'", "expected dims of 0 or more"}, options);
  options.shapes = {{"x", {2, 4}}};
  const auto graph = import(model, options);
  ASSERT_TRUE(graph.ok()) << graph.status().to_string();
  EXPECT_EQ(ir::to_string((*graph)->inputs[1]->type), "f32[2, 4]");
}

TEST(Graphs, D79_contradicted_declarations) {
  ModelText model = relu_model();
  model.graph.outputs = {value("y", kInt64, {"N", 4})};
  expect_refused(model, Code::kInvalidArgument, {"'act' (Relu)", "'y'", "element type int64"});
  model.graph.outputs = {value("y", kFloat, {"N", 5})};
  expect_refused(model, Code::kInvalidArgument, {"'y' is f32[N, 4]", "dim 1 as 5"});
  model.graph.outputs = {value("y", kFloat, {4})};
  expect_refused(model, Code::kInvalidArgument, {"rank 1"});
  model = relu_model();
  model.graph.nodes = {node("Relu", {"x"}, {"m"}, {}, "act"), node("Relu", {"m"}, {"y"})};
  model.graph.infos = {value("m", kFloat, {"N", 7})};
  expect_refused(model, Code::kInvalidArgument, {"'act' (Relu)", "'m'", "dim 1 as 7"});
}

TEST(Graphs, D80_unsorted_nodes_and_equal_names) {
  ModelText model = relu_model();
  model.graph.nodes = {node("Relu", {"b"}, {"y"}, {}, "same"), node("Abs", {"a"}, {"b"}, {}, "same"),
                       node("Neg", {"x"}, {"a"}, {}, "same")};
  const auto graph = import(model);
  ASSERT_TRUE(graph.ok()) << graph.status().to_string();
  std::vector<std::string> ops;
  for (const auto& n : (*graph)->nodes()) ops.push_back(n->op);
  EXPECT_EQ(ops, (std::vector<std::string>{"Neg", "Abs", "Relu"}));
  model = relu_model();
  model.graph.inputs.push_back(model.graph.inputs[0]);
  expect_refused(model, Code::kInvalidArgument, {"two inputs are named 'x'"});
  model = relu_model();
  model.graph.outputs.push_back(model.graph.outputs[0]);
  expect_refused(model, Code::kInvalidArgument, {"two outputs are named 'y'"});
}

TEST(Graphs, D81_mixed_types) {
  ModelText model = model_with(ints("w", {4}, {1, 2, 3, 4}));
  expect_refused(model, Code::kInvalidArgument, {"'sum' (Add)", "i64", "expected f32"});
}

TEST(Graphs, D82_ir_versions) {
  ModelText model = relu_model();
  model.ir_version = 0;
  expect_refused(model, Code::kInvalidArgument, {"ir_version is 0"});
  model.ir_version = -1;
  expect_refused(model, Code::kInvalidArgument, {"ir_version is -1"});
  model.ir_version = int64_t(1) << 31;
  expect_refused(model, Code::kUnsupported, {"ir_version is 2147483648", "3 to 14"});
  for (int64_t version = 3; version <= 14; ++version) {
    model.ir_version = version;
    EXPECT_TRUE(import(model).ok()) << version;
  }
}

TEST(Graphs, D83_metadata) {
  const Message big = Message().bytes(1, "key").bytes(2, std::string(100 << 20, 'm'));
  expect_refused(relu_model().bytes() + Message().message(14, big).text(), Code::kResourceExhausted,
                 {"max_metadata_bytes"});
  const Message small = Message().bytes(1, "key").bytes(2, "text");
  const auto graph = import(relu_model().bytes() + Message().message(14, small).text());
  ASSERT_TRUE(graph.ok());
  EXPECT_EQ((*graph)->metadata.at("key"), "text");
}

TEST(Graphs, D84_captures_of_nested_branches) {
  // Every level reads x and c; captures must stay two per level.
  Message inner = branch({node("Abs", {"x"}, {"t20"})}, "t20");
  for (int i = 19; i > 0; --i) {
    const Message other = branch({node("Neg", {"x"}, {cat("e", i)})}, cat("e", i));
    inner = branch({node("If", {"c"}, {cat("t", i)},
                         {attr_graph("then_branch", inner), attr_graph("else_branch", other)})},
                   cat("t", i));
  }
  const auto graph = import(if_model(inner, branch({node("Neg", {"x"}, {"e"})}, "e")));
  ASSERT_TRUE(graph.ok()) << graph.status().to_string();
  EXPECT_TRUE(ir::verify(**graph).ok());
  const ir::Node& choice = *(*graph)->nodes().back();
  EXPECT_LE(choice.inputs.size(), 4u);
}

// A Loop whose value v grows by one row in each iteration.
ModelText growing_loop(const std::string& op) {
  GraphText body;
  body.inputs = {value("i", kInt64, {}), value("more", kBool, {}), value("v", kFloat)};
  body.nodes = {node("Identity", {"more"}, {"more_out"}),
                node(op, {"v", "x"}, {"v_out"},
                     op == "Concat" ? std::vector{attr_int("axis", 0)} : std::vector<Message>())};
  body.outputs = {value("more_out", kBool), value("v_out", kFloat)};
  ModelText model = relu_model();
  model.graph.inputs = {value("x", kFloat, {1, 4}), value("start", kFloat, {2, 4})};
  model.graph.initializers = {ints("trips", {}, {3})};
  model.graph.outputs = {value("y", kFloat)};
  model.graph.nodes = {
      node("Loop", {"trips", "", "start"}, {"y"}, {attr_graph("body", body.message())}, "loop")};
  return model;
}

TEST(Graphs, carried_values_that_grow) {
  for (const char* op : {"Concat", "Add"}) {
    const auto graph = import(growing_loop(op));
    ASSERT_TRUE(graph.ok()) << graph.status().to_string();
    const std::vector inputs = {ir::Tensor(ir::DataType::kF32, {1, 4}),
                                ir::Tensor(ir::DataType::kF32, {2, 4})};
    const auto outputs = eval::interpret(registry(), **graph, inputs);
    ASSERT_TRUE(outputs.ok()) << outputs.status().to_string();
    EXPECT_EQ((*outputs)[0].dim(0), op == std::string("Concat") ? 5 : 2);
  }
}

TEST(Graphs, D76_endless_loop) {
  ModelText model = growing_loop("Add");
  model.graph.initializers = {ints("trips", {}, {INT64_MAX})};
  const auto graph = import(model);
  ASSERT_TRUE(graph.ok()) << graph.status().to_string();
  const std::atomic<bool> cancel = true;
  eval::Options options;
  options.cancel = &cancel;
  const std::vector inputs = {ir::Tensor(ir::DataType::kF32, {1, 4}),
                              ir::Tensor(ir::DataType::kF32, {2, 4})};
  EXPECT_EQ(eval::interpret(registry(), **graph, inputs, options).status().code(),
            Code::kCancelled);
}

TEST(Graphs, known_conditions_choose_at_import) {
  // The other branch does not fit any shape.
  ModelText model = if_model(branch({node("Abs", {"x"}, {"t"})}, "t"),
                             branch({node("Add", {"x", "w"}, {"e"})}, "e"));
  model.graph.initializers = {raw_tensor("c", kBool, {}, std::string(1, '\1')),
                              floats("w", {7}, {1, 2, 3, 4, 5, 6, 7})};
  model.graph.inputs.pop_back();
  const auto graph = import(model);
  ASSERT_TRUE(graph.ok()) << graph.status().to_string();
  ASSERT_EQ((*graph)->node_count(), 1);
  EXPECT_EQ((*graph)->nodes().front()->op, "Abs");
  EXPECT_EQ((*graph)->outputs[0]->name, "y");
  model.graph.initializers[0] = raw_tensor("c", kBool, {}, std::string(1, '\0'));
  expect_refused(model, Code::kInvalidArgument, {"'choice' (If)", "'Add:e' (Add)"});
}

TEST(Graphs, names_of_the_file_are_kept) {
  ModelText model = relu_model();
  model.graph.nodes = {node("Identity", {"x"}, {"m"}), node("Relu", {"m"}, {"y"}, {}, "act")};
  model.graph.outputs.push_back(value("m", kFloat));
  frontend::ImportOptions options;
  options.extra_outputs = {"m", "y"};
  const auto graph = import(model, options);
  ASSERT_TRUE(graph.ok()) << graph.status().to_string();
  EXPECT_EQ((*graph)->inputs[0]->name, "x");
  ASSERT_EQ((*graph)->outputs.size(), 2u);
  EXPECT_EQ((*graph)->outputs[0]->name, "y");
  EXPECT_EQ((*graph)->outputs[1]->name, "m");
  options.extra_outputs = {"q"};
  expect_refused(model, Code::kNotFound, {"'q'"}, options);
}

TEST(Graphs, symbols_of_inputs) {
  ModelText model = relu_model();
  model.graph.inputs = {value("x", kFloat, {"N", ""})};
  model.graph.outputs = {value("y", kFloat)};
  const auto graph = import(model);
  ASSERT_TRUE(graph.ok()) << graph.status().to_string();
  EXPECT_EQ(ir::to_string((*graph)->outputs[0]->type), "f32[N, x_1]");
  EXPECT_EQ((*graph)->symbols.size(), 2u);
}

}  // namespace
}  // namespace planish::tests
