// The family "cuda.top_k": TopK with ONNX's order (sorted, equal elements by position, NaN
// greatest).
//
// Elements become unsigned keys that compare as they do. Short lines rank every element by counting
// who comes before it. Long ones find the k-th key byte by byte with histograms, gather what is
// above it and the first of its equals, and sort those in shared memory. A block has one line.
#include <algorithm>

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
using kernel::Tactic;

constexpr int kThreads = 1024;
constexpr int64_t kLongestRanked = 4096;
constexpr int64_t kMostSelected = 2048;

struct TopKView {
  size_t axis = 0;
  int64_t lines = 1, length = 1, k = 1;
  bool largest = true;
  int results[2] = {-1, -1};
};

Result<TopKView> top_k_view(const Problem& problem) {
  if (problem.root_op() != "TopK" || problem.stages.size() != 1) return other_family();
  const Stage& stage = problem.stages[0];
  const ir::TensorType& in = problem.type_of(stage.inputs[0]);
  if (!is_loadable(in.dtype)) return unsupported(cat("elements of ", ir::name_of(in.dtype)));
  TopKView v;
  const std::vector<int64_t> dims = dims_of(in);
  v.axis = axis_attr(stage, dims.size(), "axis", -1);
  v.length = dims[v.axis];
  v.k = dims_of(stage.outputs[0])[v.axis];
  for (size_t d = 0; d < dims.size(); ++d)
    if (d != v.axis) v.lines *= dims[d];
  v.largest = int_attr(stage, "largest", 1) != 0;
  if (v.length > kLongestRanked && v.k > kMostSelected)
    return unsupported(cat(v.k, " of ", v.length, ", more than ", kMostSelected));
  if (v.length >= int64_t(1) << 30) return unsupported("lines of 2^30 elements and more");
  for (size_t o = 0; o < stage.outputs.size() && o < 2; ++o) {
    const int value = int(problem.operands.size() + o);
    auto found = std::find(problem.results.begin(), problem.results.end(), value);
    if (found != problem.results.end()) v.results[o] = int(found - problem.results.begin());
  }
  return v;
}

bool is_wide(ir::DataType dtype) { return ir::bits_of(dtype) == 64; }

// key_of(x): greater keys come first.
std::string key_function(ir::DataType dtype, bool largest) {
  const std::string_view key = is_wide(dtype) ? "u64" : "u32", reg = register_type(dtype);
  const std::string sign = is_wide(dtype) ? "0x8000000000000000ull" : "0x80000000u";
  std::string text = cat("typedef ", key, " Key;\nDEV Key key_of(", reg, " x) {\n");
  if (ir::is_float(dtype)) {
    // -0 equals 0; NaN is greatest.
    text +=
        cat("  const Key bits = ", is_wide(dtype) ? "(u64)__double_as_longlong" : "__float_as_uint",
            "(x == 0 ? (", reg, ")0 : x);\n  const Key key = x != x ? ~(Key)0 : bits & ", sign,
            " ? ~bits : bits | ", sign, ";\n");
  } else if (ir::is_signed_int(dtype)) {
    text += cat("  const Key key = (Key)", is_wide(dtype) ? "(i64)" : "(int)", "x ^ ", sign, ";\n");
  } else {
    text += "  const Key key = (Key)x;\n";
  }
  return text + (largest ? "  return key;\n}\n" : "  return ~key;\n}\n");
}

class TopKBuilder {
 public:
  TopKBuilder(const Problem& problem, const TopKView& view)
      : problem_(problem),
        v_(view),
        stage_(problem.stages[0]),
        in_(problem.type_of(stage_.inputs[0])),
        e_(problem, 1) {}

  Result<EmittedKernel> build(bool select) {
    e_.line("const int line = blockIdx.x;");
    std::vector<int64_t> sizes;
    const std::vector<int64_t> dims = dims_of(in_);
    for (size_t d = 0; d < dims.size(); ++d)
      if (d != v_.axis) sizes.push_back(dims[d]);
    std::string text;
    line_ = split_number("line", sizes, 1, e_.index_type(), "l", text);
    for (const std::string& l : split(text, '\n'))
      if (!l.empty()) e_.line(l);
    if (select)
      print_select();
    else
      print_rank();
    PLANISH_RETURN_IF_ERROR(e_.status());
    return finish(select);
  }

 private:
  Coords at(const std::string& i) const {
    Coords out = line_;
    out.insert(out.begin() + long(v_.axis), coord(i));
    return out;
  }
  std::string element(const std::string& i) { return e_.value(stage_.inputs[0], at(i))[0]; }
  std::string key(const std::string& i) { return cat("key_of(", element(i), ')'); }

  void write(const std::string& place, const std::string& i) {
    if (v_.results[0] >= 0)
      e_.store(v_.results[0], offset_of(problem_.result_type(v_.results[0]), at(place)),
               {{element(i)}});
    if (v_.results[1] >= 0)
      e_.store(v_.results[1], offset_of(problem_.result_type(v_.results[1]), at(place)),
               {{cat("(i64)", i)}});
  }

  // The place of element i is the number of elements before it.
  void print_rank() {
    e_.line(cat("__shared__ Key keys[", kThreads, "];"));
    e_.open(cat("for (int i0 = 0; i0 < ", v_.length, "; i0 += blockDim.x)"));
    e_.line("const int i = i0 + threadIdx.x;");
    e_.line("Key own = 0;");
    e_.open(cat("if (i < ", v_.length, ')'));
    e_.line(cat("own = ", key("i"), ';'));
    e_.close();
    e_.line("int place = 0;");
    e_.open(cat("for (int j0 = 0; j0 < ", v_.length, "; j0 += blockDim.x)"));
    e_.line("const int j = j0 + threadIdx.x;");
    e_.line("__syncthreads();");
    e_.open(cat("if (j < ", v_.length, ')'));
    e_.line(cat("keys[threadIdx.x] = ", key("j"), ';'));
    e_.close();
    e_.line("__syncthreads();");
    e_.line(cat("const int count = ", v_.length, " - j0 < (int)blockDim.x ? ", v_.length,
                " - j0 : (int)blockDim.x;"));
    e_.line(
        "for (int t = 0; t < count; ++t) place += keys[t] > own || (keys[t] == own && j0 + t < "
        "i);");
    e_.close();
    e_.open(cat("if (i < ", v_.length, " && place < ", v_.k, ')'));
    write("place", "i");
    e_.close();
    e_.close();
  }

  void print_select() {
    int64_t slots = 1;
    while (slots < v_.k) slots *= 2;
    const int bits = is_wide(in_.dtype) ? 64 : 32;
    e_.line(cat("__shared__ u32 histogram[256], chosen, left, count, warps[", kThreads / 32, "];"));
    e_.line(cat("__shared__ Key keys[", slots, "];"));
    e_.line(cat("__shared__ int places[", slots, "];"));
    e_.line(cat("Key known = 0, mask = 0;\n  u32 remaining = ", v_.k, ';'));
    e_.line("const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;");
    // The k-th key, from its first byte on.
    e_.open(cat("for (int shift = ", bits - 8, "; shift >= 0; shift -= 8)"));
    e_.line("if (threadIdx.x < 256) histogram[threadIdx.x] = 0;");
    e_.line("__syncthreads();");
    e_.open(cat("for (int i0 = 0; i0 < ", v_.length, "; i0 += ", kThreads, ')'));
    e_.line("const int i = i0 + threadIdx.x;");
    e_.line("int bin = -1;");
    e_.open(cat("if (i < ", v_.length, ')'));
    e_.line(cat("const Key own = ", key("i"), ';'));
    e_.line("if ((own & mask) == known) bin = (int)(own >> shift) & 255;");
    e_.close();
    // Most elements of a warp often share a bin: one addition stands for them.
    e_.line("const int first = __shfl_sync(0xffffffffu, bin, 0);");
    e_.line("const u32 same = __ballot_sync(0xffffffffu, bin == first);");
    e_.line(
        "if (bin >= 0 && (bin != first || lane == 0)) atomicAdd(&histogram[bin], bin == first ? "
        "(u32)__popc(same) : 1u);");
    e_.close();
    e_.line("__syncthreads();");
    e_.open("if (threadIdx.x == 0)");
    e_.line(
        "int b = 255;\n    u32 rest = remaining;\n    while (histogram[b] < rest) rest -= "
        "histogram[b--];\n    chosen = b;\n    left = rest;");
    e_.close();
    e_.line("__syncthreads();");
    e_.line(
        "known |= (Key)chosen << shift;\n    mask |= (Key)255 << shift;\n    remaining = left;");
    e_.close();
    print_gather(slots);
    print_sort(slots);
    e_.open(cat("for (int i = threadIdx.x; i < ", v_.k, "; i += ", kThreads, ')'));
    e_.line("const int from = places[i];");
    write("i", "from");
    e_.close();
  }

  // Keys above the k-th in any order, then the first of its equals in the order of their positions.
  void print_gather(int64_t slots) {
    e_.line(cat("for (int i = threadIdx.x; i < ", slots, "; i += ", kThreads,
                ") { keys[i] = 0; places[i] = 0x7fffffff; }"));
    e_.line("if (threadIdx.x == 0) count = 0;");
    e_.line("u32 equals = 0;");
    e_.line("__syncthreads();");
    e_.open(cat("for (int i0 = 0; i0 < ", v_.length, "; i0 += ", kThreads, ')'));
    e_.line("const int i = i0 + threadIdx.x;");
    e_.line("bool is_equal = false;");
    e_.open(cat("if (i < ", v_.length, ')'));
    e_.line(cat("const Key own = ", key("i"), ';'));
    e_.line(
        "if (own > known) { const u32 slot = atomicAdd(&count, 1u); keys[slot] = own; places[slot] "
        "= i; }");
    e_.line("is_equal = own == known;");
    e_.close();
    e_.open("if (equals < remaining)");
    e_.line("const u32 votes = __ballot_sync(0xffffffffu, is_equal);");
    e_.line("if (lane == 0) warps[warp] = __popc(votes);");
    e_.line("__syncthreads();");
    e_.line("u32 before = equals + __popc(votes & ((1u << lane) - 1)), all = 0;");
    e_.line(cat("for (int w = 0; w < ", kThreads / 32,
                "; ++w) { if (w < warp) before += warps[w]; all += warps[w]; }"));
    e_.line(cat("if (is_equal && before < remaining) { const u32 slot = ", v_.k,
                " - remaining + before; keys[slot] = known; places[slot] = i; }"));
    e_.line("equals += all;");
    e_.line("__syncthreads();");
    e_.close();
    e_.close();
    e_.line("__syncthreads();");
  }

  void print_sort(int64_t slots) {
    e_.open(cat("for (int size = 2; size <= ", slots, "; size *= 2)"));
    e_.open("for (int step = size / 2; step > 0; step /= 2)");
    e_.open(cat("for (int i = threadIdx.x; i < ", slots, "; i += ", kThreads, ')'));
    e_.line("const int j = i ^ step;");
    e_.open("if (j > i)");
    e_.line("const Key a = keys[i], b = keys[j];\n    const int pa = places[i], pb = places[j];");
    e_.line("const bool behind = a < b || (a == b && pa > pb);");
    e_.line(
        "if (behind == ((i & size) == 0)) { keys[i] = b; keys[j] = a; places[i] = pb; places[j] = "
        "pa; }");
    e_.close();
    e_.close();
    e_.line("__syncthreads();");
    e_.close();
    e_.close();
  }

  EmittedKernel finish(bool select) {
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
    kernel.entry = cat("top_k_", select ? "select_" : "rank_", ir::name_of(in_.dtype), "_k", v_.k);
    kernel.block.x =
        uint32_t(select ? kThreads : std::clamp<int64_t>((v_.length + 31) / 32 * 32, 32, kThreads));
    kernel.grid.x = uint32_t(v_.lines);
    kernel.programmatic_launch = true;
    kernel.source =
        cat(kPrelude, kPackText, key_function(in_.dtype, v_.largest),
            "extern \"C\" __global__ void __launch_bounds__(", kernel.block.x, ") ", kernel.entry,
            '(', join(parameters), ") {\n  grid_wait();\n  grid_launch();\n", e_.body(), "}\n");
    return kernel;
  }

  const Problem& problem_;
  const TopKView& v_;
  const Stage& stage_;
  const ir::TensorType& in_;
  ElementEmitter e_;
  Coords line_;
};

class TopK : public EmittedKernelDef {
 public:
  std::string name() const override { return "cuda.top_k"; }
  Status supports(const Problem& problem, const DeviceInfo&) const override {
    return top_k_view(problem).status();
  }
  std::vector<Tactic> tactics(const Problem& problem, const DeviceInfo&) const override {
    std::vector<Tactic> out;
    auto v = top_k_view(problem);
    if (!v.ok()) return out;
    if (v->length <= kLongestRanked) out.push_back({{{"select", 0}}});
    if (v->k <= kMostSelected && v->k > 0) out.push_back({{{"select", 1}}});
    return out;
  }
  double predict_us(const Problem& problem, const Tactic& tactic,
                    const DeviceInfo& device) const override {
    auto v = top_k_view(problem);
    if (!v.ok()) return 1e12;
    const double waves = std::max(1.0, double(v->lines) / (2 * sm_count(device)));
    const double length = double(v->length);
    return 3 + waves * (tactic.get("select") ? 10 + length * 5e-3 : length * length * 2e-5);
  }
  Result<EmittedStep> emit(const Problem& problem, const Tactic& tactic,
                           const DeviceInfo&) const override {
    PLANISH_ASSIGN_OR_RETURN(TopKView view, top_k_view(problem));
    EmittedStep step;
    if (view.lines * view.k == 0) return step;
    PLANISH_ASSIGN_OR_RETURN(EmittedKernel kernel,
                             TopKBuilder(problem, view).build(tactic.get("select") != 0));
    step.kernels.push_back(std::move(kernel));
    return step;
  }
};

}  // namespace

void register_top_k(kernel::KernelRegistry& registry) { registry.add(std::make_unique<TopK>()); }

}  // namespace planish::cuda
