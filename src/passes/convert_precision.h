// convert_precision: f32 values of a graph become f16 or bf16 wherever the operators allow it.
//
// Every node whose f32 operands may be of the reduced type gets them so, and its results follow;
// weights are rounded once (finite values beyond the type's range become its largest), other values
// by a Cast where a reduced reader meets an f32 producer or the reverse. Operators that fix their
// types, quantization, control flow and operands that only shape a result (Resize's scales) keep f32.
// Inputs and outputs keep their declared types; convert_io gives a network's the reduced one. Kernels
// accumulate in f32 whatever the type of what they read.
#pragma once
#include "passes/pass.h"

namespace planish::passes {

// Does nothing when `type` is f32. Precondition: types are inferred.
Result<bool> convert_precision(ir::Graph& graph, const opdef::OpRegistry& registry,
                               ir::DataType type);

// f32 inputs and outputs of the network become `type`, by a Cast behind or in front of each.
Status convert_io(ir::Graph& graph, const opdef::OpRegistry& registry, ir::DataType type);

}  // namespace planish::passes
