// The family "cuda.suppression": SuppressedScores, what NonMaxSuppression leaves of the scores.
//
// A block has one class of one image: it gathers the boxes above the threshold, sorts them by score
// in shared memory, and goes through them in that order; each one that stands strikes out those
// behind it that it overlaps too much, all threads at once. Areas are compared in double, as the
// operator's definition does, so that no box falls on the other side of the threshold.
#include <algorithm>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/families/element/element_ops.h"
#include "backend/cuda/families/register_families.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using kernel::DeviceInfo;
using kernel::Problem;
using kernel::Stage;

constexpr int kThreads = 256;
constexpr int64_t kMostBoxes = 4096;  // their scores and numbers fit in shared memory

struct SuppressionView {
  int64_t images = 1, classes = 1, boxes = 1, most = 0;
  double overlap = 0, floor = 0;
  bool has_floor = false, centred = false;
};

Result<SuppressionView> suppression_view(const Problem& problem) {
  if (problem.root_op() != "SuppressedScores" || problem.stages.size() != 1) return other_family();
  const Stage& stage = problem.stages[0];
  SuppressionView v;
  const std::vector<int64_t> scores = dims_of(problem.type_of(stage.inputs[1]));
  v.images = scores[0];
  v.classes = scores[1];
  v.boxes = scores[2];
  if (v.boxes > kMostBoxes) return unsupported(cat(v.boxes, " boxes, more than ", kMostBoxes));
  if (v.classes > 65535 || v.images * v.classes * v.boxes == 0)
    return unsupported("no or too many classes");
  constexpr std::string_view kNames[] = {"", "", "max_output_boxes_per_class", "iou_threshold",
                                         "score_threshold"};
  for (size_t i = 2; i < 5; ++i)
    PLANISH_RETURN_IF_ERROR(require_known(problem, stage, i, kNames[i]));
  const auto given = [&](size_t i) -> const ir::Tensor* {
    if (!has_input(stage, i)) return nullptr;
    const auto& value = problem.operands[size_t(stage.inputs[i])].value;
    return value->count() ? &*value : nullptr;
  };
  if (given(2)) v.most = std::max<int64_t>(given(2)->i64(0), 0);
  if (given(3)) v.overlap = given(3)->f64(0);
  if (!(v.overlap >= 0 && v.overlap <= 1)) return unsupported("an iou_threshold outside of 0 to 1");
  v.has_floor = given(4) != nullptr;
  if (v.has_floor) v.floor = given(4)->f64(0);
  if (v.floor != v.floor) return unsupported("a score_threshold that is no number");
  v.centred = int_attr(stage, "center_point_box", 0) == 1;
  return v;
}

std::string number(double value) {
  return cat("__longlong_as_double(", __builtin_bit_cast(long long, value), "ll)");
}

// box_of(p): the corners of the box whose four numbers stand at p.
std::string functions(const SuppressionView& v) {
  return cat(
      R"X(struct Box { double y1, x1, y2, x2; };
DEV Box box_of(const float* p) {
  const double a = p[0], b = p[1], c = p[2], d = p[3];
  Box box;
)X",
      v.centred
          ? "  box.y1 = b - d / 2; box.x1 = a - c / 2; box.y2 = b + d / 2; box.x2 = a + c / 2;\n"
          : "  box.y1 = a < c ? a : c; box.x1 = b < d ? b : d; box.y2 = a < c ? c : a; box.x2 = b "
            "< d ? d : b;\n",
      R"X(  return box;
}
DEV double area(const Box& b) { return (b.y2 - b.y1) * (b.x2 - b.x1); }
DEV bool overlap(const Box& a, const Box& b) {
  const double height = (a.y2 < b.y2 ? a.y2 : b.y2) - (a.y1 > b.y1 ? a.y1 : b.y1);
  const double width = (a.x2 < b.x2 ? a.x2 : b.x2) - (a.x1 > b.x1 ? a.x1 : b.x1);
  if (!(height > 0 && width > 0)) return false;
  const double shared = height * width, first = area(a), second = area(b), united = first + second - shared;
  return first > 0 && second > 0 && united > 0 && shared / united > )X",
      number(v.overlap), ";\n}\n");
}

std::string body(const SuppressionView& v) {
  int64_t slots = 2;
  while (slots < v.boxes) slots *= 2;
  const std::string threads = cat(kThreads), count = cat(v.boxes);
  const std::string floor = v.has_floor ? cat(" && (double)score > ", number(v.floor)) : "";
  return cat(
      "  __shared__ float scores[", slots, "];\n  __shared__ u16 numbers[", slots,
      "];\n  __shared__ u8 struck[", slots, "];\n  __shared__ int found;\n",
      "  grid_wait();\n  grid_launch();\n  const int c = blockIdx.x, n = blockIdx.y;\n",
      "  const float* own = x1 + ((i64)n * ", v.classes, " + c) * ", count,
      ";\n  const float* boxes = x0 + (i64)n * ", v.boxes * 4, ";\n  float* out = y0 + ((i64)n * ",
      v.classes, " + c) * ", count, ";\n",
      "  if (threadIdx.x == 0) found = 0;\n  __syncthreads();\n  for (int i = threadIdx.x; i < ",
      count, "; i += ", threads,
      ") {\n    const float score = own[i];\n    out[i] = 0;\n    if (score == score", floor,
      ") {\n      const int slot = atomicAdd(&found, 1);\n      scores[slot] = score;\n      "
      "numbers[slot] = (u16)i;\n",
      "      struck[slot] = 0;\n    }\n  }\n  __syncthreads();\n  const int all = found;\n  int "
      "slots = 2;\n",
      "  while (slots < all) slots *= 2;\n",
      // Behind the candidates: what sorts last.
      "  for (int i = all + threadIdx.x; i < slots; i += ", threads,
      ") { scores[i] = __uint_as_float(0xff800000u); numbers[i] = 0xffff; struck[i] = 1; }\n  "
      "__syncthreads();\n",
      "  for (int size = 2; size <= slots; size *= 2)\n    for (int step = size / 2; step > 0; "
      "step /= 2) {\n",
      "      for (int i = threadIdx.x; i < slots; i += ", threads,
      ") {\n        const int j = i ^ step;\n",
      "        if (j > i) {\n          const float a = scores[i], b = scores[j];\n          const "
      "u16 na = numbers[i], nb = numbers[j];\n",
      "          const bool behind = a < b || (a == b && na > nb);\n",
      "          if (behind == ((i & size) == 0)) { scores[i] = b; scores[j] = a; numbers[i] = nb; "
      "numbers[j] = na; }\n",
      "        }\n      }\n      __syncthreads();\n    }\n",
      "  int kept = 0;\n  for (int i = 0; i < all && kept < ", v.most,
      "; ++i) {\n    if (struck[i]) continue;\n    ++kept;\n",
      "    const Box best = box_of(boxes + numbers[i] * 4);\n    if (threadIdx.x == 0) "
      "out[numbers[i]] = scores[i];\n",
      "    for (int j = i + 1 + threadIdx.x; j < all; j += ", threads,
      ")\n      if (!struck[j] && overlap(best, box_of(boxes + numbers[j] * 4))) struck[j] = 1;\n  "
      "  __syncthreads();\n  }\n");
}

class Suppression : public EmittedKernelDef {
 public:
  std::string name() const override { return "cuda.suppression"; }
  Status supports(const Problem& problem, const DeviceInfo&) const override {
    return suppression_view(problem).status();
  }
  double predict_us(const Problem& problem, const kernel::Tactic&,
                    const DeviceInfo& device) const override {
    auto v = suppression_view(problem);
    if (!v.ok()) return 1e12;
    const double waves = std::max(1.0, double(v->images * v->classes) / (2 * sm_count(device)));
    return 5 + waves * (10 + double(v->boxes) * 0.02);
  }
  Result<EmittedStep> emit(const Problem& problem, const kernel::Tactic&,
                           const DeviceInfo&) const override {
    PLANISH_ASSIGN_OR_RETURN(SuppressionView v, suppression_view(problem));
    const Stage& stage = problem.stages[0];
    EmittedKernel kernel;
    kernel.entry = cat("suppressed_scores_", v.boxes);
    kernel.args = {KernelArg::operand(stage.inputs[0]), KernelArg::operand(stage.inputs[1]),
                   KernelArg::result(0)};
    kernel.block.x = kThreads;
    kernel.grid = {uint32_t(v.classes), uint32_t(v.images), 1};
    kernel.programmatic_launch = true;
    kernel.source = cat(kPrelude, functions(v), "extern \"C\" __global__ void __launch_bounds__(",
                        kThreads, ") ", kernel.entry,
                        "(const float* x0, const float* x1, float* y0) {\n", body(v), "}\n");
    EmittedStep step;
    step.kernels.push_back(std::move(kernel));
    return step;
  }
};

}  // namespace

void register_suppression(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<Suppression>());
}

}  // namespace planish::cuda
