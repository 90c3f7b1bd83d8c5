// What a segment gains: the time of its nodes in TensorFlow, less its time as an engine, less what its
// border costs. All in microseconds of one call.
//
// A plain model whose constants are in cost_model.cc, with where they come from. It decides whether an
// engine is worth having at all, not how fast it is; measured times stand in its place where there
// are any.
#pragma once
#include <optional>
#include <vector>

#include "frontend/tensorflow/graph_survey.h"

namespace planish::partition {

struct MeasuredTimes {
  std::optional<double> tensorflow_us, engine_us;  // of one call, the border included
};

struct SegmentCost {
  bool is_known = false;      // false: sizes or lengths of loops are assumed (frontend::SurveyOptions)
  bool is_measured = false;   // engine_us or tensorflow_us was given
  double tensorflow_us = 0;   // the nodes run by TensorFlow
  double engine_us = 0;       // the engine's own time
  double border_us = 0;       // the call, and copies of what crosses the border
  double gain_us() const { return tensorflow_us - engine_us - border_us; }
};

struct BorderBytes {
  double inputs = 0, outputs = 0;
  int tensor_count = 0;
};

SegmentCost cost_of(const std::vector<const frontend::SurveyedNode*>& nodes,
                    const BorderBytes& border, const MeasuredTimes& measured);

}  // namespace planish::partition
