// LSTM and GRU, row-major f32, default activations: the input's products for all steps at once, then
// one product with the state per step and the gates by the block loops.
#include <algorithm>
#include <cstring>

#include "backend/cpu/defs/limits.h"
#include "backend/cpu/defs/refusal.h"
#include "backend/cpu/defs/register_kernels.h"
#include "backend/cpu/kernels/conv_problem.h"
#include "backend/cpu/kernels/matmul/matmul.h"
#include "backend/cpu/kernels/pointwise/pointwise.h"
#include "base/text.h"
#include "base/thread_team.h"
#include "kernel/cost.h"
#include "kernel/stage_input.h"

namespace planish::cpu {
namespace {

using kernel::Problem;
using kernel::ScalarOp;

struct RecurrentView {
  bool lstm = true;
  bool linear_before_reset = false;
  int64_t steps = 0, batch = 0, input = 0, hidden = 0, directions = 1, gates = 4;
  bool reverse = false;  // direction "reverse"
  int w = 1, r = 2, b = -1, h0 = -1, c0 = -1;
  int y = -1, y_h = -1, y_c = -1;  // result numbers

  MatmulProblem input_product() const {
    MatmulProblem p;
    p.m = steps * batch;
    p.k = input;
    p.n = gates * hidden;
    p.transpose_b = true;
    return p;
  }
  // Of one step; `columns` gates at once.
  MatmulProblem state_product(int64_t columns) const {
    MatmulProblem p;
    p.m = batch;
    p.k = hidden;
    p.n = columns * hidden;
    p.transpose_b = true;
    return p;
  }
  // GRU with the reset gate inside the product needs z and r first.
  int64_t first_columns() const { return lstm || linear_before_reset ? gates : 2; }
};

Result<RecurrentView> recurrent_view(const Problem& problem) {
  const std::string_view op = problem.root_op();
  if (op != "LSTM" && op != "GRU") return other_family();
  if (problem.stages.size() != 1) return unsupported("an epilogue");
  const kernel::Stage& stage = problem.stages[0];
  PLANISH_RETURN_IF_ERROR(reads_in_order(stage));
  RecurrentView v;
  v.lstm = op == "LSTM";
  v.gates = v.lstm ? 4 : 3;
  const auto given = [&](size_t i) { return i < stage.inputs.size() ? stage.inputs[i] : -1; };
  if (problem.type_of(stage.inputs[0]).dtype != ir::DataType::kF32) return unsupported("not f32");
  if (given(4) >= 0) return unsupported("sequence lengths");
  if (v.lstm && given(7) >= 0) return unsupported("peepholes");
  v.w = given(1);
  v.r = given(2);
  v.b = given(3);
  v.h0 = given(5);
  v.c0 = v.lstm ? given(6) : -1;
  for (int operand : {v.w, v.r, v.b})
    if (operand >= 0 && !problem.operands[size_t(operand)].constant)
      return unsupported("computed weights");
  const auto has = [&](std::string_view key) {
    auto found = stage.attrs.find(key);
    if (found == stage.attrs.end()) return false;
    if (const auto* list = std::get_if<std::vector<std::string>>(&found->second))
      return !list->empty();
    if (const auto* list = std::get_if<std::vector<double>>(&found->second)) return !list->empty();
    if (const auto* value = std::get_if<double>(&found->second)) return *value != 0;
    return std::get<int64_t>(found->second) != 0;
  };
  for (std::string_view key :
       {"activations", "activation_alpha", "activation_beta", "clip", "layout", "input_forget"})
    if (has(key)) return unsupported(cat("attribute '", key, "'"));
  v.linear_before_reset = !v.lstm && has("linear_before_reset");
  const std::string& direction = std::get<std::string>(stage.attrs.find("direction")->second);
  v.reverse = direction == "reverse";
  v.directions = direction == "bidirectional" ? 2 : 1;
  const std::vector<int64_t> x = ir::to_dims(problem.type_of(stage.inputs[0]).shape);
  const std::vector<int64_t> r = ir::to_dims(problem.type_of(v.r).shape);
  v.steps = x[0];
  v.batch = x[1];
  v.input = ir::to_dims(problem.type_of(v.w).shape)[2];  // packed before x's dims are known
  v.hidden = r[2];
  v.y = 0;
  if (stage.outputs.size() > 1) v.y_h = 1;
  if (stage.outputs.size() > 2) v.y_c = 2;
  for (const MatmulProblem& p : {v.input_product(), v.state_product(v.gates)}) {
    const std::string_view why = matmul_refusal(p, best_isa());
    if (!why.empty()) return unsupported(std::string(why));
  }
  return v;
}

constexpr MatmulTactic kTactic{};  // two vectors of columns a tile, everything in one go

// Packed weights per direction: W, then R for the first columns, then R for the rest.
struct Packed {
  int64_t w = 0, r = 0, rest = 0;  // floats
  int64_t total() const { return w + r + rest; }
};
Packed packed_sizes(const RecurrentView& v) {
  Packed p;
  p.w = matmul_packed_floats(v.input_product(), kTactic, best_isa());
  p.r = matmul_packed_floats(v.state_product(v.first_columns()), kTactic, best_isa());
  if (v.first_columns() < v.gates)
    p.rest = matmul_packed_floats(v.state_product(1), kTactic, best_isa());
  return p;
}

class RecurrentLaunchable : public kernel::Launchable {
 public:
  RecurrentLaunchable(RecurrentView view, int threads, std::span<const std::byte> packed,
                      const ir::Tensor& bias)
      : v_(view),
        packed_(reinterpret_cast<const float*>(packed.data())),
        isa_(best_isa()),
        k_(pointwise_kernels(isa_)) {
    const int64_t g = v_.gates * v_.hidden;
    // Both biases are added to the input's product, but for what a GRU multiplies first.
    input_bias_.assign(size_t(v_.directions * round_up(g, 16)), 0.0f);
    state_bias_ = input_bias_;
    if (bias.count()) {
      const float* b = bias.data_as<float>();
      for (int64_t d = 0; d < v_.directions; ++d) {
        for (int64_t i = 0; i < g; ++i) {
          const float wb = b[d * 2 * g + i], rb = b[d * 2 * g + g + i];
          const bool apart = v_.linear_before_reset && i >= 2 * v_.hidden;
          input_bias_[size_t(d * round_up(g, 16) + i)] = apart ? wb : wb + rb;
          state_bias_[size_t(d * round_up(g, 16) + i)] = apart ? rb : 0.0f;
        }
      }
    }
    matmul_bytes_ = 64;
    for (const MatmulProblem& p :
         {v_.input_product(), v_.state_product(v_.first_columns()), v_.state_product(1)})
      matmul_bytes_ = std::max(matmul_bytes_, round_up(matmul_workspace_bytes(p, kTactic, isa_, threads), 64));
  }
  int64_t workspace_bytes() const override {
    const int64_t g = v_.gates * v_.hidden;
    return matmul_bytes_ + int64_t(sizeof(float)) * (v_.steps * v_.batch * g + state_floats());
  }

  Status run(const kernel::RunArgs& args) const override {
    for (int64_t d = 0; d < v_.directions; ++d) run_direction(args, d);
    return ok_status();
  }

 private:
  int64_t padded_state() const { return round_up(v_.batch * v_.hidden, 16) + 16; }
  int64_t state_floats() const {
    return round_up(v_.batch * v_.gates * v_.hidden, 16) + 16 + 6 * padded_state();
  }
  const float* floats(const kernel::RunArgs& args, int operand) const {
    return operand < 0 ? nullptr : static_cast<const float*>(args.operands[size_t(operand)].data);
  }

  void multiply(const MatmulProblem& p, const float* a, const float* b, float* c,
                const float* bias, const kernel::RunArgs& args) const {
    MatmulArgs m;
    m.a = a;
    m.b = b;
    m.c = c;
    m.epilogue.bias = bias;
    m.workspace = args.workspace;
    run_matmul(p, kTactic, isa_, m, *args.team);
  }

  void run_direction(const kernel::RunArgs& args, int64_t d) const {
    const int64_t h = v_.hidden, g = v_.gates * h, cells = v_.batch * h;
    const Packed sizes = packed_sizes(v_);
    const float* weights = packed_ + d * sizes.total();
    auto* from_input = reinterpret_cast<float*>(args.workspace + matmul_bytes_);
    float* from_state = from_input + v_.steps * v_.batch * g;
    float* state = from_state + round_up(v_.batch * g, 16) + 16;
    float* cell = state + padded_state();
    float* scratch = cell + padded_state();
    multiply(v_.input_product(), floats(args, 0), weights, from_input,
             input_bias_.data() + d * round_up(g, 16), args);
    const auto start = [&](int operand, float* to) {
      const float* from = floats(args, operand);
      if (from) std::memcpy(to, from + d * cells, size_t(cells) * sizeof(float));
      else std::fill(to, to + cells, 0.0f);
    };
    start(v_.h0, state);
    start(v_.c0, cell);
    const bool backwards = v_.reverse || d == 1;
    auto* y = static_cast<float*>(args.results[0].data);
    for (int64_t s = 0; s < v_.steps; ++s) {
      const int64_t t = backwards ? v_.steps - 1 - s : s;
      const float* x = from_input + t * v_.batch * g;
      multiply(v_.state_product(v_.first_columns()), state, weights + sizes.w, from_state,
               v_.linear_before_reset ? state_bias_.data() + d * round_up(g, 16) : nullptr, args);
      if (v_.lstm) lstm_step(x, from_state, state, cell, scratch);
      else gru_step(x, from_state, state, scratch, weights + sizes.w + sizes.r, args);
      std::memcpy(y + (t * v_.directions + d) * cells, state, size_t(cells) * sizeof(float));
    }
    if (v_.y_h >= 0)
      std::memcpy(static_cast<float*>(args.results[1].data) + d * cells, state,
                  size_t(cells) * sizeof(float));
    if (v_.y_c >= 0)
      std::memcpy(static_cast<float*>(args.results[2].data) + d * cells, cell,
                  size_t(cells) * sizeof(float));
  }

  // gate[b, i] = f(x[b, gate, i] + s[b, gate, i]) for the whole batch.
  void gate(ScalarOp f, int index, const float* x, const float* s, int64_t s_row, float* out) const {
    const int64_t h = v_.hidden, g = v_.gates * h;
    for (int64_t b = 0; b < v_.batch; ++b)
      for (int64_t i = 0; i < h; ++i)
        out[b * h + i] = x[b * g + index * h + i] + s[b * s_row + index * h + i];
    k_.unary(f, out, out + padded_state(), round_up(v_.batch * h, 16));
    std::memcpy(out, out + padded_state(), size_t(v_.batch * h) * sizeof(float));
  }

  void lstm_step(const float* x, const float* s, float* state, float* cell, float* scratch) const {
    const int64_t n = v_.batch * v_.hidden, g = v_.gates * v_.hidden;
    // Gates stand in the order input, output, forget, cell.
    float* value = scratch;
    float* result = scratch + 2 * padded_state();
    gate(ScalarOp::kSigmoid, 2, x, s, g, value);
    for (int64_t i = 0; i < n; ++i) cell[i] *= value[i];
    gate(ScalarOp::kSigmoid, 0, x, s, g, value);
    std::memcpy(result, value, size_t(n) * sizeof(float));
    gate(ScalarOp::kTanh, 3, x, s, g, value);
    for (int64_t i = 0; i < n; ++i) cell[i] += result[i] * value[i];
    gate(ScalarOp::kSigmoid, 1, x, s, g, value);
    k_.unary(ScalarOp::kTanh, cell, result, round_up(n, 16));
    for (int64_t i = 0; i < n; ++i) state[i] = value[i] * result[i];
  }

  void gru_step(const float* x, float* s, float* state, float* scratch, const float* rest,
                const kernel::RunArgs& args) const {
    const int64_t h = v_.hidden, n = v_.batch * h, g = v_.gates * h;
    const int64_t s_row = v_.first_columns() * h;
    // Gates stand in the order update, reset, hidden.
    float* value = scratch;
    float* update = scratch + 2 * padded_state();
    float* reset = update + padded_state();
    gate(ScalarOp::kSigmoid, 0, x, s, s_row, value);
    std::memcpy(update, value, size_t(n) * sizeof(float));
    gate(ScalarOp::kSigmoid, 1, x, s, s_row, value);
    std::memcpy(reset, value, size_t(n) * sizeof(float));
    if (v_.linear_before_reset) {
      for (int64_t b = 0; b < v_.batch; ++b)
        for (int64_t i = 0; i < h; ++i)
          value[b * h + i] = x[b * g + 2 * h + i] + reset[b * h + i] * s[b * g + 2 * h + i];
    } else {
      for (int64_t i = 0; i < n; ++i) reset[i] *= state[i];
      multiply(v_.state_product(1), reset, rest, s, nullptr, args);
      for (int64_t b = 0; b < v_.batch; ++b)
        for (int64_t i = 0; i < h; ++i)
          value[b * h + i] = x[b * g + 2 * h + i] + s[b * h + i];
    }
    float* hidden = value + padded_state();
    k_.unary(ScalarOp::kTanh, value, hidden, round_up(n, 16));
    for (int64_t i = 0; i < n; ++i)
      state[i] = (1 - update[i]) * hidden[i] + update[i] * state[i];
  }

  RecurrentView v_;
  const float* packed_;
  Isa isa_;
  const PointwiseKernels& k_;
  std::vector<float> input_bias_, state_bias_;
  int64_t matmul_bytes_ = 0;
};

class RecurrentKernel : public kernel::KernelDef {
 public:
  std::string name() const override { return "cpu.recurrent_f32"; }
  std::string device_kind() const override { return "cpu"; }
  Status supports(const Problem& problem, const kernel::DeviceInfo&) const override {
    return recurrent_view(problem).status();
  }
  double predict_us(const Problem& problem, const kernel::Tactic&,
                    const kernel::DeviceInfo& device) const override {
    auto v = recurrent_view(problem);
    if (!v.ok()) return 1e12;
    const double flops = 2.0 * double(v->directions * v->steps * v->batch * v->gates * v->hidden) *
                         double(v->input + v->hidden);
    return 5.0 * double(v->steps) + flops / (device.peak_gflops * 0.3 * 1e3);
  }
  bool packs(const Problem& problem, int operand) const override {
    const kernel::Stage& stage = problem.stages[0];
    return kernel::is_input(stage, 1, operand) || kernel::is_input(stage, 2, operand);
  }
  Result<kernel::Blob> pack(const Problem& problem, const kernel::Tactic&,
                            const kernel::DeviceInfo&,
                            std::span<const ir::Tensor> constants) const override {
    // Packing looks at weights only: other dims may be symbolic and are set to 1.
    PLANISH_ASSIGN_OR_RETURN(Problem plain,
                             kernel::concrete(problem, [](std::string_view) { return 1; }));
    PLANISH_ASSIGN_OR_RETURN(RecurrentView v, recurrent_view(plain));
    const Packed sizes = packed_sizes(v);
    const int64_t rows = v.directions * v.gates * v.hidden;
    PLANISH_RETURN_IF_ERROR(constant_floats(constants, v.w, rows * v.input));
    PLANISH_RETURN_IF_ERROR(constant_floats(constants, v.r, rows * v.hidden));
    kernel::Blob blob;
    blob.bytes.resize(size_t(v.directions * sizes.total()) * sizeof(float));
    auto* to = reinterpret_cast<float*>(blob.bytes.data());
    const float* w = constants[size_t(v.w)].data_as<float>();
    const float* r = constants[size_t(v.r)].data_as<float>();
    const int64_t g = v.gates * v.hidden;
    for (int64_t d = 0; d < v.directions; ++d, to += sizes.total()) {
      pack_matmul_weights(v.input_product(), kTactic, best_isa(), w + d * g * v.input, to);
      const float* own = r + d * g * v.hidden;
      pack_matmul_weights(v.state_product(v.first_columns()), kTactic, best_isa(), own,
                          to + sizes.w);
      if (sizes.rest)
        pack_matmul_weights(v.state_product(1), kTactic, best_isa(),
                            own + 2 * v.hidden * v.hidden, to + sizes.w + sizes.r);
    }
    return blob;
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    PLANISH_ASSIGN_OR_RETURN(RecurrentView v, recurrent_view(*args.problem));
    const ir::Shape& x = args.problem->type_of(args.problem->stages[0].inputs[0]).shape;
    if (x[2].value() != v.input)
      return invalid_argument(cat("X is ", ir::to_string(x), ", expected ", v.input,
                                  " elements a step, as W has"));
    PLANISH_RETURN_IF_ERROR(packed_floats(args.packed, v.directions * packed_sizes(v).total()));
    if (v.b >= 0)
      PLANISH_RETURN_IF_ERROR(
          constant_floats(args.constants, v.b, v.directions * 2 * v.gates * v.hidden));
    const ir::Tensor none;
    return std::unique_ptr<kernel::Launchable>(std::make_unique<RecurrentLaunchable>(
        v, args.device->threads, args.packed,
        v.b < 0 ? none : args.constants[size_t(v.b)]));
  }
};

}  // namespace

void register_recurrent_kernel(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<RecurrentKernel>());
}

}  // namespace planish::cpu
