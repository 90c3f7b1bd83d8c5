#include "backend/cuda/families/depthwise/patch.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/emit/thread_text.h"
#include "backend/cuda/families/element/element_kernel.h"
#include "backend/cuda/families/element/element_ops.h"
#include "base/text.h"
#include "kernel/cost.h"
#include "kernel/strided.h"

namespace planish::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int64_t kMostTaps = 49;

int widest(const kernel::Problem& problem, const PatchGeometry& g) {
  int width = std::min(8, 128 / ir::bits_of(problem.type_of(g.input).dtype));
  while (g.channels % width != 0) width /= 2;
  return width;
}

std::string input_name(int64_t row, int64_t column) { return cat("in", row, '_', column); }

}  // namespace

Share read_share(const kernel::Tactic& t) {
  return {int(t.get("v", 1)), int(t.get("strip", 1)), int(t.get("rows", 1))};
}
kernel::Tactic write_share(const Share& s) {
  return {{{"rows", s.rows}, {"strip", s.strip}, {"v", s.width}}};
}

int64_t PatchGeometry::taken(int axis, int outputs) const {
  const auto a = size_t(axis);
  return (outputs - 1) * window.strides[a] + (window.kernel[a] - 1) * window.dilations[a] + 1;
}
int64_t PatchGeometry::open_rows() const {
  return (window.kernel[0] - 1) * window.dilations[0] / window.strides[0] + 1;
}

Result<PatchGeometry> patch_geometry(const kernel::Problem& problem, const kernel::RootAndEpilogue& parts,
                                     std::span<const int64_t> kernel_dims) {
  const kernel::Stage& stage = *parts.root;
  for (const kernel::Operand& operand : problem.operands)
    if (operand.present && !is_loadable(operand.type.dtype))
      return unsupported(cat("an operand of ", ir::name_of(operand.type.dtype)));
  if (parts.epilogue) PLANISH_RETURN_IF_ERROR(can_print(*parts.epilogue));
  for (size_t i = 0; i < problem.results.size(); ++i) {
    const ir::TensorType& type = problem.result_type(int(i));
    if (!is_loadable(type.dtype)) return unsupported(cat("a result of ", ir::name_of(type.dtype)));
    if (type.shape != stage.outputs[0].shape) return unsupported("a result of another shape");
  }
  const std::vector<int64_t> in = dims_of(problem.type_of(stage.inputs[0])), out = dims_of(stage.outputs[0]);
  if (in.size() != 4) return unsupported(cat("an input of rank ", in.size(), ", expected 4"));
  PatchGeometry g;
  g.input = stage.inputs[0];
  PLANISH_ASSIGN_OR_RETURN(g.window, kernel::window_of(stage.attrs, 2, kernel_dims));
  kernel::resolve_pads(g.window, std::span(in).subspan(2));
  if (g.window.volume() > kMostTaps) return unsupported(cat("a window of ", g.window.volume(), " elements"));
  g.batch = in[0];
  g.channels = in[1];
  g.in_height = in[2];
  g.in_width = in[3];
  g.out_height = out[2];
  g.out_width = out[3];
  if (ir::element_count(out) == 0) return unsupported("an empty result");
  return g;
}

std::vector<kernel::LayoutChoice> PatchDef::layouts(const kernel::Problem& problem,
                                                    const kernel::DeviceInfo& device) const {
  kernel::LayoutChoice last = KernelDef::layouts(problem, device)[0];
  for (size_t i = 0; i < last.operands.size(); ++i)
    if (problem.operands[i].present && !problem.operands[i].constant && problem.operands[i].type.rank() == 4)
      last.operands[i] = ir::Layout::channels_last(4);
  for (ir::Layout& layout : last.results) layout = ir::Layout::channels_last(4);
  return {std::move(last)};
}

bool PatchDef::takes_strided(const kernel::Problem& problem, bool result, int index) const {
  return result && kernel::pixels_lie_apart(problem.result_type(index));
}

std::vector<kernel::Tactic> share_tactics(const kernel::Problem& problem, const PatchGeometry& g,
                                          const kernel::DeviceInfo& device, double held, double taps) {
  std::vector<std::pair<double, Share>> found;
  const int most = widest(problem, g);
  for (int width = most; width >= 1 && width >= most / 4; width /= 2)
    for (int strip : {1, 2, 4})
      for (int rows : {1, 2, 4, 7}) {
        const Share share{width, strip, rows};
        // Registers hold weights, two rows of inputs and the sums that are not complete.
        const double floats = held + double(std::min<int64_t>(rows, g.open_rows()) * strip + g.taken(1, strip));
        if (floats * width > 160 || strip > g.out_width || rows > g.out_height) continue;
        if (rows * strip * double(g.window.volume()) * width > 1200) continue;  // source beyond measure
        found.push_back({predict_share_us(problem, g, share, device, held, taps), share});
      }
  if (found.empty()) found.push_back({0, Share{}});
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<kernel::Tactic> out;
  for (size_t i = 0; i < found.size() && i < 8; ++i) out.push_back(write_share(found[i].second));
  return out;
}

double predict_share_us(const kernel::Problem& problem, const PatchGeometry& g, const Share& share,
                        const kernel::DeviceInfo& device, double held, double taps) {
  const double width = share.width, strip = share.strip, rows = share.rows;
  const double threads = double(g.batch * g.channels) / width * std::ceil(double(g.out_height) / rows) *
                         std::ceil(double(g.out_width) / strip);
  const double loads = double(g.taken(0, share.rows) * g.taken(1, share.strip));
  // Clocks of one thread: loads and their addresses, conversions and multiply-adds, weights, the end.
  const double clocks = loads * (5 + width) + taps * strip * rows * width + held * width / 2 + (12 + 2 * width) * strip * rows;
  const double compute = threads * clocks / (sm_count(device) * 128.0 * 1.7e3);
  // Every vector of the input is read by several threads, from the first level of cache mostly.
  const double cache = threads * loads * width * ir::bits_of(problem.type_of(g.input).dtype) / 8 / (sm_count(device) * 64 * 1.7e3);
  // Warps that registers leave room for; some twenty of them keep the memory busy.
  const double registers = 30 + width * (held + std::min(rows, double(g.open_rows())) * strip + double(g.taken(1, share.strip)));
  const double warps = std::min(48.0, 2048 / registers);
  const double waves = std::max(1.0, threads / 32 / (sm_count(device) * warps));
  const double latency = waves * (0.6 + 0.25 * double(g.taken(0, share.rows)));
  const double memory = memory_us(device, double(kernel::bytes_moved(problem))) * std::max(1.0, 20 / warps);
  return kLaunchUs + std::max({compute * 1.3, latency, cache, memory}) + 0.1 * (compute + cache);
}

Patch::Patch(ElementEmitter& e, const PatchGeometry& geometry, const Share& share, std::string_view beyond)
    : e_(e), geometry_(geometry), share_(share), beyond_(beyond) {}

int64_t Patch::threads() const {
  const PatchGeometry& g = geometry_;
  return g.batch * ((g.out_height + share_.rows - 1) / share_.rows) * ((g.out_width + share_.strip - 1) / share_.strip) *
         (g.channels / share_.width);
}

void Patch::locate() {
  const PatchGeometry& g = geometry_;
  const std::string index = e_.index_type();
  e_.line(cat("const ", index, " number = (", index, ")blockIdx.x * ", kThreads, " + threadIdx.x;"));
  e_.line(cat("const ", index, " t = number < ", threads(), " ? number : ", threads() - 1, ";"));
  std::string text;
  const std::vector<int64_t> sizes = {g.batch, (g.out_height + share_.rows - 1) / share_.rows,
                                      (g.out_width + share_.strip - 1) / share_.strip, g.channels};
  place_ = split_number("t", sizes, share_.width, index, "d", text);
  for (const std::string& l : split(text, '\n'))
    if (!l.empty()) e_.line(l);
  place_[3].at = e_.bind_index(place_[3].at);
}

void Patch::walk(const std::function<void(int64_t row, const Feeds& rows)>& add,
                 const std::function<void(int row)>& finish) {
  const kernel::Window& w = geometry_.window;
  e_.line("grid_wait();");
  e_.line("grid_launch();");
  e_.line(cat("if (number >= ", threads(), ") return;"));
  top_ = e_.bind_coord(shifted(place_[1], -w.pads_begin[0], w.strides[0] * share_.rows));
  left_ = e_.bind_coord(shifted(place_[2], -w.pads_begin[1], w.strides[1] * share_.strip));
  for (int64_t j = 0; j < columns(); ++j)
    e_.line(cat("const bool c", j, " = (unsigned)(", left_.at, " + ", j, ") < ", geometry_.in_width, "u;"));
  const Coords corner = {place_[0], place_[3], top_, left_};
  base_ = e_.bind_index(offset_of(e_.type(geometry_.input), corner).at);
  const int64_t last = geometry_.taken(0, share_.rows) - 1;
  load_row(0);
  for (int64_t r = 0; r <= last; ++r) {
    if (r < last) load_row(r + 1);
    if (const Feeds rows = feeds(0, r, share_.rows); !rows.empty()) add(r, rows);
    const int64_t above = r - (w.kernel[0] - 1) * w.dilations[0];
    if (above >= 0 && above % w.strides[0] == 0) finish(int(above / w.strides[0]));
  }
}

Patch::Feeds Patch::feeds(int axis, int64_t at, int outputs) const {
  const kernel::Window& w = geometry_.window;
  Feeds out;
  for (int s = 0; s < outputs; ++s)
    for (int64_t k = 0; k < w.kernel[size_t(axis)]; ++k)
      if (s * w.strides[size_t(axis)] + k * w.dilations[size_t(axis)] == at) out.push_back({s, k});
  return out;
}

void Patch::load_row(int64_t r) {
  if (feeds(0, r, share_.rows).empty()) return;
  const std::string type = cat("Pack<", memory_type(e_.type(geometry_.input).dtype), ", ", share_.width, ">");
  const std::string inside = e_.fresh("r");
  e_.line(cat("const bool ", inside, " = (unsigned)(", top_.at, " + ", r, ") < ", geometry_.in_height, "u;"));
  const std::string fill = cat("{{", join(std::vector<std::string>(size_t(share_.width), beyond_)), "}}");
  for (int64_t j = 0; j < columns(); ++j)
    if (!column_feeds(j).empty())
      e_.line(cat(type, ' ', input_name(r, j), " = ", fill, "; if (", inside, " && c", j, ") ", input_name(r, j), " = *(const ",
                  type, "*)(x", geometry_.input, " + ", base_, " + ", (r * geometry_.in_width + j) * geometry_.channels, ");"));
}

std::string Patch::value(int64_t r, int64_t j, int lane) {
  return e_.bind("float", load_text(e_.type(geometry_.input).dtype, cat(input_name(r, j), ".v[", lane, "]")));
}

void Patch::store(int m, const std::function<std::string(int s, int l)>& name) {
  const kernel::Problem& problem = e_.problem();
  const Coord at_row = e_.bind_coord(row(m));
  const bool whole_rows = geometry_.out_height % share_.rows == 0, whole = geometry_.out_width % share_.strip == 0;
  if (!whole_rows) e_.open(cat("if (", at_row.at, " < ", geometry_.out_height, ')'));
  for (int s = 0; s < share_.strip; ++s) {
    const Coord at_column = e_.bind_coord(column(s));
    e_.open(whole ? "" : cat("if (", at_column.at, " < ", geometry_.out_width, ')'));
    const Coords at = {place_[0], place_[3], at_row, at_column};
    Lanes root;
    for (int l = 0; l < share_.width; ++l) root.names.push_back(name(s, l));
    e_.define(int(problem.operands.size()), std::move(root));
    for (int i = 0; i < int(problem.results.size()); ++i) {
      const ir::TensorType& type = problem.result_type(i);
      const Coord offset = kernel::pixels_lie_apart(type)
                               ? pixel_offset(type, at, cat("(y", i, "_pitch / ", ir::bits_of(type.dtype) / 8, ')'))
                               : offset_of(type, at);
      e_.store(i, offset, e_.value(problem.results[size_t(i)], at));
    }
    e_.close();
  }
  if (!whole_rows) e_.close();
}

EmittedKernel Patch::kernel(const std::string& entry, std::vector<std::string> parameters, std::vector<KernelArg> args) {
  const kernel::Problem& problem = e_.problem();
  EmittedKernel out;
  out.args = std::move(args);
  std::set<int> read = e_.loaded();
  read.insert(geometry_.input);
  for (int i : read) {
    parameters.push_back(cat("const ", memory_type(e_.type(i).dtype), "* x", i));
    out.args.push_back(KernelArg::operand(i));
  }
  for (int i = 0; i < int(problem.results.size()); ++i) {
    parameters.push_back(cat(memory_type(problem.result_type(i).dtype), "* y", i));
    out.args.push_back(KernelArg::result(i));
    if (!kernel::pixels_lie_apart(problem.result_type(i))) continue;
    parameters.push_back(cat("i64 y", i, "_pitch"));
    out.args.push_back(KernelArg::outer_stride(BufferKind::kResult, i,
                                               geometry_.channels * ir::bits_of(problem.result_type(i).dtype) / 8));
  }
  out.entry = entry;
  out.block.x = kThreads;
  out.grid.x = uint32_t((threads() + kThreads - 1) / kThreads);
  out.programmatic_launch = true;
  out.source = cat(kPrelude, kPackText, e_.tables(), "extern \"C\" __global__ void __launch_bounds__(", kThreads, ") ",
                   entry, '(', join(parameters), ") {\n", e_.body(), "}\n");
  return out;
}

}  // namespace planish::cuda
