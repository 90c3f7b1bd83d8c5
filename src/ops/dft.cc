// DFT and STFT: the discrete Fourier transform along one axis, and of windowed frames of a signal.
// Complex numbers are a last dim of 2 (real, imaginary); a last dim of 1 is a real signal.
#include <cmath>

#include "base/text.h"
#include "ops/composer.h"
#include "ops/content.h"
#include "ops/fourier.h"
#include "ops/movement.h"
#include "ops/spectrum.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

using Line = std::vector<std::complex<double>>;

// The one element of an optional integer input, when known.
std::optional<Dim> scalar_input(const InferContext& ctx, int i) {
  const std::optional<std::vector<Dim>> content = small_content(ctx, i);
  if (!content || content->size() != 1) return std::nullopt;
  return (*content)[0];
}

Status check_complex_dim(const InferContext& ctx, bool inverse_real) {
  const Dim& last = ctx.shape(0).back();
  if (!last.is_constant()) return ok_status();
  const bool good = last.value() == 2 || (last.value() == 1 && !inverse_real);
  if (good) return ok_status();
  return invalid_argument(cat(input_name(ctx, 0), ": the last dim is ", last.value(),
                              ", expected ", inverse_real ? "2" : "1 (real) or 2 (complex)"));
}

// --- DFT: input, dft_length, axis ---

Result<int> dft_axis(int64_t axis, int rank) {
  PLANISH_ASSIGN_OR_RETURN(const int normal, normalize_axis("axis", axis, rank));
  if (normal == rank - 1) {
    return invalid_argument(cat("axis: got ", axis, ", the dim of real and imaginary parts"));
  }
  return normal;
}

Dim half_spectrum(const Dim& length) { return floordiv(length, Dim(2)) + Dim(1); }

// Elements along the axis of the result. The transform's length is given, or the signal's; for IRFFT
// the even length of the spectrum. A computed length makes this dim a symbol of its own: one that
// only an expression mentions could not be bound by looking at the result.
Result<Dim> dft_bins(InferContext& ctx, const Dim& signal, bool inverse, bool onesided) {
  const bool halves = onesided && !inverse;
  if (!ctx.has_input(1)) {
    const Dim length = inverse && onesided ? Dim(2) * (signal - Dim(1)) : signal;
    return halves ? half_spectrum(length) : length;
  }
  PLANISH_RETURN_IF_ERROR(check_single(ctx, 1));
  const std::optional<Dim> given = scalar_input(ctx, 1);
  if (!given) return data_dim(ctx, "dft");
  if (given->is_constant() && given->value() < 1) {
    return invalid_argument(cat("input 1 (dft_length): got ", given->value(), ", expected over 0"));
  }
  return halves ? half_spectrum(*given) : *given;
}

Status infer_dft(InferContext& ctx) {
  const bool inverse = ctx.attr_int("inverse") != 0, onesided = ctx.attr_int("onesided") != 0;
  const int rank = ctx.rank(0);
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 2));
  PLANISH_RETURN_IF_ERROR(check_complex_dim(ctx, inverse && onesided));
  int64_t wanted = -2;
  if (ctx.has_input(2)) {
    PLANISH_RETURN_IF_ERROR(check_single(ctx, 2));
    const std::optional<std::vector<int64_t>> axis = ctx.ints(2);
    if (!axis) {
      // Any dim but the last may change its length.
      Shape unknown = data_shape(ctx, "dft", rank - 1);
      unknown.push_back(inverse && onesided ? 1 : 2);
      return set_sized_output(ctx, 0, ctx.dtype(0), std::move(unknown));
    }
    wanted = (*axis)[0];
  }
  PLANISH_ASSIGN_OR_RETURN(const int axis, dft_axis(wanted, rank));
  if (onesided && !inverse) {
    PLANISH_RETURN_IF_ERROR(check_same_dim(
        cat(input_name(ctx, 0), ", last dim (onesided takes a real signal)"), ctx.shape(0).back(),
        1));
  }
  Shape shape = ctx.shape(0);
  PLANISH_ASSIGN_OR_RETURN(const Dim bins,
                           dft_bins(ctx, shape[size_t(axis)], inverse, onesided));
  shape[size_t(axis)] = bins;
  shape.back() = inverse && onesided ? 1 : 2;
  return set_sized_output(ctx, 0, ctx.dtype(0), std::move(shape));
}

// The full spectrum from its first half: X[n - k] = conj(X[k]).
void mirror(Line& line) {
  for (size_t k = line.size() / 2 + 1; k < line.size(); ++k) {
    line[k] = std::conj(line[line.size() - k]);
  }
}

Status evaluate_dft(EvalContext& ctx) {
  const Tensor& in = ctx.input(0);
  Tensor& out = ctx.output(0);
  const bool inverse = ctx.attr_int("inverse") != 0, onesided = ctx.attr_int("onesided") != 0;
  const int axis = wrap_axis(ctx.has_input(2) ? ctx.input(2).i64(0) : -2, in.rank());
  const int64_t signal = in.dim(axis), bins = out.dim(axis);
  const int64_t parts = in.dim(in.rank() - 1), out_parts = out.dim(out.rank() - 1);
  int64_t length = ctx.has_input(1) ? ctx.input(1).i64(0) : signal;
  if (!ctx.has_input(1) && inverse && onesided) length = bins;
  const int64_t outer = product(in.dims(), 0, axis);
  const int64_t inner = product(in.dims(), axis + 1, in.rank() - 1);
  const double scale = inverse ? 1 / double(length) : 1;
  const bool halved = inverse && onesided;
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t i = 0; i < inner; ++i) {
      Line line(size_t(length), 0);
      const int64_t used = std::min(halved ? length / 2 + 1 : length, signal);
      for (int64_t n = 0; n < used; ++n) {
        const int64_t at = ((o * signal + n) * inner + i) * parts;
        line[size_t(n)] = {in.f64(at), parts > 1 ? in.f64(at + 1) : 0};
      }
      if (halved) mirror(line);
      line = fourier(line, inverse);
      for (int64_t k = 0; k < bins; ++k) {
        const int64_t at = ((o * bins + k) * inner + i) * out_parts;
        out.set_f64(at, line[size_t(k)].real() * scale);
        if (out_parts > 1) out.set_f64(at + 1, line[size_t(k)].imag() * scale);
      }
    }
  }
  return ok_status();
}

// In opset 17 to 19 the axis was an attribute.
Status import_axis_attribute(const opdef::NodeView& node, opdef::ImportContext& context) {
  if (!node.has_input(0)) return invalid_argument("input 0 (input) is missing");
  PLANISH_ASSIGN_OR_RETURN(const int64_t axis, node.attr_int("axis", 1));
  PLANISH_ASSIGN_OR_RETURN(const int64_t inverse, node.attr_int("inverse", 0));
  PLANISH_ASSIGN_OR_RETURN(const int64_t onesided, node.attr_int("onesided", 0));
  PLANISH_ASSIGN_OR_RETURN(
      ir::Value* out,
      context.add1("DFT",
                   {node.input(0), node.has_input(1) ? node.input(1) : nullptr,
                    context.constant(Tensor::scalar_i64(axis))},
                   {{"inverse", inverse}, {"onesided", onesided}}));
  context.set_output(0, out);
  return ok_status();
}

// --- STFT: signal, frame_step, window, frame_length ---

Status infer_stft(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 3, 3));
  PLANISH_RETURN_IF_ERROR(check_complex_dim(ctx, false));
  PLANISH_RETURN_IF_ERROR(check_single(ctx, 1));
  const bool onesided = ctx.attr_int("onesided") != 0;
  const Dim signal = ctx.shape(0)[1];
  Dim length = signal;
  bool is_known = true;  // the frame length
  if (ctx.has_input(2)) {
    PLANISH_RETURN_IF_ERROR(check_rank(ctx, 2, 1, 1));
    length = ctx.shape(2)[0];
  }
  if (ctx.has_input(3)) {
    PLANISH_RETURN_IF_ERROR(check_single(ctx, 3));
    const std::optional<Dim> given = scalar_input(ctx, 3);
    if (given && ctx.has_input(2)) {
      PLANISH_RETURN_IF_ERROR(check_same_dim("input 3 (frame_length)", *given, length));
    }
    if (!ctx.has_input(2)) {
      is_known = given.has_value();
      if (given) length = *given;
    }
  }
  if (length.is_constant() && length.value() < 1) {
    return invalid_argument(cat("frame length: got ", length.value(), ", expected over 0"));
  }
  if (signal.is_constant() && length.is_constant() && length.value() > signal.value()) {
    return invalid_argument(cat("frame length: got ", length.value(), ", expected at most ",
                                signal.value(), ", the length of the signal"));
  }
  const std::optional<Dim> step = scalar_input(ctx, 1);
  if (step && step->is_constant() && step->value() < 1) {
    return invalid_argument(cat("input 1 (frame_step): got ", step->value(), ", expected over 0"));
  }
  const Dim frames = step && is_known ? floordiv(signal - length, *step) + Dim(1)
                                      : data_dim(ctx, "frames", signal);
  const Dim most = onesided ? half_spectrum(length) : length;
  const Dim bins = is_known ? most : data_dim(ctx, "bins", most);
  return set_sized_output(ctx, 0, ctx.dtype(0), {ctx.shape(0)[0], frames, bins, 2});
}

Status evaluate_stft(EvalContext& ctx) {
  const Tensor& in = ctx.input(0);
  Tensor& out = ctx.output(0);
  const int64_t batch = in.dim(0), signal = in.dim(1), parts = in.dim(2);
  const int64_t frames = out.dim(1), bins = out.dim(2), step = ctx.input(1).i64(0);
  int64_t length = signal;
  if (ctx.has_input(3)) length = ctx.input(3).i64(0);
  if (ctx.has_input(2)) length = ctx.input(2).count();
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t f = 0; f < frames; ++f) {
      Line line(size_t(length), 0);
      for (int64_t n = 0; n < length; ++n) {
        const int64_t at = (b * signal + f * step + n) * parts;
        const double weight = ctx.has_input(2) ? ctx.input(2).f64(n) : 1;
        line[size_t(n)] = {in.f64(at) * weight, parts > 1 ? in.f64(at + 1) * weight : 0};
      }
      line = fourier(line, false);
      for (int64_t k = 0; k < bins; ++k) {
        const int64_t at = ((b * frames + f) * bins + k) * 2;
        out.set_f64(at, line[size_t(k)].real());
        out.set_f64(at + 1, line[size_t(k)].imag());
      }
    }
  }
  return ok_status();
}

constexpr double kPi = 3.14159265358979323846;

// Frames of the samples, as rows times the periodic Hann window.
Status import_audio_spectrogram(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* samples = c.in(0);  // [samples, channels]
  const int64_t window = c.attr_int("window_size", 0), stride = c.attr_int("stride", 0);
  if (!c.has_rank(samples, 2, 2, "input 0")) return c.finish({});
  const int64_t count = c.need_dim(samples, 0, "input 0");
  if (!c.ok()) return c.finish({});
  if (window < 2 || stride < 1 || window > (1 << 16))
    return invalid_argument(cat("window_size is ", window, ", stride ", stride));
  const int64_t frames = count < window ? 0 : 1 + (count - window) / stride;
  if (frames < 1 || frames * window > (1 << 26))
    return unsupported(cat(count, " samples in windows of ", window));
  int64_t length = 1;
  while (length < window) length *= 2;
  std::vector<int64_t> places;
  for (int64_t f = 0; f < frames; ++f)
    for (int64_t i = 0; i < window; ++i) places.push_back(f * stride + i);
  ir::Value* picks = c.constant(Tensor::from_i64(DataType::kI64, {frames, window}, places));
  ir::Value* rows = c.op("Gather", {c.transpose(samples, {1, 0}), picks}, {{"axis", int64_t(1)}});
  // The transform as a product with cosines and sines, the window among them.
  const int64_t bins = length / 2 + 1;
  std::vector<double> cosines, sines;
  for (int64_t i = 0; i < window; ++i) {
    const double hann = 0.5 - 0.5 * std::cos(2 * kPi * double(i) / double(window));
    for (int64_t k = 0; k < bins; ++k) {
      const double angle = 2 * kPi * double(i * k % length) / double(length);
      cosines.push_back(hann * std::cos(angle));
      sines.push_back(hann * std::sin(angle));
    }
  }
  const auto project = [&](const std::vector<double>& matrix) {
    ir::Value* part =
        c.op("MatMul", {rows, c.constant(Tensor::from_f64(DataType::kF32, {window, bins}, matrix))});
    return c.mul(part, part);
  };
  ir::Value* power = c.add(project(cosines), project(sines));
  if (c.attr_int("magnitude_squared", 0) == 0) power = c.op("Sqrt", {power});
  return c.finish({power});
}

double mel_of(double hertz) { return 1127.0 * std::log1p(hertz / 700.0); }

// Weights [bins, channels] of triangles that lie evenly on the mel scale.
std::vector<double> mel_weights(int64_t bins, int64_t channels, double rate, double lower,
                                double upper) {
  std::vector<double> out(size_t(bins * channels), 0);
  const double low = mel_of(lower), spacing = (mel_of(upper) - low) / double(channels + 1);
  const double hertz_per_bin = 0.5 * rate / double(bins - 1);
  const int64_t first = int64_t(1.5 + lower / hertz_per_bin), last = int64_t(upper / hertz_per_bin);
  for (int64_t b = std::max<int64_t>(first, 0); b <= std::min(last, bins - 1); ++b) {
    const double mel = mel_of(double(b) * hertz_per_bin);
    // Channel ch has its centre at low + (ch + 1) spacing; the bin lies between two centres.
    int64_t above = 0;
    while (above < channels && low + double(above + 1) * spacing < mel) ++above;
    const int64_t channel = above - 1;
    const double next = low + double(above + 1) * spacing;
    const double weight = (next - mel) / spacing;
    if (channel >= 0) out[size_t(b * channels + channel)] = weight;
    if (channel + 1 < channels) out[size_t(b * channels + channel + 1)] = 1 - weight;
  }
  return out;
}

// Logarithms of mel energies, turned by a cosine transform.
Status import_mfcc(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* power = c.in(0);
  const int64_t channels = c.attr_int("filterbank_channel_count", 40);
  const int64_t coefficients = c.attr_int("dct_coefficient_count", 13);
  const double lower = c.attr_float("lower_frequency_limit", 20);
  const double upper = c.attr_float("upper_frequency_limit", 4000);
  const int64_t bins = c.need_dim(power, -1, "input 0 (spectrogram)");
  const int64_t rate = c.need_one(1, "sample_rate");
  if (!c.ok()) return c.finish({});
  if (channels < 1 || coefficients < 1 || coefficients > channels || channels > 4096 || bins < 2 ||
      rate < 1 || !(lower >= 0 && lower < upper))
    return invalid_argument("its attributes do not fit each other");
  ir::Value* weights = c.constant(
      Tensor::from_f64(DataType::kF32, {bins, channels}, mel_weights(bins, channels, double(rate), lower, upper)));
  ir::Value* energy = c.op("MatMul", {c.op("Sqrt", {power}), weights});
  ir::Value* logs = c.op("Log", {c.op("Max", {energy, c.scalar(1e-12, DataType::kF32)})});
  std::vector<double> turn;
  for (int64_t i = 0; i < channels; ++i)
    for (int64_t k = 0; k < coefficients; ++k)
      turn.push_back(std::sqrt(2.0 / double(channels)) *
                     std::cos(kPi * double(k) * (double(i) + 0.5) / double(channels)));
  return c.finish({c.op("MatMul", {logs, c.constant(Tensor::from_f64(DataType::kF32, {channels, coefficients}, turn))})});
}

}  // namespace

void register_dft(opdef::OpRegistry& registry) {
  opdef::OpDef dft;
  dft.name = "DFT";
  dft.doc =
      "Discrete Fourier transform along `axis` (default -2), zero-padded or cut to dft_length. "
      "onesided keeps the first half of a real signal's spectrum; inverse and onesided together "
      "bring that half back to a real signal.";
  dft.inputs = {operand("input", opdef::kFloats, "last dim: 1 real or 2 complex"),
                optional_operand("dft_length", opdef::kIndices, "one element", ""),
                optional_operand("axis", opdef::kInt64, "one element", "")};
  dft.outputs = {operand("output", opdef::kFloats, "spectrum or signal")};
  dft.attrs = {opdef::int_attr("inverse", 0, "1: the inverse, divided by the length"),
               opdef::int_attr("onesided", 0, "1: half of a conjugate-symmetric spectrum")};
  dft.host_inputs = 0b110;
  dft.infer = infer_dft;
  dft.evaluate = evaluate_dft;
  dft.onnx = {{"DFT", "", 17, 19, import_axis_attribute}, {"DFT", "", 20}};
  dft.tensorflow = spectrum_rules();
  dft.tensorflow.push_back(tensorflow("AudioSpectrogram", import_audio_spectrogram));
  dft.tensorflow.push_back(tensorflow("Mfcc", import_mfcc));
  registry.add(std::move(dft));

  opdef::OpDef stft;
  stft.name = "STFT";
  stft.doc = "The Fourier transform of frames of the signal, frame_step apart, times the window.";
  stft.inputs = {operand("signal", opdef::kFloats, "[batch, length, 1 or 2]", "T1"),
                 operand("frame_step", opdef::kIndices, "one element", "T2"),
                 optional_operand("window", opdef::kFloats, "[frame length]", "T1"),
                 optional_operand("frame_length", opdef::kIndices, "one element", "T2")};
  stft.outputs = {operand("output", opdef::kFloats, "[batch, frames, bins, 2]", "T1")};
  stft.attrs = {opdef::int_attr("onesided", 1, "1: bins 0 to frame length / 2 only")};
  stft.host_inputs = 0b1010;
  stft.infer = infer_stft;
  stft.evaluate = evaluate_stft;
  stft.onnx = {{"STFT", "", 17}};
  registry.add(std::move(stft));
}

}  // namespace planish::ops
