// Bad attributes and operands of the movement, recurrent, quantization and signal operators: each
// must end in a Status that says what is wrong, without dividing by zero, overflowing or allocating.
#include <cmath>
#include <limits>

#include "ops/op_test.h"

namespace planish::ops {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kHuge = int64_t(1) << 60;

struct BadCase {
  const char* name;
  const char* op;
  std::vector<std::optional<Tensor>> inputs;
  ir::Attributes attrs;
  Code code;
  const char* words;  // part of the message
  int outputs = 1;
};

ir::Attribute ints(std::vector<int64_t> v) { return v; }
ir::Attribute integer(int64_t v) { return v; }
ir::Attribute text(const char* v) { return std::string(v); }

Tensor floats(std::vector<double> values, std::vector<int64_t> dims) {
  return Tensor::from_f64(DataType::kF32, std::move(dims), values);
}

const std::nullopt_t kAbsent = std::nullopt;

std::vector<BadCase> shape_cases() {
  const Code bad = Code::kInvalidArgument, large = Code::kResourceExhausted;
  const Tensor x = zeros({2, 3});
  return {
      {"reshape_two_unknown", "Reshape", {x, list({-1, -1})}, {}, bad, "two -1"},
      {"reshape_minus_two", "Reshape", {x, list({-2, 3})}, {}, bad, "-2"},
      {"reshape_product", "Reshape", {x, list({4, 2})}, {}, bad, "6 elements"},
      {"reshape_indivisible", "Reshape", {x, list({4, -1})}, {}, bad, "do not divide"},
      {"reshape_zero_past_rank", "Reshape", {x, list({2, 3, 0})}, {}, bad, "position 2"},
      {"reshape_allowzero_unknown", "Reshape", {zeros({0, 3}), list({0, -1})},
       {{"allowzero", integer(1)}}, bad, "allowzero"},
      {"reshape_unknown_of_nothing", "Reshape", {zeros({0, 3}), list({0, -1})}, {}, bad,
       "cannot be inferred"},
      {"reshape_huge", "Reshape", {x, list({kHuge, kHuge})}, {}, large, "max_tensor_elements"},
      {"transpose_duplicates", "Transpose", {x}, {{"perm", ints({0, 0})}}, bad, "distinct"},
      {"transpose_short", "Transpose", {x}, {{"perm", ints({0})}}, bad, "perm"},
      {"transpose_outside", "Transpose", {x}, {{"perm", ints({0, 2})}}, bad, "axis 2"},
      {"concat_axis_rank", "Concat", {x, x}, {{"axis", integer(2)}}, bad, "axis"},
      {"concat_axis_min", "Concat", {x, x}, {{"axis", integer(kMin)}}, bad, "axis"},
      {"concat_mismatch", "Concat", {x, zeros({3, 3})}, {{"axis", integer(1)}}, bad, "got 3"},
      {"split_sum", "Split", {x, list({1, 1})}, {{"axis", integer(1)}}, bad, "sum", 2},
      {"split_negative", "Split", {x, list({-1, 4})}, {{"axis", integer(1)}}, bad, "-1", 2},
      {"split_overflow", "Split", {x, list({kMax, kMax})}, {}, bad, "overflows", 2},
      {"split_outputs_zero", "Split", {x}, {{"num_outputs", integer(0)}}, bad, "num_outputs"},
      {"split_outputs_differ", "Split", {x}, {{"num_outputs", integer(3)}}, bad, "num_outputs", 2},
      {"slice_axis", "Slice", {x, list({0}), list({1}), list({8})}, {}, bad, "axis 8"},
      {"slice_long_starts", "Slice", {x, list({0, 0}), list({1})}, {}, bad, "expected 2"},
      {"slice_too_many", "Slice", {x, list({0, 0, 0}), list({1, 1, 1})}, {}, bad, "at most 2"},
      {"slice_step_zero", "Slice", {x, list({0}), list({1}), list({0}), list({0})}, {}, bad,
       "steps"},
      {"slice_twice", "Slice", {x, list({0, 0}), list({1, 1}), list({0, -2})}, {}, bad,
       "distinct"},
      {"pad_reflect_one", "Pad", {zeros({1}), list({1, 0})}, {{"mode", text("reflect")}}, bad,
       "length 1"},
      {"pad_negative", "Pad", {x, list({-2, 0, -1, 0})}, {}, bad, "take more"},
      {"pad_wrap_empty", "Pad", {zeros({0}), list({1, 0})}, {{"mode", text("wrap")}}, bad, "wrap"},
      {"pad_mode", "Pad", {x, list({0, 0, 0, 0})}, {{"mode", text("mirror")}}, bad, "mirror"},
      {"pad_length", "Pad", {x, list({0, 0, 0})}, {}, bad, "expected 4"},
      {"pad_overflow", "Pad", {x, list({kMax, 0, kMax, 0})}, {}, large, "64-bit"},
      {"pad_huge", "Pad", {x, list({kHuge, 0, 0, 0})}, {}, large, "max_tensor_elements"},
      {"expand_huge", "Expand", {zeros({1}), list({kHuge})}, {}, large, "max_tensor_elements"},
      {"expand_negative", "Expand", {zeros({1}), list({-3})}, {}, bad, "-3"},
      {"expand_mismatch", "Expand", {x, list({2, 4})}, {}, bad, "broadcast"},
      {"tile_huge", "Tile", {x, list({kHuge, 1})}, {}, large, "max_tensor_elements"},
      {"tile_negative", "Tile", {x, list({-1, 1})}, {}, bad, "-1"},
      {"tile_length", "Tile", {x, list({1})}, {}, bad, "expected 2"},
      {"squeeze_not_one", "Squeeze", {x, list({0})}, {}, bad, "expected 1"},
      {"squeeze_axis", "Squeeze", {x, list({kMin})}, {}, bad, "axis"},
      {"unsqueeze_twice", "Unsqueeze", {x, list({0, -4})}, {}, bad, "distinct"},
      {"flatten_axis", "Flatten", {x}, {{"axis", integer(3)}}, bad, "axis"},
      {"range_zero", "Range", {scalar(0), scalar(3), scalar(0)}, {}, bad, "delta"},
      {"range_huge",
       "Range",
       {Tensor::scalar_i64(kMin), Tensor::scalar_i64(kMax), Tensor::scalar_i64(1)},
       {}, large, "max_tensor_elements"},
      {"range_nan", "Range", {scalar(NAN), scalar(3), scalar(1)}, {}, bad, "not a number"},
      {"range_infinite", "Range", {scalar(0), scalar(INFINITY), scalar(1)}, {}, large, "limit"},
      {"constant_of_shape_huge", "ConstantOfShape", {list({kHuge})}, {}, large, "max_tensor"},
      {"constant_of_shape_wraps", "ConstantOfShape", {list({65536, 65536, 65536, 65536})}, {},
       large, "max_tensor_elements"},
      {"constant_of_shape_negative", "ConstantOfShape", {list({-1})}, {}, bad, "-1"},
      {"one_hot_negative", "OneHot", {list({1}), Tensor::scalar_i64(-1), zeros({2})}, {}, bad,
       "depth"},
      {"one_hot_huge", "OneHot", {list({1}), Tensor::scalar_i64(kHuge), zeros({2})}, {}, large,
       "max_tensor_elements"},
      {"one_hot_values", "OneHot", {list({1}), Tensor::scalar_i64(3), zeros({3})}, {}, bad,
       "values"},
      {"eye_like_rank", "EyeLike", {zeros({3})}, {}, bad, "rank"},
      {"trilu_rank", "Trilu", {zeros({3})}, {}, bad, "rank"},
      {"depth_to_space_zero", "DepthToSpace", {zeros({1, 4, 2, 2})}, {{"blocksize", integer(0)}},
       bad, "blocksize"},
      {"depth_to_space_channels", "DepthToSpace", {zeros({1, 5, 2, 2})},
       {{"blocksize", integer(2)}}, bad, "multiple of 4"},
      {"depth_to_space_large", "DepthToSpace", {zeros({1, 4, 2, 2})},
       {{"blocksize", integer(kMax)}}, bad, "blocksize"},
      {"reverse_axes", "ReverseSequence", {x, list({1, 1})},
       {{"batch_axis", integer(0)}, {"time_axis", integer(0)}}, bad, "time_axis"},
  };
}

std::vector<BadCase> index_cases() {
  const Code bad = Code::kInvalidArgument;
  const Tensor x = zeros({2, 3});
  return {
      {"gather_axis", "Gather", {x, list({0})}, {{"axis", integer(2)}}, bad, "axis"},
      {"gather_scalar", "Gather", {zeros({}), list({0})}, {}, bad, "rank"},
      {"gather_elements_rank", "GatherElements", {x, list({0})}, {}, bad, "rank"},
      {"gather_elements_dim", "GatherElements", {x, zeros(DataType::kI64, {2, 4})}, {}, bad,
       "at most 3"},
      {"gather_nd_batch", "GatherND", {x, zeros(DataType::kI64, {2, 1})},
       {{"batch_dims", integer(2)}}, bad, "batch_dims"},
      {"gather_nd_depth", "GatherND", {x, zeros(DataType::kI64, {2, 3})}, {}, bad, "last dim is 3"},
      {"gather_nd_batch_size", "GatherND", {x, zeros(DataType::kI64, {3, 1})},
       {{"batch_dims", integer(1)}}, bad, "batch dim 0"},
      {"scatter_reduction", "ScatterND", {x, zeros(DataType::kI64, {1, 1}), zeros({1, 3})},
       {{"reduction", text("sum")}}, bad, "sum"},
      {"scatter_updates", "ScatterND", {x, zeros(DataType::kI64, {1, 1}), zeros({1, 2})}, {}, bad,
       "updates"},
      {"compress_long", "Compress", {x, zeros(DataType::kBool, {7})}, {}, bad, "at most 6"},
  };
}

std::vector<BadCase> quantization_cases() {
  const Code bad = Code::kInvalidArgument;
  const Tensor x = zeros({2, 6});
  const Tensor u8 = zeros(DataType::kU8, {2, 6});
  return {
      {"quantize_zero", "QuantizeLinear", {x, scalar(0)}, {}, bad, "over 0"},
      {"quantize_negative", "QuantizeLinear", {x, scalar(-1)}, {}, bad, "over 0"},
      {"quantize_nan", "QuantizeLinear", {x, scalar(NAN)}, {}, bad, "finite"},
      {"quantize_axis", "QuantizeLinear", {x, floats({1, 1}, {2})}, {{"axis", integer(2)}}, bad,
       "axis"},
      {"quantize_channels", "QuantizeLinear", {x, floats({1, 1}, {2})}, {{"axis", integer(1)}},
       bad, "got 2, expected 6"},
      {"quantize_block", "QuantizeLinear", {x, floats({1, 1, 1, 1}, {2, 2})},
       {{"block_size", integer(4)}, {"axis", integer(0)}}, bad, "dim 0"},
      {"quantize_block_negative", "QuantizeLinear", {x, scalar(1)}, {{"block_size", integer(-1)}},
       bad, "block_size"},
      {"quantize_zero_point", "QuantizeLinear", {x, scalar(1), zeros(DataType::kU8, {2})}, {}, bad,
       "zero_point"},
      {"quantize_type", "QuantizeLinear", {x, scalar(1)}, {{"output_dtype", DataType::kI64}}, bad,
       "output_dtype"},
      {"dequantize_nan", "DequantizeLinear", {u8, scalar(NAN)}, {}, bad, "finite"},
      {"dequantize_infinite", "DequantizeLinear", {u8, scalar(INFINITY)}, {}, bad, "finite"},
  };
}

std::vector<BadCase> recurrent_cases() {
  const Code bad = Code::kInvalidArgument;
  const Tensor x = zeros({5, 2, 3}), w = zeros({1, 16, 3}), r = zeros({1, 16, 4});
  return {
      {"lstm_directions", "LSTM", {x, w, r}, {{"direction", text("bidirectional")}}, bad, "W"},
      {"lstm_direction", "LSTM", {x, w, r}, {{"direction", text("up")}}, bad, "direction"},
      {"lstm_hidden", "LSTM", {x, w, r}, {{"hidden_size", integer(5)}}, bad, "hidden_size"},
      {"lstm_gates", "LSTM", {x, zeros({1, 12, 3}), r}, {}, bad, "W"},
      {"lstm_bias", "LSTM", {x, w, r, zeros({1, 16})}, {}, bad, "B"},
      {"lstm_lengths", "LSTM", {x, w, r, kAbsent, zeros(DataType::kI32, {3})}, {}, bad,
       "sequence_lens"},
      {"lstm_layout", "LSTM", {x, w, r}, {{"layout", integer(2)}}, bad, "layout"},
      {"lstm_activation", "LSTM", {x, w, r},
       {{"activations", std::vector<std::string>{"Sigmoid", "Tanh", "Swoosh"}}}, bad, "Swoosh"},
      {"lstm_activation_count", "LSTM", {x, w, r},
       {{"activations", std::vector<std::string>{"Sigmoid"}}}, bad, "activations"},
      {"lstm_rank", "LSTM", {zeros({5, 2}), w, r}, {}, bad, "rank"},
      {"dft_length", "DFT", {zeros({1, 4, 1}), Tensor::scalar_i64(0)}, {}, bad, "dft_length"},
      {"dft_axis", "DFT", {zeros({1, 4, 1}), kAbsent, Tensor::scalar_i64(-1)}, {}, bad, "axis"},
      {"dft_parts", "DFT", {zeros({1, 4, 3})}, {}, bad, "last dim"},
      {"stft_step", "STFT", {zeros({1, 9, 1}), Tensor::scalar_i64(0), zeros({4})}, {}, bad,
       "frame_step"},
      {"stft_length", "STFT", {zeros({1, 3, 1}), Tensor::scalar_i64(1), zeros({4})}, {}, bad,
       "at most 3"},
      {"window_negative", "HannWindow", {Tensor::scalar_i64(-1)}, {}, bad, "size"},
      {"window_huge", "HannWindow", {Tensor::scalar_i64(kHuge)}, {}, Code::kResourceExhausted,
       "max_tensor_elements"},
      {"uniform_huge", "RandomUniform", {}, {{"shape", ints({kHuge})}}, Code::kResourceExhausted,
       "max_tensor_elements"},
      {"uniform_negative", "RandomUniform", {}, {{"shape", ints({-2})}}, bad, "negative"},
      {"det_square", "Det", {zeros({2, 3})}, {}, bad, "last dim"},
      {"solve_square", "MatrixSolve", {zeros({2, 3}), zeros({2, 1})}, {}, bad, "last dim"},
      {"solve_rows", "MatrixSolve", {zeros({2, 2}), zeros({3, 1})}, {}, bad, "dim 0"},
  };
}

class BadOperands : public testing::TestWithParam<BadCase> {};

TEST_P(BadOperands, AreRefused) {
  const BadCase& bad = GetParam();
  const auto types = infer_known(bad.op, bad.inputs, bad.attrs, bad.outputs);
  ASSERT_FALSE(types.ok()) << "inferred " << ir::to_string((*types)[0]);
  EXPECT_EQ(types.status().code(), bad.code) << types.status().to_string();
  EXPECT_NE(types.status().message().find(bad.words), std::string::npos)
      << types.status().to_string();
}

std::string case_name(const testing::TestParamInfo<BadCase>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Shape, BadOperands, testing::ValuesIn(shape_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Index, BadOperands, testing::ValuesIn(index_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Quantization, BadOperands, testing::ValuesIn(quantization_cases()),
                         case_name);
INSTANTIATE_TEST_SUITE_P(Recurrent, BadOperands, testing::ValuesIn(recurrent_cases()), case_name);

}  // namespace
}  // namespace planish::ops
