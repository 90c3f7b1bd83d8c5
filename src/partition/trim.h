// Gives up nodes at a segment's border that would only cost there.
//
// TensorFlow hands a reshaped or renamed tensor on without touching its elements. Inside of an engine
// the same node costs a copy when what it reads is an input of the engine, or an output of its own: two
// results cannot share memory there. Such nodes go back to TensorFlow.
#pragma once
#include <vector>

#include "frontend/tensorflow/graph_survey.h"

namespace planish::partition {

// `nodes` in topological order; what stays, in the same order. A node goes when nothing in the segment
// reads it, or it reads nothing there, so the rest stays convex.
std::vector<int> trim(const frontend::Survey& survey, const std::vector<int>& nodes);

}  // namespace planish::partition
