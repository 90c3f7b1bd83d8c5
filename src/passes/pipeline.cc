#include "passes/pipeline.h"

#include <array>

#include "passes/passes.h"

namespace planish::passes {
namespace {

// First less work for everybody: what no output needs, what is known already.
constexpr Pass kCanonical[] = {
    // Before all else, so that no other pass looks at nodes without readers.
    {"eliminate_dead", eliminate_dead},
    // Constants reach their readers, shape arithmetic ends in numbers.
    {"fold_constants", fold_constants},
    // A branch whose condition is now constant opens up.
    {"inline_branches", inline_branches},
    // Needs constants: x + 0, Slice of everything.
    {"remove_no_ops", remove_no_ops},
    // Reshape chains meet once no-ops between them are gone.
    {"simplify_views", simplify_views},
    // Last: the others make equal nodes equal to the letter.
    {"eliminate_duplicates", eliminate_duplicates},
};

// Composed ops get their names back while they still stand as the exporter wrote them; the larger
// first, since attention holds no normalization but a normalization may hold what looks like less.
constexpr Pass kRecognition[] = {
    {"recognize_layer_norm", recognize_layer_norm},
    {"recognize_rms_norm", recognize_rms_norm},
    {"recognize_gelu", recognize_gelu},
    {"recognize_silu", recognize_silu},
    {"recognize_hard_swish", recognize_hard_swish},
    {"recognize_global_pool", recognize_global_pool},
    // Before transposes move: its head splits and merges are made of them.
    {"recognize_attention", recognize_attention},
    {"recognize_suppressed_scores", recognize_suppressed_scores},
    // After attention: found in Keras' spelling of it, the fused kernel is 1.1e-5 of the output's scale away
    // from TensorFlow on BERT's pooled output, the products are 9.6e-6; the bound for fp32 exact is 1e-5.
    {"spell_out_einsum", spell_out_einsum},
    // Before transposes move: a pair of quantizations would hold them up.
    {"spell_out_quantization", spell_out_quantization},
};

// Arithmetic moves into weights.
constexpr Pass kFolding[] = {
    // A convolution that pads for itself lets the next fold see it directly.
    {"fold_pad", fold_pad},
    // Transposes leave the paths between convolutions and their scales.
    {"propagate_transposes", propagate_transposes},
    // A mean over height and width stands over the last two dims only now, where it came channels-last.
    {"recognize_global_pool", recognize_global_pool},
    // Batch norms into weights, or to a multiplication and an addition ...
    {"fold_batch_norm", fold_batch_norm},
    // ... which, like the model's own, fold into the weights beside them.
    {"fold_scale", fold_scale},
    // What is left gets cheaper where that is exact.
    {"reduce_strength", reduce_strength},
    // The passes above leave constants and nodes behind.
    {"fold_constants", fold_constants},
    {"remove_no_ops", remove_no_ops},
    {"simplify_views", simplify_views},
    {"eliminate_duplicates", eliminate_duplicates},
    {"eliminate_dead", eliminate_dead},
};

// When arithmetic has moved into weights in full precision; casts that meet cancel.
constexpr Pass kPrecision[] = {
    {"convert_precision", convert_precision},
    {"fold_constants", fold_constants},
    {"remove_no_ops", remove_no_ops},
    {"eliminate_duplicates", eliminate_duplicates},
    {"eliminate_dead", eliminate_dead},
};

// After folding: siblings that a scale kept apart are equal now.
constexpr Pass kMerging[] = {
    {"merge_sibling_contractions", merge_sibling_contractions},
    // When weights have the type that they keep: it copies them.
    {"flatten_channels_last", flatten_channels_last},
    {"eliminate_dead", eliminate_dead},
};

// Last: regions hide their nodes from every other pass.
constexpr Pass kFusion[] = {
    {"fuse_regions", fuse_regions},
    {"eliminate_dead", eliminate_dead},
};

constexpr std::array<Stage, 6> kPipeline = {{
    {kCanonical, true},
    {kRecognition, false},
    {kFolding, true},
    {kPrecision, false},
    {kMerging, false},
    {kFusion, false},
}};

// Of no stage: the compiler tries them on a copy of the graph before fusion.
constexpr Pass kVariants[] = {
    // When query, key and value are one product, which then joins the moments once.
    {"defer_layer_norm", defer_layer_norm},
};

constexpr Pass kAll[] = {
    {"convert_precision", convert_precision},
    {"eliminate_dead", eliminate_dead},
    {"eliminate_duplicates", eliminate_duplicates},
    {"flatten_channels_last", flatten_channels_last},
    {"fold_batch_norm", fold_batch_norm},
    {"fold_constants", fold_constants},
    {"fold_pad", fold_pad},
    {"fold_scale", fold_scale},
    {"fuse_regions", fuse_regions},
    {"inline_branches", inline_branches},
    {"merge_sibling_contractions", merge_sibling_contractions},
    {"propagate_transposes", propagate_transposes},
    {"recognize_attention", recognize_attention},
    {"recognize_gelu", recognize_gelu},
    {"recognize_global_pool", recognize_global_pool},
    {"recognize_hard_swish", recognize_hard_swish},
    {"recognize_layer_norm", recognize_layer_norm},
    {"recognize_rms_norm", recognize_rms_norm},
    {"recognize_silu", recognize_silu},
    {"recognize_suppressed_scores", recognize_suppressed_scores},
    {"reduce_strength", reduce_strength},
    {"remove_no_ops", remove_no_ops},
    {"simplify_views", simplify_views},
    {"spell_out_einsum", spell_out_einsum},
    {"spell_out_quantization", spell_out_quantization},
};

}  // namespace

std::span<const Stage> pipeline() { return kPipeline; }

std::span<const Pass> all_passes() { return kAll; }

const Pass* find_pass(std::string_view name) {
  for (const Pass& pass : kAll)
    if (pass.name == name) return &pass;
  for (const Pass& pass : kVariants)
    if (pass.name == name) return &pass;
  return nullptr;
}

Status optimize(ir::Graph& graph, PassContext& context) {
  return run_stages(kPipeline, graph, context);
}

Status prepare(ir::Graph& graph, PassContext& context) {
  return run_stages(std::span(kPipeline).first(kPipeline.size() - 1), graph, context);
}

Status fuse(ir::Graph& graph, PassContext& context) {
  return run_stages(std::span(kPipeline).last(1), graph, context);
}

}  // namespace planish::passes
