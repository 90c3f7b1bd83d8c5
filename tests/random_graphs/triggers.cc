#include "triggers.h"

namespace planish::tests {
namespace {

constexpr Trigger kTriggers[] = {
    {"convert_precision", R"(graph "" {
  input %x: f32[2, 3]
  const %w: f32[3, 2] = {1, 0.5, 0.25, -1, 0.5, 0.75}
  %a: f32[] = MatMul(%x, %w)
  %y: f32[] = Tanh(%a)
  output %y })"},
    {"eliminate_dead", R"(graph "" {
  input %x: f32[2, 3, 4]
  %dead: f32[] = Exp(%x)
  %y: f32[] = Tanh(%x)
  output %y })"},
    {"eliminate_duplicates", R"(graph "" {
  input %x: f32[2, 3, 4]
  %a: f32[] = Sigmoid(%x)
  %b: f32[] = Sigmoid(%x)
  %y: f32[] = Add(%a, %b)
  output %y })"},
    {"flatten_channels_last", R"(graph "" {
  input %x: f32[3, 2, 2, 3]
  const %w: f32[12, 2] = {1, 2, 3, 4, 5, 6, 7, 8, -1, -2, -3, 4, 5, 6, 7, 8, 0.5, 0.25, 2, 1, 0, 3, -4, 2}
  const %v: f32[2, 2, 1, 1] = {1, -1, 0.5, 2}
  %c: f32[] = Conv(%x, %v)
  %r: f32[] = Relu(%c)
  %f: f32[] = Flatten(%r)
  %y: f32[] = MatMul(%f, %w)
  output %y })"},
    {"fold_batch_norm", R"(graph "" {
  input %x: f32[2, 2, 5, 5]
  const %w: f32[3, 2, 3, 3] = {0.1, -0.2, 0.3, 0.1, 0.2, -0.1, 0.2, 0.1, -0.3, 0.2, 0.1, 0.1, -0.1, 0.2, 0.2, 0.1, -0.1, 0.3, 0.2, 0.2, 0.1, 0.1, -0.2, 0.1, 0.3, 0.1, -0.1, 0.1, -0.2, 0.3, 0.1, 0.2, -0.1, 0.2, 0.1, -0.3, 0.2, 0.1, 0.1, -0.1, 0.2, 0.2, 0.1, -0.1, 0.3, 0.2, 0.2, 0.1, 0.1, -0.2, 0.1, 0.3, 0.1, -0.1}
  const %s: f32[3] = {1.5, 0.5, -1} const %b: f32[3] = {1, -1, 0.5}
  const %m: f32[3] = {0.5, 0.25, 0} const %v: f32[3] = {1, 2, 0.5}
  %a: f32[] = Conv(%x, %w) {pads = [1, 1, 1, 1]}
  %n: f32[] = BatchNormalization(%a, %s, %b, %m, %v)
  %y: f32[] = Relu(%n)
  output %y })"},
    {"fold_batch_norm", R"(graph "" {
  input %x: f32[2, 2, 4, 4]
  const %s: f32[2] = {1.5, 0.5} const %b: f32[2] = {1, -1}
  const %m: f32[2] = {0.5, 0.25} const %v: f32[2] = {1, 2}
  const %w: f32[3, 2, 1, 1] = {0.5, -0.25, 1, 0.75, -1, 0.5}
  %n: f32[] = BatchNormalization(%x, %s, %b, %m, %v)
  %y: f32[] = Conv(%n, %w)
  output %y })"},
    {"fold_constants", R"(graph "" {
  input %x: f32[2, 3]
  const %a: f32[3] = {1, 2, 3} const %b: f32[3] = {0.5, 0.25, 0.125}
  %c: f32[] = Mul(%a, %b)
  %y: f32[] = Add(%x, %c)
  output %y })"},
    {"fold_pad", R"(graph "" {
  input %x: f32[2, 1, 5, 6]
  const %pads: i64[8] = {0, 0, 1, 0, 0, 0, 0, 1}
  const %w: f32[2, 1, 2, 2] = {0.5, -0.5, 0.25, 1, 1, 0.5, -0.25, 0.5}
  %a: f32[] = Pad(%x, %pads)
  %y: f32[] = Conv(%a, %w) {pads = [0, 1, 0, 0]}
  output %y })"},
    {"fold_scale", R"(graph "" {
  input %x: f32[2, 2, 3, 3]
  const %w: f32[2, 2, 1, 1] = {2, 3, -1, 0.5} const %two: f32[] = {2}
  const %s: f32[2, 1, 1] = {0.5, 0.25} const %b: f32[1, 2, 1, 1] = {1, -1}
  %a: f32[] = Conv(%x, %w)
  %c: f32[] = Mul(%s, %a)
  %d: f32[] = Sub(%b, %c)
  %y: f32[] = Div(%d, %two)
  output %y })"},
    {"fold_scale", R"(graph "" {
  input %x: f32[4, 3]
  const %w: f32[3, 2] = {1, 0.5, 0.25, -1, 0.5, 0.75} const %s: f32[2] = {0.5, 0.25}
  const %b: f32[1, 2] = {1, -1}
  %a: f32[] = MatMul(%x, %w)
  %c: f32[] = Mul(%s, %a)
  %y: f32[] = Add(%c, %b)
  output %y })"},
    {"fuse_regions", R"(graph "" {
  input %x: f32[2, 4, 5, 5] input %r: f32[2, 4, 5, 5]
  const %w: f32[4, 1, 3, 3] = {0.1, -0.2, 0.3, 0.1, 0.2, -0.1, 0.2, 0.1, -0.3, 0.2, 0.1, 0.1, -0.1, 0.2, 0.2, 0.1, -0.1, 0.3, 0.2, 0.2, 0.1, 0.1, -0.2, 0.1, 0.3, 0.1, -0.1, 0.1, -0.2, 0.3, 0.1, 0.2, -0.1, 0.2, 0.1, -0.3}
  %a: f32[] = Conv(%x, %w) {group = 4, pads = [1, 1, 1, 1]}
  %b: f32[] = Add(%a, %r)
  %y: f32[] = Relu(%b)
  output %y })"},
    {"inline_branches", R"(graph "" {
  input %x: f32[2, 3]
  const %c: bool[] = {1}
  %y: f32[] = If(%c, %x, %x) {
    then_branch = graph "" { input %a: f32[2, 3] %b: f32[2, 3] = Relu(%a) output %b },
    else_branch = graph "" { input %a: f32[2, 3] %b: f32[2, 3] = Neg(%a) output %b }}
  output %y })"},
    {"merge_sibling_contractions", R"(graph "" {
  input %x: f32[3, 4]
  const %w: f32[4, 2] = {1, 0.5, 0.25, -1, 0.5, 0.75, -0.5, 0.25}
  const %u: f32[4, 3] = {0.5, 0.5, 0.25, -1, 0.5, 0.75, -0.5, 0.25, 1, 0.125, -0.25, 0.5}
  const %b: f32[3] = {1, -1, 0.5} const %d: f32[2] = {0.5, 0.25}
  %p: f32[] = MatMul(%x, %w)
  %q: f32[] = MatMul(%x, %u)
  %r: f32[] = Add(%p, %d)
  %y: f32[] = Relu(%r)
  %z: f32[] = Add(%q, %b)
  output %y, %z })"},
    {"propagate_transposes", R"(graph "" {
  input %x: f32[2, 3, 4, 5]
  const %s: f32[3] = {0.5, 0.25, 2}
  %a: f32[] = Transpose(%x) {perm = [0, 2, 3, 1]}
  %b: f32[] = Mul(%a, %s)
  %c: f32[] = Tanh(%b)
  %y: f32[] = Transpose(%c) {perm = [0, 3, 1, 2]}
  output %y })"},
    {"recognize_attention", R"(graph "" {
  input %q: f32[2, 3, 8] input %k: f32[2, 3, 8] input %v: f32[2, 3, 8]
  const %split: i64[4] = {0, 0, 2, 4} const %merge: i64[3] = {0, 0, 8} const %two: f32[] = {2}
  %q1: f32[] = Reshape(%q, %split)
  %q2: f32[] = Transpose(%q1) {perm = [0, 2, 1, 3]}
  %k1: f32[] = Reshape(%k, %split)
  %k2: f32[] = Transpose(%k1) {perm = [0, 2, 3, 1]}
  %v1: f32[] = Reshape(%v, %split)
  %v2: f32[] = Transpose(%v1) {perm = [0, 2, 1, 3]}
  %p: f32[] = MatMul(%q2, %k2)
  %s: f32[] = Div(%p, %two)
  %w: f32[] = Softmax(%s) {axis = -1}
  %c: f32[] = MatMul(%w, %v2)
  %c1: f32[] = Transpose(%c) {perm = [0, 2, 1, 3]}
  %y: f32[] = Reshape(%c1, %merge)
  output %y })"},
    {"recognize_gelu", R"(graph "" {
  input %x: f32[2, 3, 4]
  const %root: f32[] = {1.4142135} const %one: f32[] = {1} const %half: f32[] = {0.5}
  %a: f32[] = Div(%x, %root)
  %b: f32[] = Erf(%a)
  %c: f32[] = Add(%b, %one)
  %d: f32[] = Mul(%x, %c)
  %y: f32[] = Mul(%d, %half)
  output %y })"},
    {"recognize_global_pool", R"(graph "" {
  input %x: f32[2, 2, 3, 3]
  const %axes: i64[2] = {-1, 2}
  %y: f32[] = ReduceMean(%x, %axes)
  %z: f32[] = ReduceMax(%x, %axes) {keepdims = 0}
  output %y, %z })"},
    {"recognize_hard_swish", R"(graph "" {
  input %x: f32[2, 3, 4]
  const %three: f32[] = {3} const %zero: f32[] = {0} const %six: f32[] = {6}
  %a: f32[] = Add(%x, %three)
  %b: f32[] = Clip(%a, %zero, %six)
  %c: f32[] = Mul(%x, %b)
  %y: f32[] = Div(%c, %six)
  output %y })"},
    {"recognize_layer_norm", R"(graph "" {
  input %x: f32[2, 3, 4]
  const %axes: i64[1] = {-1} const %two: f32[] = {2} const %eps: f32[] = {0.5}
  const %g: f32[4] = {1, 2, 3, 0.5} const %b: f32[4] = {0, 1, 0, 1}
  %m: f32[] = ReduceMean(%x, %axes)
  %d: f32[] = Sub(%x, %m)
  %q: f32[] = Pow(%d, %two)
  %v: f32[] = ReduceMean(%q, %axes)
  %e: f32[] = Add(%v, %eps)
  %s: f32[] = Sqrt(%e)
  %n: f32[] = Div(%d, %s)
  %h: f32[] = Mul(%n, %g)
  %y: f32[] = Add(%h, %b)
  output %y })"},
    {"recognize_rms_norm", R"(graph "" {
  input %x: f32[3, 4]
  const %axes: i64[1] = {-1} const %two: f32[] = {2} const %eps: f32[] = {0.5}
  const %g: f32[4] = {1, 2, 3, 0.5}
  %q: f32[] = Pow(%x, %two)
  %v: f32[] = ReduceMean(%q, %axes)
  %e: f32[] = Add(%v, %eps)
  %s: f32[] = Sqrt(%e)
  %r: f32[] = Reciprocal(%s)
  %n: f32[] = Mul(%x, %r)
  %y: f32[] = Mul(%g, %n)
  output %y })"},
    {"recognize_silu", R"(graph "" {
  input %x: f32[2, 3, 4]
  %s: f32[] = Sigmoid(%x)
  %y: f32[] = Mul(%s, %x)
  output %y })"},
    {"recognize_suppressed_scores", R"(graph "" {
  input %boxes: f32[1, 6, 4]
  input %scores: f32[1, 2, 6]
  const %most: i64[1] = {3} const %iou: f32[1] = {0.5}
  const %zeros: f32[1, 2, 6] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
  %kept: i64[] = NonMaxSuppression(%boxes, %scores, %most, %iou)
  %picked: f32[] = GatherND(%scores, %kept)
  %y: f32[] = ScatterND(%zeros, %kept, %picked)
  output %y })"},
    {"reduce_strength", R"(graph "" {
  input %x: f32[2, 3, 4]
  const %two: f32[] = {2} const %eight: f32[] = {8} const %zero: f32[] = {0}
  %a: f32[] = Pow(%x, %two)
  %b: f32[] = Div(%a, %eight)
  %c: f32[] = Sub(%b, %x)
  %y: f32[] = Max(%c, %zero)
  output %y })"},
    {"remove_no_ops", R"(graph "" {
  input %x: f32[2, 3, 4]
  const %zero: f32[] = {0} const %one: f32[] = {1}
  %a: f32[] = Add(%x, %zero)
  %b: f32[] = Identity(%a)
  %c: f32[] = Mul(%b, %one)
  %y: f32[] = Sin(%c)
  output %y })"},
    {"simplify_views", R"(graph "" {
  input %x: f32[2, 3, 4]
  const %flat: i64[2] = {0, -1} const %back: i64[3] = {0, 4, 3}
  %a: f32[] = Reshape(%x, %flat)
  %b: f32[] = Reshape(%a, %back)
  %y: f32[] = Cos(%b)
  output %y })"},
    {"spell_out_einsum", R"(graph "" {
  input %a: f32[2, 3, 2, 4] input %b: f32[2, 5, 2, 4]
  %c: f32[] = Einsum(%a, %b) {equation = "btnh,bsnh->bnts"}
  %y: f32[] = Sin(%c)
  output %y })"},
    {"spell_out_quantization", R"(graph "" {
  input %x: f32[2, 3, 4]
  const %scale: f32[] = {0.05} const %zero: u8[] = {128}
  %q: u8[] = QuantizeLinear(%x, %scale, %zero)
  %d: f32[] = DequantizeLinear(%q, %scale, %zero)
  %y: f32[] = Sin(%d)
  output %y })"},
    // Loops and branches that data decide, and kept whole by every pass.
    {"", R"(graph "" {
  input %c: bool[1] input %x: f32[2, 3]
  const %shape: i64[0] = {}
  %d: bool[] = Reshape(%c, %shape)
  %y: f32[] = If(%d, %x, %x) {
    then_branch = graph "" { input %a: f32[2, 3] %b: f32[2, 3] = Relu(%a) %e: f32[2, 3] = Add(%b, %a) output %e },
    else_branch = graph "" { input %a: f32[2, 3] %b: f32[2, 3] = Neg(%a) output %b }}
  output %y })"},
    {"", R"(graph "" {
  input %x: f32[2, 3]
  const %trips: i64[] = {3} const %on: bool[] = {1}
  %y: f32[], %all: f32[] = Loop(%trips, %on, %x) {
    carried = 1, body = graph "" {
      input %i: i64[] input %go: bool[] input %s: f32[2, 3]
      const %half: f32[] = {0.5}
      %t: f32[2, 3] = Mul(%s, %half)
      %u: f32[2, 3] = Sin(%t)
      %keep: bool[] = Identity(%go)
      output %keep, %u, %t }}
  output %y, %all })"},
    {"", R"(graph "" {
  input %x: f32[4, 3] input %s: f32[3]
  %last: f32[], %all: f32[] = Scan(%s, %x) {
    num_scan_inputs = 1, states = 1,
    body = graph "" {
      input %a: f32[3] input %b: f32[3]
      const %half: f32[] = {0.5}
      %c: f32[3] = Mul(%a, %half)
      %d: f32[3] = Add(%c, %b)
      %e: f32[3] = Tanh(%d)
      output %d, %e }}
  output %last, %all })"},
    {"", R"(graph "" {
  input %x: f32[2, 4, 3] input %s: f32[2, 3]
  %last: f32[], %all: f32[] = ScanBatch(_, %s, %x) {
    num_scan_inputs = 1, states = 1,
    body = graph "" {
      input %a: f32[3] input %b: f32[3]
      %d: f32[3] = Sub(%a, %b)
      %e: f32[3] = Sin(%d)
      output %e, %d }}
  output %last, %all })"},
};

}  // namespace

std::span<const Trigger> triggers() { return kTriggers; }

}  // namespace planish::tests
