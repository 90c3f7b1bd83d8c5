// RNN, GRU and LSTM: one recurrent layer each, over time, in one or both directions. The equations
// are ONNX's; the cells below are those equations and nothing else.
#include <algorithm>

#include "opdef/import.h"
#include "base/text.h"
#include "ops/composer.h"
#include "ops/recurrent.h"

namespace planish::ops {
namespace {

constexpr std::string_view kRnnActivations[] = {"Tanh"};
constexpr std::string_view kGruActivations[] = {"Sigmoid", "Tanh"};
constexpr std::string_view kLstmActivations[] = {"Sigmoid", "Tanh", "Tanh"};
constexpr RecurrentOperands kRnn{1};
constexpr RecurrentOperands kGru{3};
constexpr RecurrentOperands kLstm{4, 6, 7};

// The argument of gate `gate`, unit j, before its activation.
double pre(const CellWeights& w, int gate, int64_t j, const double* x, const double* h) {
  const int64_t row = gate * w.hidden + j;
  return w.dot_w(row, x) + w.dot_r(row, h) + w.wb[size_t(row)] + w.rb[size_t(row)];
}

// H = f(W x + R h + Wb + Rb)
void rnn_cell(const CellWeights& w, const double* x, double* h, double*) {
  std::vector<double> next(size_t(w.hidden));
  for (int64_t j = 0; j < w.hidden; ++j) {
    next[size_t(j)] = w.activations[0](w.clipped(pre(w, 0, j, x, h)));
  }
  std::copy(next.begin(), next.end(), h);
}

// Gates z (update), r (reset), h: H = (1 - z) g + z H.
void gru_cell(const CellWeights& w, const double* x, double* h, bool linear_before_reset) {
  const size_t n = size_t(w.hidden);
  std::vector<double> z(n), reset(n), gated(n), next(n);
  for (int64_t j = 0; j < w.hidden; ++j) {
    z[size_t(j)] = w.activations[0](w.clipped(pre(w, 0, j, x, h)));
    reset[size_t(j)] = w.activations[0](w.clipped(pre(w, 1, j, x, h)));
    gated[size_t(j)] = reset[size_t(j)] * h[j];
  }
  for (int64_t j = 0; j < w.hidden; ++j) {
    const int64_t row = 2 * w.hidden + j;
    const double rb = w.rb[size_t(row)];
    const double recurrent = linear_before_reset
                                 ? reset[size_t(j)] * (w.dot_r(row, h) + rb)
                                 : w.dot_r(row, gated.data()) + rb;
    const double g =
        w.activations[1](w.clipped(w.dot_w(row, x) + recurrent + w.wb[size_t(row)]));
    next[size_t(j)] = (1 - z[size_t(j)]) * g + z[size_t(j)] * h[j];
  }
  std::copy(next.begin(), next.end(), h);
}

// Gates i, o, f, c with peepholes i, o, f: C = f C + i g, H = o h(C).
void lstm_cell(const CellWeights& w, const double* x, double* h, double* c, bool coupled) {
  const size_t n = size_t(w.hidden);
  std::vector<double> next(n);
  auto peephole = [&](int gate, int64_t j, double cell) {
    return w.p.empty() ? 0 : w.p[size_t(gate * w.hidden + j)] * cell;
  };
  for (int64_t j = 0; j < w.hidden; ++j) {
    const double i =
        w.activations[0](w.clipped(pre(w, 0, j, x, h) + peephole(0, j, c[j])));
    const double f =
        coupled ? 1 - i
                : w.activations[0](w.clipped(pre(w, 2, j, x, h) + peephole(2, j, c[j])));
    const double g = w.activations[1](w.clipped(pre(w, 3, j, x, h)));
    c[j] = f * c[j] + i * g;
    const double o =
        w.activations[0](w.clipped(pre(w, 1, j, x, h) + peephole(1, j, c[j])));
    next[size_t(j)] = o * w.activations[2](c[j]);
  }
  std::copy(next.begin(), next.end(), h);
}

Status infer_rnn(InferContext& ctx) { return infer_recurrent(ctx, kRnn, kRnnActivations); }
Status infer_gru(InferContext& ctx) { return infer_recurrent(ctx, kGru, kGruActivations); }
Status infer_lstm(InferContext& ctx) { return infer_recurrent(ctx, kLstm, kLstmActivations); }

Status evaluate_rnn(EvalContext& ctx) {
  return evaluate_recurrent(ctx, kRnn, kRnnActivations, rnn_cell);
}

Status evaluate_gru(EvalContext& ctx) {
  const bool linear = ctx.attr_int("linear_before_reset") != 0;
  return evaluate_recurrent(ctx, kGru, kGruActivations,
                            [linear](const CellWeights& w, const double* x, double* h, double*) {
                              gru_cell(w, x, h, linear);
                            });
}

Status evaluate_lstm(EvalContext& ctx) {
  const bool coupled = ctx.attr_int("input_forget") != 0;
  return evaluate_recurrent(
      ctx, kLstm, kLstmActivations,
      [coupled](const CellWeights& w, const double* x, double* h, double* c) {
        lstm_cell(w, x, h, c, coupled);
      });
}

int64_t accumulation(const ir::Node& node) {
  // The input's and the state's products; a symbolic size counts as one.
  const Shape &x = node.inputs[0]->type.shape, &r = node.inputs[2]->type.shape;
  return x[2].constant().value_or(1) + r[2].constant().value_or(1);
}

// ONNX lets Y be left out; the IR's outputs are positional, so all up to the last used one exist.
// output_sequence (opset 1) said whether Y is wanted and means nothing today.
Status import_recurrent(const opdef::NodeView& node, opdef::ImportContext& context) {
  ir::Attributes attrs;
  for (const std::string& key : node.attr_names()) {
    if (key == "output_sequence" && node.opset() < 7) continue;
    attrs[key] = *node.attr(key);
  }
  std::vector<ir::Value*> inputs;
  for (int i = 0; i < node.input_count(); ++i) inputs.push_back(node.input(i));
  const int count = std::max(1, node.output_count());
  PLANISH_ASSIGN_OR_RETURN(const std::vector<ir::Value*> outputs,
                           context.add(node.op_type(), std::move(inputs), std::move(attrs), count));
  for (int i = 0; i < node.output_count(); ++i) context.set_output(i, outputs[size_t(i)]);
  return ok_status();
}

opdef::OpDef recurrent_def(std::string name, std::string doc, std::string gates,
                           Status (*infer)(InferContext&), Status (*evaluate)(EvalContext&)) {
  const opdef::TypeSet floats = opdef::kFloats;
  opdef::OpDef def;
  def.doc = std::move(doc);
  def.inputs = {
      operand("X", floats, "[steps, batch, input]; layout 1: [batch, steps, input]"),
      operand("W", floats, "[directions, gates * hidden, input], gates " + gates),
      operand("R", floats, "[directions, gates * hidden, hidden]"),
      optional_operand("B", floats, "[directions, 2 * gates * hidden]: of W, then of R"),
      optional_operand("sequence_lens", opdef::TypeSet{DataType::kI32}, "[batch]", ""),
      optional_operand("initial_h", floats, "[directions, batch, hidden]; layout 1: batch first"),
  };
  def.outputs = {
      operand("Y", floats, "[steps, directions, batch, hidden]; layout 1: batch and steps first"),
      optional_operand("Y_h", floats, "the last hidden state, as initial_h"),
  };
  def.attrs = recurrent_attrs();
  def.infer = infer;
  def.evaluate = evaluate;
  def.accumulation = accumulation;
  def.onnx = {{name, "", 1, 1 << 30, import_recurrent}};
  def.name = std::move(name);
  return def;
}

// One step of TensorFlow's LSTM cell: gates in one product, cell clipping, peepholes.
struct LstmStep {
  ir::Value *i, *cs, *f, *o, *ci, *co, *h;
};
struct LstmCell {
  ir::Value *w, *wci, *wcf, *wco, *b;
  double forget_bias = 1, clip = 0;
  bool peephole = false;
  bool forget_before_cell = false;  // gates i f c o (V2) in place of i c f o
};
LstmStep lstm_step(Composer& c, const LstmCell& cell, ir::Value* x, ir::Value* cs, ir::Value* h) {
  ir::Value* gates = c.add(c.op("MatMul", {c.concat({x, h}, 1), cell.w}), cell.b);
  const auto part = c.ops("Split", {gates}, {{"axis", int64_t(1)}, {"num_outputs", int64_t(4)}}, 4);
  LstmStep s;
  ir::Value* cell_gate = part[cell.forget_before_cell ? 2 : 1];
  ir::Value* forget = c.add(part[cell.forget_before_cell ? 1 : 2],
                            c.scalar_like(cell.forget_bias, gates));
  const auto with = [&](ir::Value* gate, ir::Value* state, ir::Value* weight) {
    return cell.peephole ? c.add(gate, c.mul(state, weight)) : gate;
  };
  s.i = c.op("Sigmoid", {with(part[0], cs, cell.wci)});
  s.f = c.op("Sigmoid", {with(forget, cs, cell.wcf)});
  s.ci = c.op("Tanh", {cell_gate});
  s.cs = c.add(c.mul(s.ci, s.i), c.mul(cs, s.f));
  if (cell.clip > 0)
    s.cs = c.op("Clip", {s.cs, c.scalar_like(-cell.clip, gates), c.scalar_like(cell.clip, gates)});
  s.o = c.op("Sigmoid", {with(part[3], s.cs, cell.wco)});
  s.co = c.op("Tanh", {s.cs});
  s.h = c.mul(s.co, s.o);
  return s;
}

Status import_lstm_block_cell(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  LstmCell cell{c.in(3), c.in(4), c.in(5), c.in(6), c.in(7)};
  cell.forget_bias = c.attr_float("forget_bias", 1);
  cell.clip = c.attr_float("cell_clip", 3);
  cell.peephole = c.attr_int("use_peephole", 0) != 0;
  const LstmStep s = lstm_step(c, cell, c.in(0), c.in(1), c.in(2));
  return c.finish({s.i, s.cs, s.f, s.o, s.ci, s.co, s.h});
}

// All steps, written out: every step's gates are outputs.
Status import_block_lstm(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  const bool second = node.op_type() == "BlockLSTMV2";
  ir::Value *x = c.in(1), *cs = c.in(2), *h = c.in(3);
  LstmCell cell{c.in(4), c.in(5), c.in(6), c.in(7), c.in(8)};
  cell.forget_bias = second ? 0 : c.attr_float("forget_bias", 1);
  cell.clip = c.attr_float("cell_clip", second ? 0 : 3);
  cell.peephole = c.attr_int("use_peephole", 0) != 0;
  cell.forget_before_cell = second;
  const int64_t steps = c.need_dim(x, 0, "input 1 (x)");
  if (steps < 1 || steps > 1024) return unsupported(cat(steps, " steps, expected 1 to 1024"));
  if (c.need_one(0, "seq_len_max") < steps) return unsupported("seq_len_max is less than the steps");
  std::vector<std::vector<ir::Value*>> rows(7);
  for (int64_t t = 0; t < steps && c.ok(); ++t) {
    const LstmStep s = lstm_step(c, cell, c.gather(x, t, 0), cs, h);
    cs = s.cs;
    h = s.h;
    ir::Value* outputs[] = {s.i, s.cs, s.f, s.o, s.ci, s.co, s.h};
    for (size_t k = 0; k < 7; ++k) rows[k].push_back(c.unsqueeze(outputs[k], {0}));
  }
  std::vector<ir::Value*> out;
  for (auto& list : rows) out.push_back(c.concat(list, 0));
  return c.finish(out);
}

Status import_gru_block_cell(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *x = c.in(0), *h = c.in(1);
  ir::Value* gates = c.op("Sigmoid", {c.add(c.op("MatMul", {c.concat({x, h}, 1), c.in(2)}), c.in(4))});
  const auto part = c.ops("Split", {gates}, {{"axis", int64_t(1)}, {"num_outputs", int64_t(2)}}, 2);
  ir::Value* reset = c.concat({x, c.mul(h, part[0])}, 1);
  ir::Value* fresh = c.op("Tanh", {c.add(c.op("MatMul", {reset, c.in(3)}), c.in(5))});
  ir::Value* kept = c.mul(part[1], h);
  ir::Value* taken = c.mul(c.sub(c.scalar_like(1, x), part[1]), fresh);
  return c.finish({part[0], part[1], fresh, c.add(kept, taken)});
}

}  // namespace

void register_rnn(opdef::OpRegistry& registry) {
  registry.add(recurrent_def("RNN", "H = f(W x + R h + Wb + Rb) at every step.", "one", infer_rnn,
                             evaluate_rnn));

  opdef::OpDef gru = recurrent_def(
      "GRU", "Gated recurrent unit: H = (1 - z) g + z H with update, reset and hidden gates.",
      "z r h", infer_gru, evaluate_gru);
  gru.attrs.push_back(opdef::int_attr("linear_before_reset", 0,
                                      "1: the reset gate multiplies R h + Rb, not h"));
  gru.tensorflow = {tensorflow("GRUBlockCell", import_gru_block_cell)};
  registry.add(std::move(gru));

  opdef::OpDef lstm = recurrent_def(
      "LSTM", "Long short-term memory: C = f C + i g, H = o h(C), with optional peepholes.",
      "i o f c", infer_lstm, evaluate_lstm);
  lstm.inputs.push_back(optional_operand("initial_c", opdef::kFloats, "as initial_h"));
  lstm.inputs.push_back(
      optional_operand("P", opdef::kFloats, "[directions, 3 * hidden], peepholes i o f"));
  lstm.outputs.push_back(optional_operand("Y_c", opdef::kFloats, "the last cell state"));
  lstm.attrs.push_back(opdef::int_attr("input_forget", 0, "1: f = 1 - i"));
  lstm.tensorflow = {tensorflow("BlockLSTM", import_block_lstm),
                     tensorflow("BlockLSTMV2", import_block_lstm),
                     tensorflow("LSTMBlockCell", import_lstm_block_cell)};
  registry.add(std::move(lstm));
}

}  // namespace planish::ops
