// The family "cuda.attention_plain": Attention on the plain cores, for true fp32 and for what the
// tensor cores' family refuses. A warp takes one query, eight of them a block; keys and values pass
// through shared memory in tiles of 32, a lane scores one key, and the softmax runs along with it.
#include <algorithm>
#include <cmath>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/emit/thread_text.h"
#include "backend/cuda/families/element/element_ops.h"
#include "backend/cuda/families/register_families.h"
#include "base/text.h"
#include "kernel/cost.h"

namespace planish::cuda {
namespace {

using kernel::DeviceInfo;
using kernel::Problem;
using kernel::Stage;

constexpr int kQueries = 8, kKeys = 32;
constexpr int64_t kLargestHead = 160;

struct AttentionView {
  int root = 0;
  int64_t batch = 1, heads = 1, kv_heads = 1, queries = 1, keys = 1, head_size = 1, value_size = 1;
  bool flat = false;  // [batch, sequence, heads * size]
};

Status check_parts(const Problem& problem, int& root) {
  root = -1;
  for (size_t i = 0; i < problem.stages.size(); ++i) {
    const Stage& stage = problem.stages[i];
    for (const ir::TensorType& type : stage.outputs)
      if (!is_loadable(type.dtype))
        return unsupported(cat("elements of ", ir::name_of(type.dtype)));
    if (stage.is_expr())
      PLANISH_RETURN_IF_ERROR(can_print(*stage.expr));
    else if (stage.op == "Attention" && root < 0)
      root = int(i);
    else if (const ElementOp* op = find_element_op(stage.op); !op || op->reads_many)
      return other_family();
  }
  return root < 0 ? other_family() : ok_status();
}

Result<AttentionView> attention_view(const Problem& problem) {
  AttentionView v;
  PLANISH_RETURN_IF_ERROR(check_parts(problem, v.root));
  const Stage& stage = problem.stages[size_t(v.root)];
  if (stage.outputs.size() != 1) return unsupported("more outputs than the result");
  for (size_t i = 4; i < stage.inputs.size(); ++i)
    if (stage.inputs[i] >= 0) return unsupported("cached keys and values");
  for (std::string_view key : {"left_window_size", "right_window_size"})
    if (int_attr(stage, key, -1) != -1) return unsupported(cat("attribute '", key, "'"));
  const auto dims = [&](int i) { return dims_of(problem.type_of(stage.inputs[size_t(i)])); };
  const std::vector<int64_t> q = dims(0), k = dims(1), value = dims(2);
  v.flat = q.size() == 3;
  v.batch = q[0];
  v.heads = v.flat ? int_attr(stage, "q_num_heads", 1) : q[1];
  v.kv_heads = v.flat ? int_attr(stage, "kv_num_heads", 1) : k[1];
  v.queries = q[v.flat ? 1 : 2];
  v.keys = k[v.flat ? 1 : 2];
  v.head_size = v.flat ? q[2] / v.heads : q[3];
  v.value_size = v.flat ? value[2] / v.kv_heads : value[3];
  if (problem.type_of(stage.inputs[0]).dtype == ir::DataType::kF64) return unsupported("f64");
  if (std::max(v.head_size, v.value_size) > kLargestHead)
    return unsupported(
        cat("heads of ", std::max(v.head_size, v.value_size), ", more than ", kLargestHead));
  if (v.batch > 65535 || v.heads > 65535)
    return unsupported("more than 65535 heads or batch elements");
  if (v.batch * v.heads * v.queries * v.keys * v.value_size == 0)
    return unsupported("empty operands");
  return v;
}

class AttentionBuilder {
 public:
  AttentionBuilder(const Problem& problem, const AttentionView& view)
      : problem_(problem), v_(view), stage_(problem.stages[size_t(view.root)]), e_(problem, 1) {}

  Result<EmittedKernel> build() {
    e_.line("const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;");
    e_.line("const int h = blockIdx.y, n = blockIdx.z;");
    e_.line(cat("const int kvh = h / ", v_.heads / v_.kv_heads, ';'));
    e_.line(cat("const int at = blockIdx.x * ", kQueries, " + warp, query = at < ", v_.queries,
                " ? at : ", v_.queries - 1, ';'));
    e_.line(cat("__shared__ float qs[", kQueries, "][", v_.head_size, "], ks[", kKeys, "][",
                v_.head_size | 1, "], vs[", kKeys, "][", v_.value_size, "];"));
    e_.open(cat("for (int d = lane; d < ", v_.head_size, "; d += 32)"));
    e_.line(cat("qs[warp][d] = ",
                e_.value(stage_.inputs[0], place("h", "query", "d", v_.head_size))[0], ';'));
    e_.close();
    e_.line(cat("float top = ", lowest(), ", sum = 0;"));
    for (int64_t i = 0; i < parts(); ++i) e_.line(cat("float y", i, "_ = 0;"));
    e_.open(cat("for (int j0 = 0; j0 < ", v_.keys, "; j0 += ", kKeys, ')'));
    load_tile("ks", 1, v_.head_size);
    load_tile("vs", 2, v_.value_size);
    e_.line("__syncthreads();");
    print_scores();
    e_.line("__syncthreads();");
    e_.close();
    print_results();
    PLANISH_RETURN_IF_ERROR(e_.status());
    return finish();
  }

 private:
  static std::string lowest() { return "__uint_as_float(0xff800000u)"; }
  int64_t parts() const { return (v_.value_size + 31) / 32; }

  Coords place(const std::string& head, const std::string& s, const std::string& d,
               int64_t size) const {
    if (!v_.flat) return {coord("n"), coord(head), coord(s), coord(d)};
    return {coord("n"), coord(s), coord(cat('(', head, " * ", size, " + ", d, ')'))};
  }

  void load_tile(const std::string& to, size_t input, int64_t size) {
    e_.open(cat("for (int t = threadIdx.x; t < ", kKeys * size, "; t += ", kQueries * 32, ')'));
    e_.line(cat("const int j = t / ", size, ", d = t % ", size, ", key = j0 + j;"));
    e_.line(cat(to, "[j][d] = 0;"));
    e_.open(cat("if (key < ", v_.keys, ')'));
    e_.line(cat(to, "[j][d] = ", e_.value(stage_.inputs[input], place("kvh", "key", "d", size))[0],
                ';'));
    e_.close();
    e_.close();
  }

  void print_scores() {
    const double scale =
        float_attr(stage_, "scale", 1 / std::sqrt(double(std::max<int64_t>(v_.head_size, 1))));
    const double cap = float_attr(stage_, "softcap", 0);
    e_.line("const int key = j0 + lane;");
    e_.line("float score = 0;");
    e_.line("#pragma unroll 8");
    e_.line(cat("for (int d = 0; d < ", v_.head_size,
                "; ++d) score = fmaf(qs[warp][d], ks[lane][d], score);"));
    e_.line(cat("score *= ", float_literal(float(scale)), ';'));
    if (cap > 0)
      e_.line(cat("score = ", float_literal(float(cap)), " * tanhf(score / ",
                  float_literal(float(cap)), ");"));
    std::vector<std::string> tests = {cat("key < ", v_.keys)};
    if (int_attr(stage_, "is_causal", 0)) tests.push_back("key <= query");
    const bool masked = has_input(stage_, 3);
    if (masked) {
      const int64_t width = dims_of(e_.type(stage_.inputs[3])).back();
      if (width < v_.keys) tests.push_back(cat("key < ", width));
    }
    e_.line(cat("bool seen = ", join(tests, " && "), ';'));
    if (masked) {
      e_.open("if (seen)");
      const Coords at = {coord("n"), coord("h"), coord("query"), coord("key")};
      const std::string mask = e_.value(stage_.inputs[3], at)[0];
      if (e_.type(stage_.inputs[3]).dtype == ir::DataType::kBool)
        e_.line(cat("seen = ", mask, ';'));
      else
        e_.line(cat("score += (float)", mask, ';'));
      e_.close();
    }
    e_.line(cat("if (!seen) score = ", lowest(), ';'));
    e_.line("float best = score;");
    e_.line(
        "#pragma unroll\n  for (int i = 16; i > 0; i /= 2) best = max_nan(best, "
        "__shfl_xor_sync(0xffffffffu, best, i));");
    e_.line("best = max_nan(best, top);");
    // Nothing seen yet: no weight, and nothing to rescale.
    e_.line(cat("const float weight = score == ", lowest(), " ? 0.0f : expf(score - best);"));
    e_.line(cat("const float decay = top == ", lowest(), " ? 0.0f : expf(top - best);"));
    e_.line("float total = weight;");
    e_.line(
        "#pragma unroll\n  for (int i = 16; i > 0; i /= 2) total += __shfl_xor_sync(0xffffffffu, "
        "total, i);");
    e_.line("sum = sum * decay + total;");
    e_.line("top = best;");
    for (int64_t i = 0; i < parts(); ++i) e_.line(cat('y', i, "_ *= decay;"));
    e_.line("#pragma unroll 8");
    e_.open(cat("for (int j = 0; j < ", kKeys, "; ++j)"));
    e_.line("const float w = __shfl_sync(0xffffffffu, weight, j);");
    for (int64_t i = 0; i < parts(); ++i) {
      const bool whole = (i + 1) * 32 <= v_.value_size;
      e_.line(cat(whole ? "" : cat("if (lane + ", i * 32, " < ", v_.value_size, ") "), 'y', i,
                  "_ = fmaf(w, vs[j][lane + ", i * 32, "], y", i, "_);"));
    }
    e_.close();
  }

  void print_results() {
    e_.open(cat("if (at < ", v_.queries, ')'));
    int root = int(problem_.operands.size());
    for (int i = 0; i < v_.root; ++i) root += int(problem_.stages[size_t(i)].outputs.size());
    for (int64_t i = 0; i < parts(); ++i) {
      e_.open(cat("if (lane + ", i * 32, " < ", v_.value_size, ')'));
      const std::string y = e_.bind("float", cat("sum > 0 ? y", i, "_ / sum : 0.0f"));
      const std::string d = e_.bind("int", cat("lane + ", i * 32));
      const Coords at = place("h", "at", d, v_.value_size);
      e_.define(root, {{y}});
      for (size_t r = 0; r < problem_.results.size(); ++r)
        e_.store(int(r), offset_of(problem_.result_type(int(r)), at),
                 e_.value(problem_.results[r], at));
      e_.close();
    }
    e_.close();
  }

  EmittedKernel finish() {
    EmittedKernel kernel;
    std::vector<std::string> parameters;
    for (int i : e_.loaded()) {
      parameters.push_back(cat("const ", memory_type(e_.type(i).dtype), "* x", i));
      kernel.args.push_back(KernelArg::operand(i));
    }
    for (int i = 0; i < int(problem_.results.size()); ++i) {
      parameters.push_back(cat(memory_type(problem_.result_type(i).dtype), "* y", i));
      kernel.args.push_back(KernelArg::result(i));
    }
    kernel.entry =
        cat("attention_plain_", ir::name_of(e_.type(stage_.inputs[0]).dtype), "_d", v_.head_size);
    kernel.block.x = kQueries * 32;
    kernel.grid = {uint32_t((v_.queries + kQueries - 1) / kQueries), uint32_t(v_.heads),
                   uint32_t(v_.batch)};
    kernel.programmatic_launch = true;
    kernel.source =
        cat(kPrelude, kPackText, e_.tables(), "extern \"C\" __global__ void __launch_bounds__(",
            kQueries * 32, ") ", kernel.entry, '(', join(parameters),
            ") {\n  grid_wait();\n  grid_launch();\n", e_.body(), "}\n");
    return kernel;
  }

  const Problem& problem_;
  const AttentionView& v_;
  const Stage& stage_;
  ElementEmitter e_;
};

class AttentionPlain : public EmittedKernelDef {
 public:
  std::string name() const override { return "cuda.attention_plain"; }
  Status supports(const Problem& problem, const DeviceInfo&) const override {
    return attention_view(problem).status();
  }
  double predict_us(const Problem& problem, const kernel::Tactic&,
                    const DeviceInfo& device) const override {
    auto v = attention_view(problem);
    if (!v.ok()) return 1e12;
    const double flops = 2.0 * double(v->batch * v->heads * v->queries * v->keys) *
                         double(v->head_size + v->value_size);
    return 3 + std::max(flops / (device.peak_gflops * 0.15 * 1e3),
                        memory_us(device, double(kernel::bytes_moved(problem))));
  }
  Result<EmittedStep> emit(const Problem& problem, const kernel::Tactic&,
                           const DeviceInfo&) const override {
    PLANISH_ASSIGN_OR_RETURN(AttentionView view, attention_view(problem));
    EmittedStep step;
    PLANISH_ASSIGN_OR_RETURN(EmittedKernel kernel, AttentionBuilder(problem, view).build());
    step.kernels.push_back(std::move(kernel));
    return step;
  }
};

}  // namespace

void register_attention_plain(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<AttentionPlain>());
}

}  // namespace planish::cuda
