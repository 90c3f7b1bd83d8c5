// Reading a problem as a recurrent layer with ONNX's default activations: LSTM, GRU, RNN.
#pragma once
#include "kernel/problem.h"

namespace planish::cuda {

enum class CellKind : uint8_t { kRnn, kGru, kLstm };

struct RecurrentView {
  CellKind kind = CellKind::kLstm;
  bool reverse = false;              // the one direction runs backwards
  bool linear_before_reset = false;  // of a GRU
  int64_t steps = 1, batch = 1, input = 1, hidden = 1, directions = 1;
  int w = 1, r = 2, b = -1, h0 = -1, c0 = -1;  // operands
  int results[3] = {-1, -1, -1};               // Y, Y_h, Y_c
  int64_t gates() const { return kind == CellKind::kLstm ? 4 : kind == CellKind::kGru ? 3 : 1; }
  int64_t rows() const { return gates() * hidden; }
};

// kUnimplemented when the problem is no recurrent layer.
Result<RecurrentView> recurrent_view(const kernel::Problem& problem);

}  // namespace planish::cuda
