#include "ops/case_builder.h"

namespace planish::ops {
namespace {

void add_attention(CaseList& cases) {
  auto heads = [](int64_t batch, int64_t h, int64_t s, int64_t d, DataType dtype = DataType::kF32) {
    return random(dtype, {batch, h, s, d});
  };
  auto add = [&](const char* name, std::vector<InputCase> inputs, ir::Attributes attrs = {}, int outputs = 1) {
    cases.push_back(make_case("Attention", name, std::move(inputs), std::move(attrs), outputs));
  };
  add("plain", {heads(2, 3, 4, 8), heads(2, 3, 6, 8), heads(2, 3, 6, 8)});
  add("causal", {heads(1, 2, 5, 8), heads(1, 2, 5, 8), heads(1, 2, 5, 8)}, {{"is_causal", integer(1)}});
  add("grouped", {heads(2, 6, 4, 8), heads(2, 2, 5, 8), heads(2, 2, 5, 10)});
  add("packed", {random({2, 4, 24}), random({2, 6, 24}), random({2, 6, 24})},
      {{"q_num_heads", integer(3)}, {"kv_num_heads", integer(3)}});
  add("additive_mask", {heads(2, 3, 4, 8), heads(2, 3, 6, 8), heads(2, 3, 6, 8), random({4, 6})});
  add("bool_mask", {heads(2, 3, 4, 8), heads(2, 3, 6, 8), heads(2, 3, 6, 8), random(DataType::kBool, {2, 1, 4, 6}, 0, 1)});
  add("short_mask", {heads(1, 2, 4, 8), heads(1, 2, 6, 8), heads(1, 2, 6, 8), random({4, 5})});
  add("past", {heads(2, 3, 4, 8), heads(2, 3, 2, 8), heads(2, 3, 2, 8), absent(), heads(2, 3, 5, 8), heads(2, 3, 5, 8)},
      {{"is_causal", integer(1)}}, 3);
  add("valid_length", {heads(2, 2, 3, 8), heads(2, 2, 6, 8), heads(2, 2, 6, 8), absent(), absent(), absent(),
                       given(DataType::kI64, {2}, {4, 6})});
  add("window", {heads(1, 2, 7, 8), heads(1, 2, 7, 8), heads(1, 2, 7, 8)},
      {{"left_window_size", integer(2)}, {"right_window_size", integer(1)}});
  for (int64_t mode : {0, 1, 2, 3})
    add("scores", {heads(1, 2, 3, 8), heads(1, 2, 4, 8), heads(1, 2, 4, 8), random({3, 4})},
        {{"softcap", real(2)}, {"qk_matmul_output_mode", integer(mode)}}, 4);
  add("f16", {heads(1, 2, 5, 16, DataType::kF16), heads(1, 2, 5, 16, DataType::kF16), heads(1, 2, 5, 16, DataType::kF16)});
  add("batch_128", {heads(128, 2, 9, 16), heads(128, 2, 9, 16), heads(128, 2, 9, 16)});
  add("large", {heads(1, 12, 128, 64), heads(1, 12, 128, 64), heads(1, 12, 128, 64)});
  cases.push_back(known_case("Attention", "hidden_row",
                             {given(DataType::kF32, {1, 1, 2, 1}, {1, 1}), given(DataType::kF32, {1, 1, 2, 1}, {0, 0}),
                              given(DataType::kF32, {1, 1, 2, 1}, {2, 4}), given(DataType::kBool, {2, 2}, {0, 0, 1, 1})},
                             {{0, 3}}));
}

void add_rotary(CaseList& cases) {
  auto cosine = random({10, 4}), positions = random(DataType::kI64, {2, 3}, 0, 9);
  for (int64_t interleaved : {0, 1}) {
    ir::Attributes attrs = {{"interleaved", integer(interleaved)}};
    cases.push_back(make_case("RotaryEmbedding", "4d", {random({2, 5, 3, 8}), cosine, cosine, positions}, attrs));
    attrs["num_heads"] = integer(5);
    cases.push_back(make_case("RotaryEmbedding", "3d", {random({2, 3, 40}), cosine, cosine, positions}, attrs));
    attrs["rotary_embedding_dim"] = integer(4);
    cases.push_back(make_case("RotaryEmbedding", "partial", {random({2, 3, 40}), random({2, 3, 2}), random({2, 3, 2})}, attrs));
  }
  cases.push_back(known_case("RotaryEmbedding", "quarter_turn",
                             {given(DataType::kF32, {1, 1, 1, 4}, {1, 2, 3, 4}), given(DataType::kF32, {1, 1, 2}, {0, 0}),
                              given(DataType::kF32, {1, 1, 2}, {1, 1})},
                             {{-3, -4, 1, 2}}));
}

void add_recurrent(CaseList& cases) {
  auto gate = [](std::vector<int64_t> dims) { return random(DataType::kF32, std::move(dims), -1, 0); };
  struct Row {
    const char* rule;
    bool decays, corrects;
  };
  for (const Row& row : {Row{"linear", false, false}, {"gated", true, false}, {"delta", false, true}, {"gated_delta", true, true}}) {
    ir::Attributes attrs = {{"update_rule", text(row.rule)}, {"q_num_heads", integer(4)}, {"kv_num_heads", integer(2)}};
    std::vector<InputCase> inputs = {random({2, 5, 12}), random({2, 5, 6}), random({2, 5, 8}), random({2, 2, 3, 4}),
                                     row.decays ? gate({2, 5, 2}) : absent(),
                                     row.corrects ? random(DataType::kF32, {2, 5, 2}, 0, 1) : absent()};
    cases.push_back(make_case("LinearAttention", row.rule, std::move(inputs), std::move(attrs), 2));
  }
  for (const char* activation : {"none", "silu"})
    cases.push_back(make_case("CausalConvWithState", activation,
                              {random({2, 5, 9}), random({5, 1, 4}), random({5}), random({2, 5, 3})},
                              {{"activation", text(activation)}}, 2));
  auto cache = random({2, 3, 8, 4}), update = random({2, 3, 2, 4});
  cases.push_back(make_case("TensorScatter", "linear", {cache, update, given(DataType::kI64, {2}, {1, 6})}));
  cases.push_back(make_case("TensorScatter", "circular", {cache, update, given(DataType::kI64, {2}, {7, 3})},
                            {{"mode", text("circular")}}));
}

}  // namespace

CaseList attention_cases() {
  CaseList cases;
  add_attention(cases);
  add_rotary(cases);
  add_recurrent(cases);
  return cases;
}

}  // namespace planish::ops
