// Window functions of signal processing (a table) and the mel filter bank.
#include <cmath>
#include <numbers>

#include "base/text.h"
#include "ops/content.h"
#include "opdef/import.h"
#include "opdef/onnx_types.h"

namespace planish::ops {
namespace {

// w[n] = a0 - a1 cos(2 pi n / N) + a2 cos(4 pi n / N)
struct WindowRow {
  const char* name;
  double a0, a1, a2;
  const char* doc;
};

constexpr WindowRow kWindows[] = {
    {"BlackmanWindow", 0.42, 0.5, 0.08, "Blackman window: 0.42 - 0.5 cos + 0.08 cos of twice."},
    {"HammingWindow", 25.0 / 46, 21.0 / 46, 0, "Hamming window: 25/46 - 21/46 cos."},
    {"HannWindow", 0.5, 0.5, 0, "Hann window: 0.5 - 0.5 cos."},
};

DataType type_attr(const ir::Attributes& attrs) {
  return std::get<DataType>(attrs.find("output_datatype")->second);
}

// The number in an input of one element, when it is known; an error when below `least`.
Result<std::optional<Dim>> size_input(const InferContext& ctx, int i, int64_t least) {
  PLANISH_RETURN_IF_ERROR(check_single(ctx, i));
  const std::optional<std::vector<Dim>> content = small_content(ctx, i);
  if (!content) return std::optional<Dim>();
  const Dim& d = content->at(0);
  if (d.is_constant() && d.value() < least) {
    return invalid_argument(
        cat(input_name(ctx, i), ": got ", d.value(), ", expected ", least, " or more"));
  }
  return std::optional<Dim>(d);
}

Status infer_window(InferContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(const std::optional<Dim> size, size_input(ctx, 0, 0));
  return set_sized_output(ctx, 0, type_attr(ctx.attrs()),
                          {size ? *size : data_dim(ctx, "window")});
}

// Floats are rounded, integers truncated, as ONNX's cast from the computed value.
void store(Tensor& out, int64_t i, double value) {
  ir::is_float(out.dtype()) ? out.set_f64(i, value) : out.set_i64(i, int64_t(value));
}

template <int kRow>
Status evaluate_window(EvalContext& ctx) {
  const WindowRow& row = kWindows[kRow];
  Tensor& out = ctx.output(0);
  const int64_t size = out.count();
  const int64_t period = ctx.attr_int("periodic") != 0 ? size : size - 1;
  for (int64_t n = 0; n < size; ++n) {
    // A symmetric window of one element has period 0 and is its own peak.
    const double angle = period > 0 ? 2 * std::numbers::pi * double(n) / double(period)
                                    : std::numbers::pi;
    store(out, n, row.a0 - row.a1 * std::cos(angle) + row.a2 * std::cos(2 * angle));
  }
  return ok_status();
}

// --- MelWeightMatrix: num_mel_bins, dft_length, sample_rate, lower_edge, upper_edge ---

Status infer_mel(InferContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(const std::optional<Dim> bands, size_input(ctx, 0, 0));
  PLANISH_ASSIGN_OR_RETURN(const std::optional<Dim> length, size_input(ctx, 1, 1));
  PLANISH_RETURN_IF_ERROR(size_input(ctx, 2, 1).status());
  for (int i : {3, 4}) {
    PLANISH_RETURN_IF_ERROR(check_single(ctx, i));
    const Tensor* edge = ctx.value(i);
    if (edge && !(edge->f64(0) >= 0 && std::isfinite(edge->f64(0)))) {
      return invalid_argument(
          cat(input_name(ctx, i), ": got ", edge->f64(0), ", expected 0 or more"));
    }
  }
  return set_sized_output(ctx, 0, type_attr(ctx.attrs()),
                          {length ? floordiv(*length, Dim(2)) + Dim(1) : data_dim(ctx, "bins"),
                           bands ? *bands : data_dim(ctx, "bands")});
}

double mel_of(double hertz) { return 2595 * std::log10(1 + hertz / 700); }
double hertz_of(double mel) { return 700 * (std::pow(10, mel / 2595) - 1); }

Status evaluate_mel(EvalContext& ctx) {
  Tensor& out = ctx.output(0);
  const int64_t rows = out.dim(0), bands = out.dim(1);
  const double low = mel_of(ctx.input(3).f64(0)), high = mel_of(ctx.input(4).f64(0));
  const double per_hertz = double(ctx.input(1).i64(0) + 1) / double(ctx.input(2).i64(0));
  const double step = (high - low) / double(bands + 2);
  auto bin = [&](int64_t i) {
    // Far over any spectrum; the conversion must stay in range.
    return int64_t(std::fmin(std::floor(per_hertz * hertz_of(low + double(i) * step)), 0x1p40));
  };
  for (int64_t band = 0; band < bands; ++band) {
    const int64_t left = bin(band), centre = bin(band + 1), right = bin(band + 2);
    if (left < 0 || right > rows) {
      return invalid_argument(cat("band ", band, " ends at bin ", right, " of ", rows,
                                  ": the upper edge is over half the sample rate"));
    }
    auto put = [&](int64_t row, double value) {
      if (row < rows) store(out, row * bands + band, value);
    };
    if (left == centre) put(centre, 1);
    for (int64_t row = left; row <= centre && left != centre; ++row) {
      put(row, double(row - left) / double(centre - left));
    }
    for (int64_t row = centre; row < right; ++row) {
      put(row, double(right - row) / double(right - centre));
    }
  }
  return ok_status();
}

Status import_typed(const opdef::NodeView& node, opdef::ImportContext& context) {
  ir::Attributes attrs;
  for (const std::string& key : node.attr_names()) {
    if (key != "output_datatype") attrs[key] = *node.attr(key);
  }
  PLANISH_ASSIGN_OR_RETURN(const int64_t code, node.attr_int("output_datatype", 1));
  Result<DataType> dtype = opdef::data_type_from_onnx(code);
  if (!dtype.ok()) return dtype.status().at("attribute 'output_datatype'");
  attrs["output_datatype"] = *dtype;
  std::vector<ir::Value*> inputs;
  for (int i = 0; i < node.input_count(); ++i) inputs.push_back(node.input(i));
  PLANISH_ASSIGN_OR_RETURN(ir::Value* out,
                           context.add1(node.op_type(), std::move(inputs), std::move(attrs)));
  context.set_output(0, out);
  return ok_status();
}

opdef::OpDef signal_def(std::string name, std::string doc) {
  opdef::OpDef def;
  def.doc = std::move(doc);
  def.outputs = {operand("output", opdef::kNumbers, "as output_datatype says", "")};
  def.attrs = {{"output_datatype", opdef::AttrKind::kType, ir::Attribute(DataType::kF32), false,
                "element type of the output"}};
  def.onnx = {{name, "", 17, 1 << 30, import_typed}};
  def.name = std::move(name);
  return def;
}

opdef::OpDef window_def(int row, Status (*evaluate)(EvalContext&)) {
  opdef::OpDef def = signal_def(kWindows[row].name, kWindows[row].doc);
  def.inputs = {operand("size", opdef::kIndices, "length, one element", "")};
  def.attrs.push_back(opdef::int_attr("periodic", 1, "1: period `size`; 0: symmetric"));
  def.host_inputs = 0b1;
  def.infer = infer_window;
  def.evaluate = evaluate;
  return def;
}

}  // namespace

void register_windows(opdef::OpRegistry& registry) {
  registry.add(window_def(0, evaluate_window<0>));
  registry.add(window_def(1, evaluate_window<1>));
  registry.add(window_def(2, evaluate_window<2>));

  opdef::OpDef mel = signal_def(
      "MelWeightMatrix",
      "Triangular filters, evenly spaced in mel, that turn a spectrum of dft_length / 2 + 1 bins "
      "into num_mel_bins bands.");
  mel.inputs = {operand("num_mel_bins", opdef::kIndices, "bands, one element", "T1"),
                operand("dft_length", opdef::kIndices, "one element", "T1"),
                operand("sample_rate", opdef::kIndices, "per second, one element", "T1"),
                operand("lower_edge_hertz", opdef::kFloats, "one element", "T2"),
                operand("upper_edge_hertz", opdef::kFloats, "one element", "T2")};
  mel.host_inputs = 0b11111;
  mel.infer = infer_mel;
  mel.evaluate = evaluate_mel;
  registry.add(std::move(mel));
}

}  // namespace planish::ops
