#include "ops/case_builder.h"

namespace planish::ops {
namespace {

InputCase scales(std::vector<double> values) {
  int64_t count = int64_t(values.size());
  return constant(DataType::kF32, {count}, std::move(values));
}

void add_resize(CaseList& cases) {
  for (const char* transform : {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel",
                                "align_corners", "asymmetric"})
    for (const char* mode : {"nearest", "linear", "cubic"}) {
      ir::Attributes attrs = {{"mode", text(mode)}, {"coordinate_transformation_mode", text(transform)}};
      std::string name = std::string(mode) + "_" + transform;
      cases.push_back(make_case("Resize", name + "_up", {random({1, 2, 5, 4}), absent(), scales({1, 1, 2, 3})}, attrs));
      cases.push_back(make_case("Resize", name + "_down", {random({1, 2, 9, 7}), absent(), scales({1, 1, 0.5, 0.6})}, attrs));
      cases.push_back(make_case("Resize", name + "_sizes", {random({2, 1, 5, 4}), absent(), absent(), constant_i64({2, 1, 7, 3})}, attrs));
    }
  for (const char* mode : {"linear", "cubic"})
    cases.push_back(make_case("Resize", std::string(mode) + "_antialias",
                              {random({1, 1, 12, 9}), absent(), scales({1, 1, 0.4, 0.7})},
                              {{"mode", text(mode)}, {"antialias", integer(1)}}));
  for (const char* rounding : {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"})
    cases.push_back(make_case("Resize", std::string("nearest_") + rounding,
                              {random({1, 1, 6, 5}), absent(), scales({1, 1, 1.5, 0.8})},
                              {{"nearest_mode", text(rounding)}}));
  cases.push_back(make_case("Resize", "crop",
                            {random({1, 1, 6, 6}), constant(DataType::kF32, {8}, {0, 0, 0.2, 0.4, 1, 1, 1.2, 0.6}),
                             absent(), constant_i64({1, 1, 4, 5})},
                            {{"mode", text("linear")}, {"coordinate_transformation_mode", text("tf_crop_and_resize")},
                             {"extrapolation_value", real(9)}}));
  cases.push_back(make_case("Resize", "axes_not_larger",
                            {random({1, 2, 6, 8}), absent(), absent(), constant_i64({5, 5})},
                            {{"axes", ints({2, 3})}, {"keep_aspect_ratio_policy", text("not_larger")}}));
  cases.push_back(known_case("Resize", "nearest_known",
                             {given(DataType::kF32, {1, 1, 2, 2}, {1, 2, 3, 4}), absent(), scales({1, 1, 2, 3})},
                             {{1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 3, 3, 3, 4, 4, 4}}));
  cases.push_back(known_case("Resize", "linear_known",
                             {given(DataType::kF32, {1, 1, 2, 2}, {1, 2, 3, 4}), absent(), scales({1, 1, 2, 2})},
                             {{1, 1.25, 1.75, 2, 1.5, 1.75, 2.25, 2.5, 2.5, 2.75, 3.25, 3.5, 3, 3.25, 3.75, 4}},
                             {{"mode", text("linear")}}));
}

void add_sampling(CaseList& cases) {
  for (const char* mode : {"nearest", "linear", "cubic"})
    for (const char* padding : {"zeros", "border", "reflection"})
      for (int64_t corners : {0, 1}) {
        ir::Attributes attrs = {{"mode", text(mode)}, {"padding_mode", text(padding)}, {"align_corners", integer(corners)}};
        std::string name = std::string(mode) + "_" + padding + (corners ? "_corners" : "");
        cases.push_back(make_case("GridSample", name + "_2d", {random({2, 3, 5, 6}), random(DataType::kF32, {2, 4, 3, 2}, -1.6, 1.6)}, attrs));
        cases.push_back(make_case("GridSample", name + "_3d", {random({1, 2, 3, 4, 5}), random(DataType::kF32, {1, 2, 3, 2, 3}, -1.6, 1.6)}, attrs));
      }
  for (int64_t corners : {0, 1}) {
    cases.push_back(make_case("AffineGrid", "2d", {random({2, 2, 3}), constant_i64({2, 3, 5, 6})}, {{"align_corners", integer(corners)}}));
    cases.push_back(make_case("AffineGrid", "3d", {random({1, 3, 4}), constant_i64({1, 3, 4, 5, 6})}, {{"align_corners", integer(corners)}}));
  }
  cases.push_back(known_case("AffineGrid", "identity",
                             {given(DataType::kF32, {1, 2, 3}, {1, 0, 0, 0, 1, 0}), constant_i64({1, 1, 2, 2})},
                             {{-1, -1, 1, -1, -1, 1, 1, 1}}, {{"align_corners", integer(1)}}));
}

void add_regions(CaseList& cases) {
  auto rois = given(DataType::kF32, {3, 4}, {0, 0, 9, 9, 2.5, 1, 7, 6, 5, 5, 11, 10});
  auto batch = given(DataType::kI64, {3}, {0, 1, 1});
  for (const char* mode : {"avg", "max"})
    for (const char* transform : {"half_pixel", "output_half_pixel"})
      cases.push_back(make_case("RoiAlign", std::string(mode) + "_" + transform,
                                {random({2, 3, 10, 10}), rois, batch},
                                {{"mode", text(mode)}, {"coordinate_transformation_mode", text(transform)},
                                 {"output_height", integer(3)}, {"output_width", integer(4)}}));
  cases.push_back(make_case("MaxRoiPool", "two_regions",
                            {random({1, 2, 8, 9}), given(DataType::kF32, {2, 5}, {0, 1, 1, 6, 5, 0, 0, 0, 8, 7})},
                            {{"pooled_shape", ints({2, 3})}}));
  auto boxes = given(DataType::kF32, {1, 6, 4}, {0, 0, 1, 1, 0, 0.1, 1, 1.1, 0, -0.1, 1, 0.9,
                                                 0, 10, 1, 11, 0, 10.1, 1, 11.1, 0, 100, 1, 101});
  auto scores = given(DataType::kF32, {1, 1, 6}, {0.9, 0.75, 0.6, 0.95, 0.5, 0.3});
  auto most = constant_i64({3}), iou = constant(DataType::kF32, {1}, {0.5});
  cases.push_back(known_case("NonMaxSuppression", "known", {boxes, scores, most, iou},
                             {{0, 0, 3, 0, 0, 0, 0, 0, 5}}));
  cases.push_back(known_case("NonMaxSuppression", "threshold",
                             {boxes, scores, most, iou, constant(DataType::kF32, {1}, {0.4})},
                             {{0, 0, 3, 0, 0, 0}}));
  cases.push_back(known_case("NonMaxSuppression", "none_asked_for", {boxes, scores}, {{}}));
  cases.push_back(known_case("SuppressedScores", "known", {boxes, scores, most, iou},
                             {{0.9, 0, 0, 0.95, 0, 0.3}}));
  cases.push_back(known_case("SuppressedScores", "threshold",
                             {boxes, scores, most, iou, constant(DataType::kF32, {1}, {0.4})},
                             {{0.9, 0, 0, 0.95, 0, 0}}));
  cases.push_back(make_case("SuppressedScores", "classes",
                            {random(DataType::kF32, {2, 67, 4}, 0, 1), random(DataType::kF32, {2, 3, 67}, 0, 1),
                             constant_i64({20}), constant(DataType::kF32, {1}, {0.3}),
                             constant(DataType::kF32, {1}, {0.2})}));
  cases.push_back(make_case("SuppressedScores", "centred",
                            {random(DataType::kF32, {1, 40, 4}, 0.1, 1), random(DataType::kF32, {1, 2, 40}, 0, 1),
                             constant_i64({40}), constant(DataType::kF32, {1}, {0.1})},
                            {{"center_point_box", integer(1)}}));
  cases.push_back(make_case("Col2Im", "overlapping", {random({2, 12, 20}), constant_i64({5, 6}), constant_i64({2, 2})}));
  cases.push_back(make_case("Col2Im", "padded_strided", {random({1, 9, 9}), constant_i64({5, 5}), constant_i64({3, 3})},
                            {{"pads", ints({1, 1, 1, 1})}, {"strides", ints({2, 2})}}));
  cases.push_back(known_case("CenterCropPad", "crop_and_pad",
                             {given(DataType::kF32, {4, 2}, {1, 2, 3, 4, 5, 6, 7, 8}), constant_i64({2, 4})},
                             {{0, 3, 4, 0, 0, 5, 6, 0}}));
}

}  // namespace

CaseList image_cases() {
  CaseList cases;
  add_resize(cases);
  add_sampling(cases);
  add_regions(cases);
  return cases;
}

}  // namespace planish::ops
