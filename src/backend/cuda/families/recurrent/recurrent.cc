// The family "cuda.recurrent": LSTM, GRU and RNN in two kernels. The input's products for all steps
// come first, as one product on the plain cores; then blocks of their own run each direction of a
// few samples through all steps, the states in shared memory, the recurrent weights read along the
// gates.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/families/recurrent/recurrent_view.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/families/simt/simt_kernel.h"
#include "base/text.h"
#include "kernel/cost.h"
#include "kernel/stage_input.h"

namespace planish::cuda {
namespace {

using kernel::DeviceInfo;
using kernel::Problem;
using kernel::Tactic;

constexpr int64_t kSharedFloats = 11 * 1024;  // below 48 KB
constexpr int kThreads = 1024;

// [directions, hidden, rows] recurrent weights, then the biases beside the input's and the state's
// products as floats [directions, rows].
struct PackedParts {
  int64_t weights = 0, input_bias = 0, state_bias = 0, bytes = 0;  // offsets
};
PackedParts packed_parts(const RecurrentView& v, ir::DataType dtype) {
  PackedParts p;
  p.input_bias = (v.directions * v.hidden * v.rows() * ir::bits_of(dtype) / 8 + 255) / 256 * 256;
  p.state_bias = p.input_bias + v.directions * v.rows() * 4;
  p.bytes = p.state_bias + v.directions * v.rows() * 4;
  return p;
}

// States, and a step's sums, of the samples of a block.
int64_t shared_floats(const RecurrentView& v, int64_t samples) {
  return samples * (3 * v.hidden + v.rows());
}

// X [steps * batch, input] times W' -> floats [steps * batch, directions * rows] in the workspace.
Result<EmittedKernel> emit_input_product(const Problem& problem, const RecurrentView& v) {
  const ir::DataType dtype = problem.type_of(problem.stages[0].inputs[0]).dtype;
  Problem product;
  product.operands.resize(2);
  product.operands[0].type = {dtype, {v.steps * v.batch, v.input}};
  product.operands[1].type = {dtype, {v.directions * v.rows(), v.input}};
  kernel::Stage stage;
  stage.op = "Gemm";
  stage.attrs = {{"transB", int64_t(1)}};
  stage.inputs = {0, 1};
  stage.outputs = {{ir::DataType::kF32, {v.steps * v.batch, v.directions * v.rows()}}};
  product.stages = {std::move(stage)};
  product.results = {2};
  PLANISH_ASSIGN_OR_RETURN(ProductView view, product_view(product));
  const bool few = v.steps * v.batch < 128;
  SimtTile tile;
  if (few) tile = {.q = 32, .p = 64, .k = 16, .tq = 4, .tp = 4};
  PLANISH_ASSIGN_OR_RETURN(EmittedKernel kernel, emit_simt(product, view, tile));
  for (KernelArg& arg : kernel.args) {
    if (arg.place.kind == BufferKind::kResult)
      arg.place = {BufferKind::kWorkspace, 0, 0};
    else
      arg.place.index = arg.place.index == 0 ? problem.stages[0].inputs[0] : v.w;
  }
  return kernel;
}

class StepsBuilder {
 public:
  StepsBuilder(const Problem& problem, const RecurrentView& v, int64_t samples)
      : v_(v), dtype_(problem.type_of(problem.stages[0].inputs[0]).dtype), samples_(samples) {}

  EmittedKernel build() {
    EmittedKernel kernel;
    const PackedParts parts = packed_parts(v_, dtype_);
    std::vector<std::string> parameters = {"const float* xw",
                                           cat("const ", memory_type(dtype_), "* rt"),
                                           "const float* xb", "const float* hb"};
    kernel.args = {KernelArg::workspace(), KernelArg::packed(parts.weights),
                   KernelArg::packed(parts.input_bias), KernelArg::packed(parts.state_bias)};
    const auto state = [&](int operand, const char* name) {
      if (operand < 0) return;
      parameters.push_back(cat("const ", memory_type(dtype_), "* ", name));
      kernel.args.push_back(KernelArg::operand(operand));
    };
    state(v_.h0, "h0");
    state(v_.c0, "c0");
    constexpr const char* kNames[] = {"y", "yh", "yc"};
    for (int i = 0; i < 3; ++i) {
      if (v_.results[i] < 0) continue;
      parameters.push_back(cat(memory_type(dtype_), "* ", kNames[i]));
      kernel.args.push_back(KernelArg::result(v_.results[i]));
    }
    kernel.entry = cat(v_.kind == CellKind::kLstm  ? "lstm"
                       : v_.kind == CellKind::kGru ? "gru"
                                                   : "rnn",
                       "_steps_", ir::name_of(dtype_), "_h", v_.hidden, "_b", samples_);
    kernel.block.x = uint32_t(std::min<int64_t>(kThreads, (v_.rows() + 31) / 32 * 32));
    kernel.grid = {uint32_t((v_.batch + samples_ - 1) / samples_), uint32_t(v_.directions), 1};
    kernel.programmatic_launch = true;
    kernel.source =
        cat(kPrelude, functions(), "extern \"C\" __global__ void __launch_bounds__(",
            kernel.block.x, ") ", kernel.entry, '(', join(parameters), ") {\n", body(), "}\n");
    return kernel;
  }

 private:
  static std::string functions() {
    return "DEV float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }\n";
  }
  std::string threads() const {
    return cat(std::min<int64_t>(kThreads, (v_.rows() + 31) / 32 * 32));
  }

  // sums[b][row] for rows first .. end from `state`.
  std::string dot(const std::string& state, int64_t first, int64_t end) const {
    std::string text =
        cat("    for (int r = ", first, " + threadIdx.x; r < ", end, "; r += ", threads(), ") {\n");
    for (int64_t b = 0; b < samples_; ++b)
      text += cat("      float a", b, " = hb[d * ", v_.rows(), " + r];\n");
    text +=
        cat("      #pragma unroll 16\n      for (int k = 0; k < ", v_.hidden,
            "; ++k) {\n        const float w = ",
            load_text(dtype_, cat("rt[(d * ", v_.hidden, " + k) * ", v_.rows(), " + r]")), ";\n");
    for (int64_t b = 0; b < samples_; ++b)
      text += cat("        a", b, " = fmaf(", state, "[", b, "][k], w, a", b, ");\n");
    text += "      }\n";
    for (int64_t b = 0; b < samples_; ++b) text += cat("      sums[", b, "][r] = a", b, ";\n");
    return text + "    }\n";
  }

  // A loop over the hidden units of the block's samples: b, j, and n of the whole batch.
  std::string each_unit(const std::string& body) const {
    return cat("    for (int u = threadIdx.x; u < ", samples_ * v_.hidden, "; u += ", threads(),
               ") {\n      const int b = u / ", v_.hidden, ", j = u % ", v_.hidden,
               ", n = n0 + b;\n", body, "    }\n");
  }
  // What the input gives gate `gate` of unit j.
  std::string from_input(int64_t gate) const {
    return cat("(x[", gate * v_.hidden, " + j] + xb[d * ", v_.rows(), " + ", gate * v_.hidden,
               " + j])");
  }
  std::string from_state(int64_t gate) const { return cat("sums[b][", gate * v_.hidden, " + j]"); }
  std::string both(int64_t gate) const { return cat(from_input(gate), " + ", from_state(gate)); }

  std::string input_row() const {
    return cat("      if (n >= ", v_.batch, ") continue;\n      const float* x = xw + ((i64)t * ",
               v_.batch, " + n) * ", v_.directions * v_.rows(), " + d * ", v_.rows(), ";\n");
  }
  std::string write_state() const {
    return cat("      hs[b][j] = h;\n",
               v_.results[0] < 0
                   ? ""
                   : cat("      y[(((i64)t * ", v_.directions, " + d) * ", v_.batch, " + n) * ",
                         v_.hidden, " + j] = ", store_text(dtype_, "h"), ";\n"));
  }

  std::string step() const {
    switch (v_.kind) {
      case CellKind::kRnn:
        return cat(dot("hs", 0, v_.rows()), "    __syncthreads();\n",
                   each_unit(cat(input_row(), "      const float h = tanhf(", both(0), ");\n",
                                 write_state())));
      case CellKind::kLstm:  // gates in the order input, output, forget, cell
        return cat(dot("hs", 0, v_.rows()), "    __syncthreads();\n",
                   each_unit(cat(input_row(), "      const float c = sigmoid(", both(2),
                                 ") * cs[b][j] + sigmoid(", both(0), ") * tanhf(", both(3),
                                 ");\n      cs[b][j] = c;\n      const float h = sigmoid(", both(1),
                                 ") * tanhf(c);\n", write_state())));
      case CellKind::kGru:
        break;
    }
    // Gates in the order update, reset, hidden.
    const std::string finish = cat("      const float z = sigmoid(", both(0),
                                   ");\n      const float h = (1.0f - z) * g + z * hs[b][j];\n");
    if (v_.linear_before_reset)
      return cat(
          dot("hs", 0, v_.rows()), "    __syncthreads();\n",
          each_unit(cat(input_row(), "      const float g = tanhf(", from_input(2), " + sigmoid(",
                        both(1), ") * ", from_state(2), ");\n", finish, write_state())));
    return cat(dot("hs", 0, 2 * v_.hidden), "    __syncthreads();\n",
               each_unit(cat(input_row(), "      cs[b][j] = sigmoid(", both(1), ") * hs[b][j];\n")),
               "    __syncthreads();\n", dot("cs", 2 * v_.hidden, v_.rows()),
               "    __syncthreads();\n",
               each_unit(cat(input_row(), "      const float g = tanhf(", both(2), ");\n", finish,
                             write_state())));
  }

  std::string start(const char* shared, const char* given, bool present) const {
    const std::string value =
        present
            ? cat("n < ", v_.batch, " ? ",
                  load_text(dtype_, cat(given, "[(d * ", v_.batch, " + n) * ", v_.hidden, " + j]")),
                  " : 0")
            : "0";
    return cat("      ", shared, "[b][j] = ", value, ";\n");
  }
  std::string last(const char* shared, const char* to) const {
    return cat("      if (n < ", v_.batch, ") ", to, "[(d * ", v_.batch, " + n) * ", v_.hidden,
               " + j] = ", store_text(dtype_, cat(shared, "[b][j]")), ";\n");
  }

  std::string body() const {
    const std::string backwards = v_.directions == 2 ? "d == 1" : v_.reverse ? "true" : "false";
    return cat("  __shared__ float hs[", samples_, "][", v_.hidden, "], cs[", samples_, "][",
               v_.hidden, "], sums[", samples_, "][", v_.rows(),
               "];\n  const int d = blockIdx.y, n0 = blockIdx.x * ", samples_,
               ";\n  grid_wait();\n  grid_launch();\n",
               each_unit(start("hs", "h0", v_.h0 >= 0) + start("cs", "c0", v_.c0 >= 0)),
               "  __syncthreads();\n  for (int s = 0; s < ", v_.steps,
               "; ++s) {\n    const int t = ", backwards, " ? ", v_.steps - 1, " - s : s;\n",
               step(), "    __syncthreads();\n  }\n",
               each_unit(cat(v_.results[1] < 0 ? "" : last("hs", "yh"),
                             v_.results[2] < 0 ? "" : last("cs", "yc"))));
  }

  const RecurrentView& v_;
  ir::DataType dtype_;
  int64_t samples_;
};

class Recurrent : public EmittedKernelDef {
 public:
  std::string name() const override { return "cuda.recurrent"; }

  Status supports(const Problem& problem, const DeviceInfo&) const override {
    PLANISH_ASSIGN_OR_RETURN(RecurrentView v, recurrent_view(problem));
    if (shared_floats(v, 1) > kSharedFloats)
      return unsupported(cat("states of ", v.hidden, " units do not fit in shared memory"));
    return ok_status();
  }

  std::vector<Tactic> tactics(const Problem& problem, const DeviceInfo&) const override {
    std::vector<Tactic> out;
    auto v = recurrent_view(problem);
    for (int64_t samples : {1, 2, 4})
      if (samples == 1 ||
          (v.ok() && samples <= v->batch && shared_floats(*v, samples) <= kSharedFloats))
        out.push_back({{{"samples", samples}}});
    return out;
  }

  double predict_us(const Problem& problem, const Tactic& tactic,
                    const DeviceInfo& device) const override {
    auto v = recurrent_view(problem);
    if (!v.ok()) return 1e12;
    const double samples = double(tactic.get("samples", 1));
    // A multiprocessor reads the weights of a step from L2 at about 60 bytes a clock.
    const double bytes =
        double(v->hidden * v->rows()) * ir::bits_of(problem.type_of(v->r).dtype) / 8;
    const double blocks = std::ceil(double(v->batch) / samples) * double(v->directions);
    const double waves = std::max(1.0, blocks / sm_count(device));
    return 5 + double(v->steps) * waves * (1.5 + bytes / 1e5 * (1 + 0.1 * samples));
  }

  bool packs(const Problem& problem, int operand) const override {
    const kernel::Stage& stage = problem.stages[0];
    return kernel::is_input(stage, 2, operand) || kernel::is_input(stage, 3, operand);
  }

  Result<kernel::Blob> pack(const Problem& problem, const Tactic&, const DeviceInfo&,
                            std::span<const ir::Tensor> constants) const override {
    // Packing looks at weights only: other dims may be symbolic and are set to 1.
    PLANISH_ASSIGN_OR_RETURN(Problem plain,
                             kernel::concrete(problem, [](std::string_view) { return 1; }));
    PLANISH_ASSIGN_OR_RETURN(RecurrentView v, recurrent_view(plain));
    const ir::Tensor& r = constants[size_t(v.r)];
    const int64_t element = ir::bits_of(r.dtype()) / 8, rows = v.rows();
    const PackedParts parts = packed_parts(v, r.dtype());
    kernel::Blob blob;
    blob.bytes.resize(size_t(parts.bytes));
    for (int64_t d = 0; d < v.directions; ++d)
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t k = 0; k < v.hidden; ++k)
          std::memcpy(blob.bytes.data() + ((d * v.hidden + k) * rows + row) * element,
                      r.data_as<std::byte>() + ((d * rows + row) * v.hidden + k) * element,
                      size_t(element));
    if (v.b < 0) return blob;
    const ir::Tensor& b = constants[size_t(v.b)];
    for (int64_t d = 0; d < v.directions; ++d)
      for (int64_t row = 0; row < rows; ++row) {
        const float beside_input = float(b.f64(d * 2 * rows + row));
        const float beside_state = float(b.f64(d * 2 * rows + rows + row));
        std::memcpy(blob.bytes.data() + parts.input_bias + (d * rows + row) * 4, &beside_input, 4);
        std::memcpy(blob.bytes.data() + parts.state_bias + (d * rows + row) * 4, &beside_state, 4);
      }
    return blob;
  }

  Result<EmittedStep> emit(const Problem& problem, const Tactic& tactic,
                           const DeviceInfo&) const override {
    PLANISH_ASSIGN_OR_RETURN(RecurrentView v, recurrent_view(problem));
    EmittedStep step;
    PLANISH_ASSIGN_OR_RETURN(EmittedKernel product, emit_input_product(problem, v));
    step.kernels.push_back(std::move(product));
    step.kernels.push_back(StepsBuilder(problem, v, tactic.get("samples", 1)).build());
    step.workspace_bytes = v.steps * v.batch * v.directions * v.rows() * 4;
    return step;
  }
};

}  // namespace

void register_recurrent(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<Recurrent>());
}

}  // namespace planish::cuda
