// What TensorFlow's own optimizer writes behind a contraction: the fused_ops of _FusedConv2D,
// _FusedMatMul and their kin.
#pragma once
#include "ops/composer.h"

namespace planish::ops {

// y with the node's fused_ops applied in order; their operands are the node's inputs from `first` on.
// Channels stand last in y, or second where `channels_last` is false.
ir::Value* apply_fused_ops(Composer& c, ir::Value* y, int first, bool channels_last);
// An activation by TensorFlow's name; "None" and "Identity" leave x.
ir::Value* apply_activation(Composer& c, ir::Value* x, std::string_view name);

}  // namespace planish::ops
