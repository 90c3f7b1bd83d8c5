#include "partition/cost_model.h"

#include <algorithm>

namespace planish::partition {
namespace {

// First estimates for two AVX-512 cores; see docs/measurements for how they are fitted.
struct Machine {
  double node_us;         // dispatch of one node, or one step
  double gflops;          // convolutions and products
  double other_gflops;    // elementwise and reductions
  double bytes_per_us;    // activations and weights, in and out
};
constexpr Machine kTensorflow{1.5, 120, 2, 10000};
constexpr Machine kPlanish{0.3, 200, 8, 15000};
constexpr double kCallUs = 2;              // an engine op: looking up, binding, waking the threads
constexpr double kTensorUs = 0.1;          // one tensor of the border
constexpr double kCopyBytesPerUs = 10000;  // results are copied out

// A step of Planish holds a contraction with all that follows it: its activations do not go to memory
// between the nodes it holds.
double time_on(const Machine& machine, const frontend::NodeWork& work, bool is_fused) {
  const double moved = is_fused ? work.weight_bytes
                                : work.weight_bytes + work.read_bytes + work.written_bytes;
  const double arithmetic = work.contraction_flops / (machine.gflops * 1e3) +
                            (is_fused ? 0 : work.other_flops / (machine.other_gflops * 1e3));
  return (is_fused ? 0 : machine.node_us) + std::max(arithmetic, moved / machine.bytes_per_us);
}

}  // namespace

SegmentCost cost_of(const std::vector<const frontend::SurveyedNode*>& nodes,
                    const BorderBytes& border, const MeasuredTimes& measured) {
  SegmentCost out;
  out.is_known = true;
  for (const frontend::SurveyedNode* node : nodes) {
    if (node->made_nodes == 0) continue;
    out.is_known = out.is_known && node->work.is_known;
    out.tensorflow_us += time_on(kTensorflow, node->work, false);
    const bool is_root = node->work.contraction_flops > 0;
    out.engine_us += time_on(kPlanish, node->work, !is_root);
  }
  out.border_us = kCallUs + kTensorUs * border.tensor_count + border.outputs / kCopyBytesPerUs;
  if (measured.tensorflow_us) out.tensorflow_us = *measured.tensorflow_us;
  if (measured.engine_us) {
    out.engine_us = *measured.engine_us;
    out.border_us = 0;  // it is part of what was measured
  }
  out.is_measured = measured.tensorflow_us || measured.engine_us;
  out.is_known = out.is_known || (measured.tensorflow_us && measured.engine_us);
  return out;
}

}  // namespace planish::partition
