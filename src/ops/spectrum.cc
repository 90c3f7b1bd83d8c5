#include "ops/spectrum.h"

#include <cmath>

#include "base/text.h"
#include "ops/composer.h"

namespace planish::ops {
namespace {

constexpr double kPi = 3.14159265358979323846;
// Up to this length a transform is a product with a matrix of cosines and sines, which runs as fast as
// any product; beyond, the matrix costs more than the operator DFT.
constexpr int64_t kLongestProduct = 2048;

struct Complex {
  ir::Value* re;
  ir::Value* im;  // null: a real signal
};

// kHalf: of a real signal, the first half; kFromHalf: back from it.
enum class Transform { kForward, kInverse, kHalf, kFromHalf };

struct Waves {
  std::vector<double> cosines, sines;
};
Waves waves(int64_t rows, int64_t columns, int64_t length, Transform kind) {
  Waves out;
  const bool is_inverse = kind == Transform::kInverse || kind == Transform::kFromHalf;
  for (int64_t r = 0; r < rows; ++r) {
    double weight = is_inverse ? 1 / double(length) : 1;
    // Every bin of the half stands for its conjugate twin too, but the ones that have none.
    if (kind == Transform::kFromHalf && r != 0 && 2 * r != length) weight *= 2;
    for (int64_t k = 0; k < columns; ++k) {
      const double angle = 2 * kPi * double(r * k % length) / double(length);
      out.cosines.push_back(weight * std::cos(angle));
      out.sines.push_back((is_inverse ? -weight : weight) * std::sin(angle));
    }
  }
  return out;
}

Complex by_product(Composer& c, Complex x, int64_t rows, int64_t columns, int64_t length,
                   Transform kind) {
  const Waves w = waves(rows, columns, length, kind);
  const auto times = [&](ir::Value* part, const std::vector<double>& matrix) {
    return c.op("MatMul", {part, c.constant(Tensor::from_f64(c.dtype(part), {rows, columns}, matrix))});
  };
  Complex out{times(x.re, w.cosines), nullptr};
  if (x.im) out.re = c.add(out.re, times(x.im, w.sines));
  if (kind == Transform::kFromHalf) return out;
  out.im = c.op("Neg", {times(x.re, w.sines)});
  if (x.im) out.im = c.add(out.im, times(x.im, w.cosines));
  return out;
}

Complex by_operator(Composer& c, Complex x, int64_t length, Transform kind) {
  ir::Value* parts = c.unsqueeze(x.re, {c.rank(x.re)});
  if (x.im) parts = c.concat({parts, c.unsqueeze(x.im, {c.rank(x.im)})}, -1);
  const bool is_inverse = kind == Transform::kInverse || kind == Transform::kFromHalf;
  const bool is_half = kind == Transform::kHalf || kind == Transform::kFromHalf;
  ir::Value* y = c.op("DFT", {parts, c.constant(Tensor::scalar_i64(length))},
                      {{"inverse", int64_t(is_inverse)}, {"onesided", int64_t(is_half)}});
  if (kind == Transform::kFromHalf) return {c.squeeze(y, {-1}), nullptr};
  return {c.gather(y, 0, -1), c.gather(y, 1, -1)};
}

// Along the last dim, cut or padded with zeros to `length` (for kFromHalf: to its half).
Complex transformed(Composer& c, Complex x, int64_t length, Transform kind) {
  const int64_t have = c.need_dim(x.re, -1, "the transformed dim");
  if (c.ok() && (length < 1 || length > (1 << 26)))
    c.fail(unsupported(cat("a transform of length ", length)));
  if (!c.ok()) return x;
  const int64_t rows = std::min(have, kind == Transform::kFromHalf ? length / 2 + 1 : length);
  if (rows < have) {
    x.re = c.slice(x.re, -1, 0, rows);
    if (x.im) x.im = c.slice(x.im, -1, 0, rows);
  }
  if (length > kLongestProduct) return by_operator(c, x, length, kind);
  return by_product(c, x, rows, kind == Transform::kHalf ? length / 2 + 1 : length, length, kind);
}

ir::Value* last_two_swapped(Composer& c, ir::Value* x) {
  std::vector<int64_t> perm;
  for (int i = 0; i < c.rank(x); ++i) perm.push_back(i);
  if (perm.size() >= 2) std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  return c.transpose(x, perm);
}
// Along the last dim but one.
Complex across(Composer& c, Complex x, int64_t length, Transform kind) {
  const auto swapped = [&](Complex z) {
    return Complex{last_two_swapped(c, z.re), z.im ? last_two_swapped(c, z.im) : nullptr};
  };
  return swapped(transformed(c, swapped(x), length, kind));
}

bool is_two_dimensional(const NodeView& node) { return node.op_type().back() == 'D'; }

// FFT, FFT2D, IFFT, IFFT2D.
Status import_fft(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  const Transform kind = node.op_type()[0] == 'I' ? Transform::kInverse : Transform::kForward;
  Complex x{c.in(0), c.in(1)};
  x = transformed(c, x, c.need_dim(x.re, -1, "input 0"), kind);
  if (is_two_dimensional(node)) x = across(c, x, c.need_dim(x.re, -2, "input 0"), kind);
  return c.finish({x.re, x.im});
}

// RFFT, RFFT2D; input 1 is the length along each dim.
Status import_rfft(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  const std::vector<int64_t> lengths = c.need(1, "fft_length");
  if (!c.ok() || lengths.size() != (is_two_dimensional(node) ? 2u : 1u))
    return c.ok() ? invalid_argument("input 1 (fft_length) has the wrong length") : c.finish({});
  Complex x = transformed(c, {c.in(0), nullptr}, lengths.back(), Transform::kHalf);
  if (lengths.size() == 2) x = across(c, x, lengths[0], Transform::kForward);
  return c.finish({x.re, x.im});
}

// IRFFT, IRFFT2D; input 2 is the length along each dim.
Status import_irfft(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  const std::vector<int64_t> lengths = c.need(2, "fft_length");
  if (!c.ok() || lengths.size() != (is_two_dimensional(node) ? 2u : 1u))
    return c.ok() ? invalid_argument("input 1 (fft_length) has the wrong length") : c.finish({});
  Complex x{c.in(0), c.in(1)};
  if (lengths.size() == 2) x = across(c, x, lengths[0], Transform::kInverse);
  return c.finish({transformed(c, x, lengths.back(), Transform::kFromHalf).re});
}

ir::Value* squared_magnitude(Composer& c, ir::Value* re, ir::Value* im) {
  return c.add(c.mul(re, re), c.mul(im, im));
}
Status import_magnitude(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  return c.finish({c.op("Sqrt", {squared_magnitude(c, c.in(0), c.in(1))})});
}

// The angle of (x, y) in -pi to pi, from the one that the quotient tells.
ir::Value* angle_of(Composer& c, ir::Value* y, ir::Value* x) {
  ir::Value *zero = c.scalar_like(0, x), *turn = c.scalar_like(kPi, x);
  ir::Value* half = c.where(c.op("Less", {y, zero}), c.op("Neg", {turn}), turn);
  ir::Value* whole = c.add(c.op("Atan", {c.div(y, x)}), c.where(c.op("Less", {x, zero}), half, zero));
  ir::Value* at_zero = c.op("And", {c.op("Equal", {x, zero}), c.op("Equal", {y, zero})});
  return c.where(at_zero, zero, whole);
}
Status import_atan2(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  return c.finish({angle_of(c, c.in(0), c.in(1))});
}
Status import_angle(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  return c.finish({angle_of(c, c.in(1), c.in(0))});
}

Status import_exponential(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *size = c.op("Exp", {c.in(0)}), *angle = c.in(1);
  return c.finish({c.mul(size, c.op("Cos", {angle})), c.mul(size, c.op("Sin", {angle}))});
}
Status import_product(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *a = c.in(0), *b = c.in(1), *x = c.in(2), *y = c.in(3);
  return c.finish({c.sub(c.mul(a, x), c.mul(b, y)), c.add(c.mul(a, y), c.mul(b, x))});
}
Status import_quotient(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *a = c.in(0), *b = c.in(1), *x = c.in(2), *y = c.in(3);
  ir::Value* size = squared_magnitude(c, x, y);
  return c.finish({c.div(c.add(c.mul(a, x), c.mul(b, y)), size),
                   c.div(c.sub(c.mul(b, x), c.mul(a, y)), size)});
}

}  // namespace

std::vector<opdef::ImportRule> spectrum_rules() {
  std::vector<opdef::ImportRule> rules;
  for (const char* dims : {"", "2D"}) {
    rules.push_back(tensorflow(cat("FFT", dims), import_fft));
    rules.push_back(tensorflow(cat("IFFT", dims), import_fft));
    rules.push_back(tensorflow(cat("RFFT", dims), import_rfft));
    rules.push_back(tensorflow(cat("IRFFT", dims), import_irfft));
  }
  return rules;
}
std::vector<opdef::ImportRule> complex_magnitude_rules() {
  return {tensorflow("ComplexAbs", import_magnitude)};
}
std::vector<opdef::ImportRule> complex_angle_rules() {
  return {tensorflow("Atan2", import_atan2), tensorflow("Angle", import_angle)};
}
std::vector<opdef::ImportRule> complex_exponential_rules() {
  return {tensorflow("Exp(complex64)", import_exponential)};
}
std::vector<opdef::ImportRule> complex_product_rules() {
  return {tensorflow("Mul(complex64)", import_product)};
}
std::vector<opdef::ImportRule> complex_quotient_rules() {
  return {tensorflow("RealDiv(complex64)", import_quotient)};
}

}  // namespace planish::ops
