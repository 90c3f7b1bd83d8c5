// Every pass, one line each. What a pass does and where it stops is said at the top of its file;
// the order is pipeline.cc's.
#pragma once
#include "passes/pass.h"

namespace planish::passes {

Result<bool> convert_precision(ir::Graph& graph, PassContext& context);
Result<bool> defer_layer_norm(ir::Graph& graph, PassContext& context);
Result<bool> eliminate_dead(ir::Graph& graph, PassContext& context);
Result<bool> eliminate_duplicates(ir::Graph& graph, PassContext& context);
Result<bool> flatten_channels_last(ir::Graph& graph, PassContext& context);
Result<bool> fold_batch_norm(ir::Graph& graph, PassContext& context);
Result<bool> fold_constants(ir::Graph& graph, PassContext& context);
Result<bool> fold_pad(ir::Graph& graph, PassContext& context);
Result<bool> fold_scale(ir::Graph& graph, PassContext& context);
Result<bool> fuse_regions(ir::Graph& graph, PassContext& context);
Result<bool> inline_branches(ir::Graph& graph, PassContext& context);
Result<bool> merge_sibling_contractions(ir::Graph& graph, PassContext& context);
Result<bool> propagate_transposes(ir::Graph& graph, PassContext& context);
Result<bool> recognize_attention(ir::Graph& graph, PassContext& context);
Result<bool> recognize_gelu(ir::Graph& graph, PassContext& context);
Result<bool> recognize_global_pool(ir::Graph& graph, PassContext& context);
Result<bool> recognize_hard_swish(ir::Graph& graph, PassContext& context);
Result<bool> recognize_layer_norm(ir::Graph& graph, PassContext& context);
Result<bool> recognize_rms_norm(ir::Graph& graph, PassContext& context);
Result<bool> recognize_silu(ir::Graph& graph, PassContext& context);
Result<bool> recognize_suppressed_scores(ir::Graph& graph, PassContext& context);
Result<bool> reduce_strength(ir::Graph& graph, PassContext& context);
Result<bool> remove_no_ops(ir::Graph& graph, PassContext& context);
Result<bool> simplify_views(ir::Graph& graph, PassContext& context);
Result<bool> spell_out_einsum(ir::Graph& graph, PassContext& context);
Result<bool> spell_out_quantization(ir::Graph& graph, PassContext& context);

}  // namespace planish::passes
