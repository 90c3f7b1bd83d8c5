// NonMaxSuppression: per image and class, boxes by descending score, those dropped that overlap a
// better one too much. How many remain, only the data say. SuppressedScores is the same choice in the
// shape of the scores: what passes make of scores gathered and scattered by the chosen indices.
#include <algorithm>
#include <limits>

#include "base/text.h"
#include "ops/composer.h"
#include "ops/dims.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

using opdef::EvalContext;
using opdef::TypeSet;

constexpr TypeSet kF32Only{DataType::kF32};

Status check_operands(const InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 3, 3));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, 3, 3));
  const Shape &boxes = ctx.shape(0), &scores = ctx.shape(1);
  PLANISH_RETURN_IF_ERROR(check_same_dim("input 0 (boxes): dim 2", boxes[2], 4));
  PLANISH_RETURN_IF_ERROR(check_same_dim("input 1 (scores): dim 0", scores[0], boxes[0]));
  PLANISH_RETURN_IF_ERROR(check_same_dim("input 1 (scores): dim 2", scores[2], boxes[1]));
  for (int i = 2; i < 5; ++i)
    if (ctx.has_input(i)) PLANISH_RETURN_IF_ERROR(check_single(ctx, i));
  if (int64_t form = ctx.attr_int("center_point_box"); form != 0 && form != 1)
    return bad_attr("center_point_box", cat(form), "0 or 1");
  return ok_status();
}

Status infer_suppressed_scores(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_operands(ctx));
  ctx.set_output(0, DataType::kF32, ctx.shape(1));
  return ok_status();
}

Status infer_nms(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_operands(ctx));
  const Shape &boxes = ctx.shape(0), &scores = ctx.shape(1);
  Dim per_class = boxes[1];
  if (!ctx.has_input(2)) {
    per_class = 0;
  } else if (auto most = ctx.ints(2); most && most->size() == 1) {
    per_class = min(per_class, Dim(std::max<int64_t>((*most)[0], 0)));
  }
  ctx.set_output(0, DataType::kI64,
                 {data_dim(ctx, "selected", boxes[0] * scores[1] * per_class), Dim(3)});
  return ok_status();
}

struct Box {
  double y1, x1, y2, x2;
  double area() const { return (y2 - y1) * (x2 - x1); }
};

Box box_at(const double* b, bool centered) {
  if (centered) return {b[1] - b[3] / 2, b[0] - b[2] / 2, b[1] + b[3] / 2, b[0] + b[2] / 2};
  return {std::min(b[0], b[2]), std::min(b[1], b[3]), std::max(b[0], b[2]), std::max(b[1], b[3])};
}

bool overlap_above(const Box& a, const Box& b, double threshold) {
  double height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  double width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  if (!(height > 0 && width > 0)) return false;
  double shared = height * width, united = a.area() + b.area() - shared;
  return a.area() > 0 && b.area() > 0 && united > 0 && shared / united > threshold;
}

double scalar_or(EvalContext& ctx, int input, double fallback) {
  return ctx.has_input(input) && ctx.input(input).count() > 0 ? ctx.input(input).f64(0) : fallback;
}

// Image, class and box of everything that is kept.
Result<std::vector<int64_t>> select_boxes(EvalContext& ctx) {
  const Tensor &boxes = ctx.input(0), &scores = ctx.input(1);
  std::vector<double> all_boxes = boxes.f64_values(), all_scores = scores.f64_values();
  double most = scalar_or(ctx, 2, 0), iou = scalar_or(ctx, 3, 0);
  bool has_floor = ctx.has_input(4) && ctx.input(4).count() > 0;
  double floor = scalar_or(ctx, 4, 0);
  if (!(iou >= 0 && iou <= 1))
    return invalid_argument(cat("input 3 (iou_threshold): got ", iou, ", expected 0 to 1"));
  if (has_floor && floor != floor)
    return invalid_argument("input 4 (score_threshold): got NaN, expected a number");
  bool centered = ctx.attr_int("center_point_box") == 1;
  int64_t count = boxes.dim(1), classes = scores.dim(1);
  std::vector<int64_t> selected, order;
  std::vector<Box> kept;
  for (int64_t n = 0; n < boxes.dim(0); ++n)
    for (int64_t c = 0; c < classes; ++c) {
      const double* score = all_scores.data() + (n * classes + c) * count;
      order.clear();
      for (int64_t i = 0; i < count; ++i)
        if (score[i] == score[i] && (!has_floor || score[i] > floor)) order.push_back(i);
      std::stable_sort(order.begin(), order.end(),
                       [&](int64_t a, int64_t b) { return score[a] > score[b]; });
      kept.clear();
      for (int64_t i : order) {
        if (double(kept.size()) >= most) break;
        Box box = box_at(all_boxes.data() + (n * count + i) * 4, centered);
        bool drop = std::any_of(kept.begin(), kept.end(),
                                [&](const Box& k) { return overlap_above(k, box, iou); });
        if (drop) continue;
        kept.push_back(box);
        selected.insert(selected.end(), {n, c, i});
      }
    }
  return selected;
}

Status evaluate_nms(EvalContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(const std::vector<int64_t> selected, select_boxes(ctx));
  std::vector<int64_t> dims = {int64_t(selected.size()) / 3, 3};
  ctx.set_output(0, Tensor::from_i64(DataType::kI64, std::move(dims), selected));
  return ok_status();
}

Status evaluate_suppressed_scores(EvalContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(const std::vector<int64_t> selected, select_boxes(ctx));
  const Tensor& scores = ctx.input(1);
  Tensor& out = ctx.output(0);
  for (size_t i = 0; i < selected.size(); i += 3) {
    const int64_t at = (selected[i] * scores.dim(1) + selected[i + 1]) * scores.dim(2) + selected[i + 2];
    out.set_f64(at, scores.f64(at));
  }
  return ok_status();
}

// V1 to V5 for one class: boxes [n, 4], scores [n]; V4 and V5 can fill up with zeros.
Status import_tensorflow(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  const std::string type(node.op_type());
  const char version = type.back();
  ir::Value *boxes = c.in(0), *scores = c.in(1), *most = c.i64(c.in(2));
  const bool is_first = version == 'n';
  ir::Value* overlap = is_first ? c.scalar(c.attr_float("iou_threshold", 0.5), DataType::kF32) : c.in(3);
  Composer::Values inputs = {c.unsqueeze(boxes, {0}), c.unsqueeze(scores, {0, 1}), most, overlap};
  if (version >= '3' && version <= '5') inputs.push_back(c.in(4));
  if (version == '5')
    for (double sigma : c.need_floats(5, "soft_nms_sigma"))
      if (sigma != 0) return unsupported(cat("soft_nms_sigma is ", sigma, ", expected 0"));
  ir::Value* found = c.cast(c.gather(c.op("NonMaxSuppression", inputs), 2, 1), DataType::kI32);
  ir::Value* count = c.cast(c.op("Size", {found}), DataType::kI32);
  ir::Value* kept = c.op("Gather", {scores, found}, {{"axis", int64_t(0)}});
  if (version < '4' || is_first) return c.finish({found});
  if (c.attr_int("pad_to_max_output_size", 0)) {
    ir::Value* rest = c.sub(c.reshape(most, {1}), c.dim_of(found, 0));
    ir::Value* pads = c.concat({c.ints({0}), rest}, 0);
    found = c.op("Pad", {found, pads});
    kept = c.op("Pad", {kept, pads});
  }
  if (version == '4') return c.finish({found, count});
  return c.finish({found, kept, count});
}

// Boxes [N, n, 1 or classes, 4] and scores [N, n, classes]: per class, then the best of all classes,
// filled up with zeros to a known count.
Status import_combined(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *boxes = c.in(0), *scores = c.transpose(c.in(1), {0, 2, 1});
  if (!c.has_rank(boxes, 4, 4, "input 0 (boxes)")) return c.finish({});
  const int64_t shared = c.need_dim(boxes, 2, "input 0 (boxes)");
  const int64_t classes = c.need_dim(scores, 1, "input 1 (scores)");
  const int64_t count = c.need_dim(scores, 2, "input 1 (scores)");
  const int64_t per_class = std::max<int64_t>(c.need_one(2, "max_output_size_per_class"), 0);
  int64_t most = std::max<int64_t>(c.need_one(3, "max_total_size"), 0);
  if (!c.ok()) return c.finish({});
  if (shared != 1 && shared != classes)
    return invalid_argument(cat("input 0 (boxes) has ", shared, " boxes for ", classes, " classes"));
  if (c.attr_int("pad_per_class", 0)) most = std::min(most, per_class * classes);
  const bool is_shared = shared == 1;
  boxes = is_shared ? c.squeeze(boxes, {2}) : c.transpose(boxes, {0, 2, 1, 3});
  // A class with boxes of its own is an image of its own.
  ir::Value* suppressed = is_shared ? boxes : c.reshape(boxes, {-1, count, 4});
  ir::Value* judged = is_shared ? scores : c.reshape(scores, {-1, 1, count});
  ir::Value* chosen = c.op("NonMaxSuppression", {suppressed, judged, c.constant(Tensor::scalar_i64(per_class)),
                                                 c.in(4), c.in(5)});
  ir::Value* ones = c.filled(c.dim_of(chosen, 0), 1, DataType::kF32);
  ir::Value* marks = c.op("ScatterND", {c.filled(c.op("Shape", {judged}), 0, DataType::kF32), chosen, ones});
  const double kOut = -std::numeric_limits<double>::infinity();
  ir::Value* kept = c.where(c.op("Greater", {marks, c.scalar(0, DataType::kF32)}), judged,
                            c.scalar(kOut, DataType::kF32));
  kept = c.reshape(kept, {-1, classes * count});
  const int64_t taken = std::min(most, classes * count);
  const auto best = c.ops("TopK", {kept, c.ints({taken})}, {}, 2);
  ir::Value* is_found = c.op("Greater", {best[0], c.scalar(kOut, DataType::kF32)});
  ir::Value* of_boxes = is_shared ? boxes : c.reshape(boxes, {-1, classes * count, 4});
  ir::Value* place = is_shared ? c.op("Mod", {best[1], c.constant(Tensor::scalar_i64(count))}) : best[1];
  ir::Value* found = c.op("GatherND", {of_boxes, c.unsqueeze(place, {2})}, {{"batch_dims", int64_t(1)}});
  if (c.attr_int("clip_boxes", 1))
    found = c.op("Clip", {found, c.scalar(0, DataType::kF32), c.scalar(1, DataType::kF32)});
  ir::Value* label = c.cast(c.div(best[1], c.constant(Tensor::scalar_i64(count))), DataType::kF32);
  const auto only_found = [&](ir::Value* x) {
    ir::Value* mask = c.rank(x) == 3 ? c.unsqueeze(is_found, {2}) : is_found;
    x = c.where(mask, x, c.scalar(0, DataType::kF32));
    if (taken == most) return x;
    std::vector<int64_t> pads(size_t(2 * c.rank(x)), 0);
    pads[size_t(c.rank(x)) + 1] = most - taken;
    return c.op("Pad", {x, c.ints(pads)});
  };
  ir::Value* valid = c.reduce("ReduceSum", c.cast(is_found, DataType::kI32), {1}, false);
  return c.finish({only_found(found), only_found(best[0]), only_found(label), valid});
}

}  // namespace

void register_non_max_suppression(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "NonMaxSuppression";
  def.doc = "Indices (image, class, box) of the boxes that no better box of their class overlaps.";
  def.inputs = {operand("boxes", kF32Only, "N boxes 4", ""),
                operand("scores", kF32Only, "N classes boxes", ""),
                optional_operand("max_output_boxes_per_class", opdef::kInt64, "scalar; 0 when absent", ""),
                optional_operand("iou_threshold", kF32Only, "scalar; 0 when absent", ""),
                optional_operand("score_threshold", kF32Only, "scalar; no limit when absent", "")};
  def.outputs = {operand("selected_indices", opdef::kInt64, "selected 3", "")};
  def.attrs = {opdef::int_attr("center_point_box", 0,
                               "0: two corners, y first; 1: centre x, y, width, height")};
  def.host_inputs = 1u << 2 | 1u << 3 | 1u << 4;
  def.infer = infer_nms;
  def.evaluate = evaluate_nms;
  def.onnx = {{"NonMaxSuppression", "", 10, 1 << 30, nullptr}};
  opdef::OpDef scores = def;
  for (const char* version : {"", "V2", "V3", "V4", "V5"})
    def.tensorflow.push_back(tensorflow(cat("NonMaxSuppression", version), import_tensorflow));
  def.tensorflow.push_back(tensorflow("CombinedNonMaxSuppression", import_combined));
  registry.add(std::move(def));

  scores.name = "SuppressedScores";
  scores.doc = "The scores of the boxes that NonMaxSuppression selects, zeros elsewhere. Passes make it.";
  scores.outputs = {operand("surviving", kF32Only, "N classes boxes", "")};
  scores.infer = infer_suppressed_scores;
  scores.evaluate = evaluate_suppressed_scores;
  scores.onnx = {{"SuppressedScores", "planish", 1, 1 << 30,
                  [](const opdef::NodeView& node, opdef::ImportContext&) -> Status {
                    return unsupported(
                        cat(node.op_type(), " is an operator of compiled graphs, not of models"));
                  }}};
  registry.add(std::move(scores));
}

}  // namespace planish::ops
