#include "partition/cost_model.h"

namespace planish::partition {
namespace {

// Fitted to whole networks on two AVX-512 cores: docs/measurements/partition_costs.md has the sources,
// and what the model predicts for them.
struct Machine {
  double node_us;            // one node of TensorFlow, one step of Planish
  double flops_per_us;       // convolutions and products
  double bytes_per_us;       // what is read and written
};
constexpr Machine kTensorflow{1.0, 440e3, 55e3};
constexpr Machine kPlanish{0.5, 450e3, 55e3};
// Measured inside TensorFlow, on a chain of 200 engines of one tiny step.
constexpr double kCallUs = 4;     // the operator, looking up the engine, binding, one step
constexpr double kTensorUs = 1;   // one tensor of the border

double time_on(const Machine& machine, double steps, double flops, double bytes) {
  return steps * machine.node_us + flops / machine.flops_per_us + bytes / machine.bytes_per_us;
}

// A step of Planish holds a contraction with what follows it, so that only weights and the segment's
// own border go through memory. Winograd's savings are not counted.
double engine_time(const frontend::NodeWork& work) {
  return work.contraction_flops > 0
             ? time_on(kPlanish, work.contractions, work.contraction_flops, work.weight_bytes)
             : 0;
}

}  // namespace

SegmentCost cost_of(const std::vector<const frontend::SurveyedNode*>& nodes,
                    const BorderBytes& border, const MeasuredTimes& measured) {
  SegmentCost out;
  out.is_known = true;
  for (const frontend::SurveyedNode* node : nodes) {
    if (node->made_nodes == 0) continue;
    const frontend::NodeWork& work = node->work;
    out.is_known = out.is_known && work.is_known;
    // TensorFlow only renames what a view hands on.
    const double moved = node->is_view ? 0 : work.read_bytes + work.written_bytes + work.weight_bytes;
    out.tensorflow_us += time_on(kTensorflow, work.steps, work.contraction_flops, moved);
    out.engine_us += engine_time(work);
  }
  out.engine_us += time_on(kPlanish, 1, 0, border.inputs + border.outputs);
  out.border_us = kCallUs + kTensorUs * border.tensor_count;
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
