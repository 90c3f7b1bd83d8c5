#include "kernel/window.h"

#include <algorithm>

#include "base/text.h"

namespace planish::kernel {
namespace {

Status bad(std::string_view key, std::string got, std::string expected) {
  return invalid_argument(cat("attribute '", key, "': got ", got, ", expected ", expected));
}

// The list, or `count` times the fallback when absent or empty; every element within bounds.
Result<std::vector<int64_t>> list_of(const ir::Attributes& attrs, std::string_view key,
                                     size_t count, int64_t fallback, int64_t low) {
  auto it = attrs.find(key);
  if (it == attrs.end()) return std::vector<int64_t>(count, fallback);
  const auto* list = std::get_if<std::vector<int64_t>>(&it->second);
  if (!list) return bad(key, "another type", "a list of integers");
  if (list->empty()) return std::vector<int64_t>(count, fallback);
  if (list->size() != count)
    return bad(key, cat(bracketed(*list), " (", list->size(), " values)"), cat(count, " values"));
  for (int64_t v : *list)
    if (v < low || v > kMaxWindowValue)
      return bad(key, bracketed(*list), cat("values from ", low, " to ", kMaxWindowValue));
  return *list;
}

Result<AutoPad> auto_pad_of(const ir::Attributes& attrs) {
  auto it = attrs.find("auto_pad");
  if (it == attrs.end()) return AutoPad::kNotSet;
  const auto* text = std::get_if<std::string>(&it->second);
  if (!text) return bad("auto_pad", "another type", "a string");
  if (text->empty() || *text == "NOTSET") return AutoPad::kNotSet;
  if (*text == "SAME_UPPER") return AutoPad::kSameUpper;
  if (*text == "SAME_LOWER") return AutoPad::kSameLower;
  if (*text == "VALID") return AutoPad::kValid;
  return bad("auto_pad", cat("'", *text, "'"), "NOTSET, SAME_UPPER, SAME_LOWER or VALID");
}

}  // namespace

int64_t Window::volume() const {
  int64_t out = 1;
  for (int64_t k : kernel)
    if (__builtin_mul_overflow(out, k, &out)) return kMaxWindowValue;
  return out;
}

Result<Window> window_of(const ir::Attributes& attrs, int spatial_rank,
                         std::span<const int64_t> weights_kernel) {
  size_t rank = size_t(spatial_rank);
  Window window;
  PLANISH_ASSIGN_OR_RETURN(window.kernel, list_of(attrs, "kernel_shape", rank, 0, 1));
  bool given = std::find(window.kernel.begin(), window.kernel.end(), 0) == window.kernel.end();
  if (weights_kernel.empty()) {
    if (!given) return bad("kernel_shape", "nothing", cat(rank, " values"));
  } else {
    std::vector<int64_t> weights(weights_kernel.begin(), weights_kernel.end());
    if (given && window.kernel != weights)
      return bad("kernel_shape", bracketed(window.kernel),
                 cat("the weights' spatial dims ", bracketed(weights)));
    window.kernel = std::move(weights);
    for (int64_t k : window.kernel)
      if (k < 1 || k > kMaxWindowValue)
        return invalid_argument(cat("the weights' spatial dims: got ", bracketed(window.kernel),
                                    ", expected values from 1 to ", kMaxWindowValue));
  }
  PLANISH_ASSIGN_OR_RETURN(window.strides, list_of(attrs, "strides", rank, 1, 1));
  PLANISH_ASSIGN_OR_RETURN(window.dilations, list_of(attrs, "dilations", rank, 1, 1));
  PLANISH_ASSIGN_OR_RETURN(std::vector<int64_t> pads, list_of(attrs, "pads", 2 * rank, 0, 0));
  PLANISH_ASSIGN_OR_RETURN(window.auto_pad, auto_pad_of(attrs));
  if (window.auto_pad != AutoPad::kNotSet) std::fill(pads.begin(), pads.end(), 0);
  window.pads_begin.assign(pads.begin(), pads.begin() + int64_t(rank));
  window.pads_end.assign(pads.begin() + int64_t(rank), pads.end());
  auto ceil = attrs.find("ceil_mode");
  if (ceil != attrs.end()) {
    const auto* value = std::get_if<int64_t>(&ceil->second);
    if (!value || (*value != 0 && *value != 1))
      return bad("ceil_mode", value ? cat(*value) : "another type", "0 or 1");
    window.ceil_mode = *value == 1;
  }
  return window;
}

ir::Dim output_size(const Window& window, int i, const ir::Dim& input) {
  size_t at = size_t(i);
  ir::Dim stride = window.strides[at];
  if (window.is_same()) return ceildiv(input, stride);
  ir::Dim free = input + window.pads_begin[at] + window.pads_end[at] - window.extent(i);
  if (!window.ceil_mode || window.auto_pad == AutoPad::kValid) return floordiv(free, stride) + 1;
  ir::Dim out = ceildiv(free, stride) + 1;
  // A last window that would start in the padding behind the input is left out.
  if (window.pads_end[at] + window.strides[at] - 1 < window.extent(i)) return out;
  return min(out, ceildiv(input + window.pads_begin[at], stride));
}

void resolve_pads(Window& window, std::span<const int64_t> input) {
  if (window.is_same()) {
    for (size_t i = 0; i < input.size(); ++i) {
      int64_t stride = window.strides[i];
      int64_t out = (input[i] + stride - 1) / stride;
      int64_t total = std::max<int64_t>(0, (out - 1) * stride + window.extent(int(i)) - input[i]);
      bool upper = window.auto_pad == AutoPad::kSameUpper;
      window.pads_begin[i] = upper ? total / 2 : total - total / 2;
      window.pads_end[i] = total - window.pads_begin[i];
    }
    window.ceil_mode = false;
  }
  if (window.auto_pad == AutoPad::kValid) window.ceil_mode = false;
  window.auto_pad = AutoPad::kNotSet;
}

std::vector<int64_t> pads_attr(const Window& window) {
  std::vector<int64_t> out = window.pads_begin;
  out.insert(out.end(), window.pads_end.begin(), window.pads_end.end());
  return out;
}

}  // namespace planish::kernel
