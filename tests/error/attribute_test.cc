// Group E of the bad inputs: one operator each, with attributes or values that make no sense. Faults
// that stand in the file end the import; those that only the data show end the run. Both name the
// node and its operator.
#include <limits>

#include "base/text.h"
#include "eval/interpreter.h"
#include "expect_status.h"

namespace planish::tests {
namespace {

using Dims = std::vector<int64_t>;

// An operand: an input filled with `fill`, or a constant with these elements.
struct Operand {
  int64_t type = kFloat;
  Dims dims;
  double fill = 1;
  std::vector<double> values;
  bool is_constant = false;
  bool is_absent = false;
};
Operand input(Dims dims, double fill = 1, int64_t type = kFloat) { return {type, dims, fill, {}, false, false}; }
Operand given(Dims dims, std::vector<double> values, int64_t type = kInt64) {
  return {type, dims, 0, values, true, false};
}
Operand indices(std::vector<double> values) { return given({int64_t(values.size())}, values); }
Operand fed(Dims dims, std::vector<double> values, int64_t type = kInt64) {
  return {type, dims, 0, values, false, false};
}
Operand absent() { return {kFloat, {}, 0, {}, false, true}; }

struct OneOp {
  std::string op;
  std::vector<Operand> operands;
  std::vector<Message> attributes;
  int outputs = 1;
  int64_t opset = 21;
};

ir::DataType type_of(int64_t type) {
  switch (type) {
    case kFloat: return ir::DataType::kF32;
    case kInt64: return ir::DataType::kI64;
    case kInt32: return ir::DataType::kI32;
    case kUint8: return ir::DataType::kU8;
    case kInt8: return ir::DataType::kI8;
    default: return ir::DataType::kBool;
  }
}

ir::Tensor tensor_of(const Operand& operand) {
  const ir::DataType dtype = type_of(operand.type);
  std::vector<double> values = operand.values;
  if (values.empty()) values.assign(size_t(ir::element_count(operand.dims)), operand.fill);
  return ir::Tensor::from_f64(dtype, operand.dims, values);
}

// Imports the operator as a model of one node and runs it when it can be imported.
Status run(const OneOp& one) {
  ModelText model;
  model.opsets = {{"", one.opset}};
  std::vector<std::string> names, outputs;
  std::vector<ir::Tensor> feeds;
  for (size_t i = 0; i < one.operands.size(); ++i) {
    const Operand& operand = one.operands[i];
    names.push_back(operand.is_absent ? "" : cat("i", i));
    if (operand.is_absent) continue;
    if (operand.is_constant) {
      const ir::Tensor tensor = tensor_of(operand);
      model.graph.initializers.push_back(
          raw_tensor(names.back(), operand.type, operand.dims,
                     {static_cast<const char*>(tensor.data()), size_t(tensor.bytes())}));
      continue;
    }
    model.graph.inputs.push_back(
        value(names.back(), operand.type, {operand.dims.begin(), operand.dims.end()}));
    feeds.push_back(tensor_of(operand));
  }
  for (int i = 0; i < one.outputs; ++i) outputs.push_back(cat("o", i));
  model.graph.nodes = {node(one.op, names, outputs, one.attributes, "bad_node")};
  model.graph.outputs = {value("o0", 0)};
  const auto graph = import(model);
  if (!graph.ok()) return graph.status();
  return eval::interpret(registry(), **graph, feeds).status().at("bad.onnx");
}

// The operator is refused by a typed error that names node and operator and holds the pieces.
void expect_bad(const OneOp& one, const std::vector<std::string>& pieces = {}) {
  ASSERT_TRUE(registry().find_onnx("", one.op, int(one.opset)).op) << one.op << " is not registered";
  const Status status = run(one);
  EXPECT_FALSE(status.ok()) << one.op << " was taken";
  EXPECT_TRUE(status.code() == Code::kInvalidArgument || status.code() == Code::kUnsupported ||
              status.code() == Code::kResourceExhausted)
      << status.to_string();
  EXPECT_THAT(status.message(), testing::HasSubstr("bad_node"));
  EXPECT_THAT(status.message(), testing::HasSubstr(one.op));
  for (const std::string& piece : pieces)
    EXPECT_THAT(status.message(), testing::HasSubstr(piece));
}

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

TEST(Attributes, E85_conv) {
  const Operand x = input({1, 4, 8, 8}), w = input({6, 4, 3, 3});
  const auto conv = [&](const std::vector<Message>& attributes) {
    return OneOp{"Conv", {x, w}, attributes};
  };
  expect_bad({"Conv", {x, input({6, 4, 3})}, {}});
  expect_bad({"Conv", {x, input({6, 4, 3, 3, 3})}, {}});
  expect_bad({"Conv", {x, input({6, 3, 3, 3})}, {}});
  expect_bad({"Conv", {x, w, input({5})}, {}});
  expect_bad(conv({attr_ints("dilations", {2})}), {"dilations"});
  expect_bad(conv({attr_ints("strides", {0, 1})}), {"stride"});
  expect_bad(conv({attr_ints("strides", {-1, 1})}), {"stride"});
  expect_bad(conv({attr_ints("dilations", {0, 1})}), {"dilation"});
  expect_bad(conv({attr_int("group", 0)}), {"group"});
  expect_bad(conv({attr_int("group", 3)}), {"group"});
  expect_bad(conv({attr_int("group", -1)}), {"group"});
  expect_bad(conv({attr_ints("pads", {-20, 0, 0, 0})}));
  expect_bad(conv({attr_ints("pads", {kMax, kMax, kMax, kMax})}));
  expect_bad(conv({attr_ints("pads", {kMax - 10, 0, 0, 0})}));
  expect_bad(conv({attr_ints("pads", {1, 1})}), {"pads"});
  expect_bad(conv({attr_ints("kernel_shape", {5, 5})}), {"kernel_shape"});
  expect_bad(conv({attr_ints("dilations", {kMax, kMax})}));
  expect_bad(conv({attr_string("auto_pad", "SOMEHOW")}), {"auto_pad"});
  expect_bad({"Conv", {input({1, 4, 2, 2}), w}, {}});
}

TEST(Attributes, E85_conv_transpose) {
  const Operand x = input({1, 4, 8, 8}), w = input({4, 3, 3, 3});
  expect_bad({"ConvTranspose", {x, w}, {attr_ints("strides", {0, 0})}});
  expect_bad({"ConvTranspose", {x, w}, {attr_int("group", 3)}});
  expect_bad({"ConvTranspose", {x, w}, {attr_ints("strides", {kMax, 1})}});
  expect_bad({"ConvTranspose", {x, w}, {attr_ints("output_padding", {-1, 0})}});
  expect_bad({"ConvTranspose", {x, w}, {attr_ints("pads", {100, 100, 100, 100})}});
}

TEST(Attributes, E86_pools) {
  const Operand x = input({1, 2, 4, 4});
  for (const char* op : {"MaxPool", "AveragePool", "LpPool"}) {
    expect_bad({op, {x}, {attr_ints("kernel_shape", {0, 2})}}, {"kernel_shape"});
    expect_bad({op, {x}, {attr_ints("kernel_shape", {-1, 2})}}, {"kernel_shape"});
    expect_bad({op, {x}, {attr_ints("kernel_shape", {5, 5})}});
    expect_bad({op, {x}, {attr_ints("kernel_shape", {2})}}, {"kernel_shape"});
    expect_bad({op, {x}, {attr_ints("kernel_shape", {2, 2}), attr_ints("strides", {0, 0})}});
    expect_bad({op, {x}, {attr_ints("kernel_shape", {kMax, kMax})}});
    expect_bad({op, {x}, {}}, {"kernel_shape"});
  }
  expect_bad({"MaxPool", {input({4})}, {attr_ints("kernel_shape", {2})}});
}

TEST(Attributes, E87_axes) {
  const Operand x = input({2, 3});
  for (const int64_t axis : {int64_t(2), int64_t(-3), kMin, kMax}) {
    for (const char* op : {"Softmax", "LogSoftmax", "Hardmax", "ArgMax", "ArgMin"})
      expect_bad({op, {x}, {attr_int("axis", axis)}}, {"axis"});
    expect_bad({"Concat", {x, x}, {attr_int("axis", axis)}}, {"axis"});
    expect_bad({"Gather", {x, indices({0})}, {attr_int("axis", axis)}}, {"axis"});
    expect_bad({"Split", {x}, {attr_int("axis", axis), attr_int("num_outputs", 1)}}, {"axis"});
    expect_bad({"ReduceSum", {x, indices({double(axis)})}, {}}, {"ax"});
    expect_bad({"Squeeze", {x, indices({double(axis)})}, {}}, {"ax"});
    expect_bad({"CumSum", {x, given({}, {double(axis)})}, {}}, {"axis"});
  }
  expect_bad({"Flatten", {x}, {attr_int("axis", 3)}}, {"axis"});
  expect_bad({"Unsqueeze", {x, indices({0, 0})}, {}}, {"ax"});
  expect_bad({"Unsqueeze", {x, indices({9})}, {}}, {"ax"});
  expect_bad({"Squeeze", {x, indices({0})}, {}});
  expect_bad({"ReduceSum", {x, indices({0, 0})}, {}});
  expect_bad({"Concat", {x, input({2})}, {attr_int("axis", 0)}});
  expect_bad({"Concat", {x, input({3, 4})}, {attr_int("axis", 0)}});
}

TEST(Attributes, E88_transpose) {
  const Operand x = input({2, 3, 4});
  for (const Dims& perm : {Dims{0, 0, 1}, Dims{0, 1}, Dims{0, 1, 3}, Dims{0, 1, -4},
                           Dims{0, 1, 2, 3}, Dims{kMax, 0, 1}})
    expect_bad({"Transpose", {x}, {attr_ints("perm", perm)}}, {"perm"});
  // Counted from the end, as other runtimes take it.
  const Status status = run({"Transpose", {x}, {attr_ints("perm", {-1, 0, -2})}});
  EXPECT_TRUE(status.ok()) << status.to_string();
}

TEST(Attributes, E89_reshape) {
  const Operand x = input({2, 3});
  expect_bad({"Reshape", {x, indices({-1, -1})}, {}});
  expect_bad({"Reshape", {x, indices({-2, 3})}, {}});
  expect_bad({"Reshape", {x, indices({4, 2})}, {}});
  expect_bad({"Reshape", {x, indices({-1, 4})}, {}});
  expect_bad({"Reshape", {x, indices({2, 3, 0})}, {}});
  expect_bad({"Reshape", {x, indices({0, -1})}, {attr_int("allowzero", 1)}});
  expect_bad({"Reshape", {x, indices({4294967296.0, 4294967296.0})}, {}});
  expect_bad({"Reshape", {x, fed({2}, {4, 2})}, {}});
  expect_bad({"Reshape", {x, fed({2}, {-1, -1})}, {}});
  expect_bad({"Reshape", {x, given({1, 2}, {2, 3})}, {}});
  expect_bad({"Reshape", {x}, {}});
}

TEST(Attributes, E90_slice) {
  const Operand x = input({4, 4});
  const auto slice = [&](std::vector<double> starts, std::vector<double> ends,
                         std::vector<double> axes, std::vector<double> steps) {
    return OneOp{"Slice", {x, indices(starts), indices(ends), indices(axes), indices(steps)}, {}};
  };
  expect_bad(slice({0}, {1}, {8}, {1}), {"ax"});
  expect_bad(slice({0}, {1}, {-3}, {1}), {"ax"});
  expect_bad(slice({0, 0, 0}, {1}, {0}, {1}));
  expect_bad(slice({0}, {1}, {0}, {0}), {"step"});
  expect_bad(slice({0, 0}, {1, 1}, {0, 0}, {1, 1}));
  expect_bad(slice({0, 0}, {1, 1}, {0, 1}, {1}));
  expect_bad({"Slice", {x, fed({1}, {0}), fed({1}, {1}), fed({1}, {8}), fed({1}, {1})}, {}});
  expect_bad({"Slice", {x, fed({1}, {0}), fed({1}, {1}), fed({1}, {0}), fed({1}, {0})}, {}});
  // The smallest step is legal: it takes one element.
  if (registry().find_onnx("", "Slice", 21).op) {
    const double lowest = double(kMin);
    const Status status = run(slice({3}, {-100}, {0}, {lowest}));
    EXPECT_TRUE(status.ok()) << status.to_string();
  }
}

TEST(Attributes, E91_indices_out_of_range) {
  const Operand x = input({3, 2});
  for (const double index : {3.0, -4.0, 1e15, -1e15}) {
    expect_bad({"Gather", {x, indices({index})}, {}});
    expect_bad({"Gather", {x, fed({1}, {index})}, {}}, {"ind"});
    expect_bad({"GatherElements", {x, fed({1, 2}, {index, 0})}, {}}, {"ind"});
    expect_bad({"GatherND", {x, fed({1, 1}, {index})}, {}}, {"ind"});
    expect_bad({"ScatterElements", {x, fed({1, 1}, {index}), input({1, 1})}, {}}, {"ind"});
    expect_bad({"ScatterND", {x, fed({1, 1}, {index}), input({1, 2})}, {}}, {"ind"});
  }
  expect_bad({"ScatterElements", {x, fed({1, 1}, {0}), input({2, 1})}, {}});
  expect_bad({"ScatterND", {x, fed({1, 1}, {0}), input({1, 3})}, {}});
  expect_bad({"ScatterND", {x, fed({1, 3}, {0, 0, 0}), input({1})}, {}});
  expect_bad({"GatherElements", {x, fed({1}, {0})}, {}});
}

TEST(Attributes, E92_gather_nd) {
  const Operand x = input({2, 3, 4});
  expect_bad({"GatherND", {x, given({2, 1}, {0, 0})}, {attr_int("batch_dims", 2)}});
  expect_bad({"GatherND", {x, given({2, 1}, {0, 0})}, {attr_int("batch_dims", 9)}});
  expect_bad({"GatherND", {x, given({2, 1}, {0, 0})}, {attr_int("batch_dims", -1)}});
  expect_bad({"GatherND", {x, given({3, 1}, {0, 0, 0})}, {attr_int("batch_dims", 1)}});
  expect_bad({"GatherND", {x, given({1, 4}, {0, 0, 0, 0})}, {}});
  expect_bad({"GatherND", {x, given({}, {0})}, {}});
}

TEST(Attributes, E93_resize) {
  const Operand x = input({1, 1, 4, 4});
  const auto scales = [&](std::vector<double> values) {
    return OneOp{"Resize", {x, absent(), given({int64_t(values.size())}, values, kFloat)}, {}};
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double scale : {0.0, -1.0, nan, infinity, 1e30, 1.1e12})
    expect_bad(scales({1, 1, scale, 1}));
  expect_bad(scales({1, 1}));
  expect_bad({"Resize", {x}, {}});
  expect_bad({"Resize", {x, absent(), given({4}, {1, 1, 2, 2}, kFloat), indices({1, 1, 8, 8})}, {}});
  expect_bad({"Resize", {x, absent(), absent(), indices({1, 1, -8, 8})}, {}});
  expect_bad({"Resize", {x, absent(), absent(), indices({1, 1, 1048576, 1048576})}, {}});
  expect_bad({"Resize", {x, absent(), absent(), indices({1, 1, 8, 8})}, {attr_string("mode", "odd")}},
             {"mode"});
  expect_bad({"Resize", {x, absent(), absent(), indices({8, 8})}, {attr_ints("axes", {2, 9})}},
             {"ax"});
  expect_bad({"Resize", {x, absent(), absent(), indices({8, 8})}, {attr_ints("axes", {2, 2})}});
}

TEST(Attributes, E94_split) {
  const Operand x = input({6, 2});
  expect_bad({"Split", {x, indices({4, 4})}, {}, 2});
  expect_bad({"Split", {x, indices({-1, 7})}, {}, 2});
  expect_bad({"Split", {x, indices({6})}, {}, 2});
  expect_bad({"Split", {x}, {attr_int("num_outputs", 0)}}, {"num_outputs"});
  expect_bad({"Split", {x}, {attr_int("num_outputs", 3)}, 2}, {"num_outputs"});
  expect_bad({"Split", {x}, {attr_int("num_outputs", kMax)}});
  expect_bad({"Split", {x, indices({3, 3})}, {attr_int("num_outputs", 2)}, 2});
}

TEST(Attributes, E95_top_k) {
  const Operand x = input({3, 4});
  for (const double k : {-1.0, 5.0, 1e18}) {
    expect_bad({"TopK", {x, indices({k})}, {}, 2});
    expect_bad({"TopK", {x, fed({1}, {k})}, {}, 2});
  }
  expect_bad({"TopK", {x, indices({1})}, {attr_int("axis", 2)}, 2}, {"axis"});
}

TEST(Attributes, E96_pad) {
  const auto pad = [](Dims dims, std::vector<double> pads, const char* mode) {
    return OneOp{"Pad", {input(dims), indices(pads)}, {attr_string("mode", mode)}};
  };
  expect_bad(pad({1}, {1, 1}, "reflect"));
  expect_bad(pad({3}, {3, 0}, "reflect"));
  expect_bad(pad({3}, {-2, -2}, "constant"));
  expect_bad(pad({3}, {0, -4}, "constant"));
  expect_bad(pad({3}, {-0x1p63, -1}, "constant"));
  expect_bad(pad({3}, {1}, "constant"));
  expect_bad(pad({3}, {1, 1}, "odd"), {"mode"});
  expect_bad(pad({3}, {double(kMax), 0}, "constant"));
  expect_bad(pad({3}, {1e12, 0}, "constant"));
  expect_bad(pad({0}, {1, 1}, "edge"));
}

TEST(Attributes, E97_sizes_from_values) {
  expect_bad({"OneHot", {indices({0, 1}), given({}, {-3}), given({2}, {0, 1}, kFloat)}, {}});
  expect_bad({"OneHot", {indices({0, 1}), given({}, {1e15}), given({2}, {0, 1}, kFloat)}, {}});
  expect_bad({"OneHot", {indices({0, 1}), given({}, {3}), given({3}, {0, 1, 2}, kFloat)}, {}});
  expect_bad({"Range", {given({}, {0}), given({}, {10}), given({}, {0})}, {}});
  expect_bad({"Range", {given({}, {0}), given({}, {double(int64_t(1) << 60)}), given({}, {1})}, {}});
  expect_bad({"Range", {fed({}, {0}), fed({}, {10}), fed({}, {0})}, {}});
  expect_bad({"Range", {fed({}, {0}), fed({}, {1e15}), fed({}, {1})}, {}});
  expect_bad({"ConstantOfShape", {indices({-1})}, {}});
  expect_bad({"ConstantOfShape", {indices({1e6, 1e6})}, {}});
  expect_bad({"ConstantOfShape", {fed({2}, {1e6, 1e6})}, {}});
  expect_bad({"Expand", {input({1}), indices({1e6, 1e6})}, {}});
  expect_bad({"Expand", {input({2}), indices({3})}, {}});
  expect_bad({"Expand", {input({2}), fed({1}, {3})}, {}});
  expect_bad({"Tile", {input({4}), indices({1e12})}, {}});
  expect_bad({"Tile", {input({4}), indices({-1})}, {}});
  expect_bad({"Tile", {input({4}), indices({1, 1})}, {}});
  expect_bad({"EyeLike", {input({65537, 2, 2})}, {}});
}

TEST(Attributes, E98_recurrent) {
  const Operand x = input({5, 1, 3});  // T, batch, features; hidden size 2
  const std::vector<Message> hidden = {attr_int("hidden_size", 2)};
  expect_bad({"LSTM", {x, input({2, 8, 3}), input({1, 8, 2})}, hidden, 3});
  expect_bad({"LSTM", {x, input({1, 7, 3}), input({1, 8, 2})}, hidden, 3});
  expect_bad({"LSTM", {x, input({1, 8, 4}), input({1, 8, 2})}, hidden, 3});
  expect_bad({"LSTM", {x, input({1, 8, 3}), input({1, 8, 2})}, {attr_int("hidden_size", 0)}, 3});
  expect_bad({"LSTM", {x, input({1, 8, 3}), input({1, 8, 2})}, {attr_int("hidden_size", -2)}, 3});
  expect_bad({"LSTM", {x, input({1, 8, 3}), input({1, 8, 2}), input({1, 15})}, hidden, 3});
  expect_bad({"LSTM", {x, input({1, 8, 3}), input({1, 8, 2})},
              {attr_int("hidden_size", 2), attr_string("direction", "sideways")}, 3},
             {"direction"});
  for (const double length : {6.0, -1.0}) {
    expect_bad({"LSTM", {x, input({1, 8, 3}), input({1, 8, 2}), absent(), fed({1}, {length}, kInt32)},
                hidden, 3});
    expect_bad({"GRU", {x, input({1, 6, 3}), input({1, 6, 2}), absent(), fed({1}, {length}, kInt32)},
                hidden, 2});
    expect_bad({"RNN", {x, input({1, 2, 3}), input({1, 2, 2}), absent(), fed({1}, {length}, kInt32)},
                hidden, 2});
  }
  expect_bad({"GRU", {x, input({2, 6, 3}), input({1, 6, 2})}, hidden, 2});
  expect_bad({"RNN", {x, input({2, 2, 3}), input({1, 2, 2})}, hidden, 2});
}

TEST(Attributes, E99_quantize) {
  const Operand x = input({2, 4});
  const auto scale = [](double value) { return given({}, {value}, kFloat); };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double bad : {0.0, -1.0, nan}) expect_bad({"QuantizeLinear", {x, scale(bad)}, {}});
  expect_bad({"QuantizeLinear", {x, given({3}, {1, 1, 1}, kFloat)}, {attr_int("axis", 1)}});
  expect_bad({"QuantizeLinear", {x, given({4}, {1, 1, 1, 1}, kFloat)}, {attr_int("axis", 5)}},
             {"axis"});
  expect_bad({"QuantizeLinear", {x, scale(1), given({}, {0}, kInt64)}, {}});
  expect_bad({"QuantizeLinear", {x, scale(1), given({4}, {0, 0, 0, 0}, kUint8)}, {}});
  expect_bad({"QuantizeLinear", {x, given({2, 3}, {1, 1, 1, 1, 1, 1}, kFloat)},
              {attr_int("axis", 1), attr_int("block_size", 3)}});
  expect_bad({"QuantizeLinear", {x, given({2, 2}, {1, 1, 1, 1}, kFloat)},
              {attr_int("axis", 1), attr_int("block_size", -2)}});
  expect_bad({"DequantizeLinear", {input({2, 4}, 1, kUint8), given({3}, {1, 1, 1}, kFloat)},
              {attr_int("axis", 1)}});
  expect_bad({"DequantizeLinear", {input({2, 4}, 1, kUint8), scale(1), given({}, {0}, kInt8)}, {}});
}

TEST(Attributes, E100_suppression) {
  const Operand boxes = input({1, 3, 4}), scores = input({1, 1, 3});
  expect_bad({"NonMaxSuppression", {boxes, input({1, 1, 4})}, {}});
  expect_bad({"NonMaxSuppression", {input({1, 3, 5}), scores}, {}});
  expect_bad({"NonMaxSuppression", {boxes, input({2, 1, 3})}, {}});
  expect_bad({"NonMaxSuppression", {boxes, scores}, {attr_int("center_point_box", 7)}},
             {"center_point_box"});
  if (registry().find_onnx("", "NonMaxSuppression", 21).op) {
    // A huge count is every box; a NaN threshold suppresses nothing by comparison. Neither may hang.
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const Status huge = run({"NonMaxSuppression", {boxes, scores, given({1}, {double(kMax)})}, {}});
    EXPECT_TRUE(huge.ok()) << huge.to_string();
    (void)run({"NonMaxSuppression", {boxes, scores, given({1}, {3}), given({1}, {nan}, kFloat)}, {}});
  }
}

TEST(Attributes, E101_rearrangements) {
  const Operand x = input({1, 8, 2, 2});
  for (const int64_t block : {int64_t(0), int64_t(-2), int64_t(3), kMax}) {
    const std::vector<std::string> pieces = block < 1 ? std::vector<std::string>{"block"}
                                                      : std::vector<std::string>{"expected"};
    expect_bad({"DepthToSpace", {x}, {attr_int("blocksize", block)}}, pieces);
    expect_bad({"SpaceToDepth", {x}, {attr_int("blocksize", block)}}, pieces);
  }
  expect_bad({"DepthToSpace", {x}, {attr_int("blocksize", 2), attr_string("mode", "odd")}}, {"mode"});
  const Operand m = input({2, 3});
  for (const char* text : {"ij,jk->ik", "i->", "ij->iz", "ij->ii", "i1->i", "->", "ij,", "ij->k",
                           "...ij->i...j...", "ij>ji", "i-j"})
    expect_bad({"Einsum", {m}, {attr_string("equation", text)}});
  expect_bad({"Einsum", {m, input({4, 5})}, {attr_string("equation", "ij,jk->ik")}});
  const auto roi = [&](double batch) {
    return OneOp{"RoiAlign", {x, input({1, 4}), fed({1}, {batch})}, {}};
  };
  expect_bad(roi(1));
  expect_bad(roi(-1));
  expect_bad({"RoiAlign", {x, input({1, 5}), fed({1}, {0})}, {}});
  expect_bad({"RoiAlign", {x, input({1, 4}), fed({1}, {0})}, {attr_int("output_height", -1)}});
  expect_bad({"RoiAlign", {x, input({1, 4}), fed({1}, {0})}, {attr_string("mode", "odd")}}, {"mode"});
}

TEST(Attributes, E102_batch_norm) {
  const Operand x = input({1, 3, 2, 2}), three = input({3});
  expect_bad({"BatchNormalization", {x, three, three, three, input({4})}, {}});
  expect_bad({"BatchNormalization", {x, input({2}), three, three, three}, {}});
  expect_bad({"BatchNormalization", {x, three, three, three, input({3, 1})}, {}});
  expect_bad({"BatchNormalization", {input({4}), three, three, three, three}, {}});
  expect_bad({"LayerNormalization", {x, input({5})}, {}});
  expect_bad({"LayerNormalization", {x, input({2})}, {attr_int("axis", 7)}}, {"axis"});
  expect_bad({"GroupNormalization", {x, three, three}, {attr_int("num_groups", 0)}}, {"num_groups"});
  expect_bad({"GroupNormalization", {x, three, three}, {attr_int("num_groups", 2)}});
  expect_bad({"LRN", {x}, {attr_int("size", 0)}}, {"size"});
  expect_bad({"LRN", {x}, {attr_int("size", -3)}}, {"size"});
}

TEST(Attributes, E103_attention) {
  const Operand x = input({1, 4, 6});
  const auto heads = [&](int64_t q, int64_t kv) {
    return OneOp{"Attention", {x, x, x}, {attr_int("q_num_heads", q), attr_int("kv_num_heads", kv)},
                 1, 23};
  };
  expect_bad(heads(0, 0));
  expect_bad(heads(4, 4));
  expect_bad(heads(-2, 2));
  expect_bad(heads(3, 2));
  expect_bad({"Attention", {x, x, x}, {}, 1, 23});
  const Operand q = input({1, 2, 4, 3});
  expect_bad({"Attention", {q, input({1, 2, 5, 4}), input({1, 2, 5, 3})}, {}, 1, 23});
  expect_bad({"Attention", {q, input({1, 2, 5, 3}), input({1, 2, 6, 3})}, {}, 1, 23});
  expect_bad({"Attention",
              {q, input({1, 2, 5, 3}), input({1, 2, 5, 3}), absent(), input({1, 2, 2, 3}),
               input({1, 2, 3, 3})},
              {}, 3, 23});
}

TEST(Attributes, matrix_products) {
  expect_bad({"MatMul", {input({2, 3}), input({4, 5})}, {}});
  expect_bad({"MatMul", {input({}), input({4, 5})}, {}});
  expect_bad({"MatMul", {input({2, 2, 3}), input({3, 3, 4})}, {}});
  expect_bad({"Gemm", {input({2, 3}), input({4, 5})}, {}});
  expect_bad({"Gemm", {input({2, 3}), input({3, 5}), input({7})}, {}});
  expect_bad({"Gemm", {input({2, 3, 1}), input({3, 5})}, {}});
}

TEST(Attributes, integer_division_by_zero) {
  for (const char* op : {"Div", "Mod"}) {
    const Status status =
        run({op, {fed({2}, {7, double(kMin)}), fed({2}, {0, -1})}, {}});  // an error or a value
    EXPECT_NE(status.code(), Code::kInternal) << status.to_string();
  }
}

}  // namespace
}  // namespace planish::tests
