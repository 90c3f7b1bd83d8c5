#include "ir/type.h"

#include <algorithm>

#include "base/text.h"

namespace planish::ir {

Dim element_count(const Shape& shape) {
  Dim product = 1;
  for (const Dim& d : shape) product = product * d;
  return product;
}

bool is_constant(const Shape& shape) {
  return std::all_of(shape.begin(), shape.end(), [](const Dim& d) { return d.is_constant(); });
}

std::string to_string(const Shape& shape) {
  std::vector<std::string> parts;
  for (const Dim& d : shape) parts.push_back(d.to_string());
  return bracketed(parts);
}

Shape to_shape(std::span<const int64_t> dims) { return Shape(dims.begin(), dims.end()); }

std::vector<int64_t> to_dims(const Shape& shape) {
  std::vector<int64_t> dims;
  for (const Dim& d : shape) dims.push_back(d.value());
  return dims;
}

int64_t element_count(std::span<const int64_t> dims) {
  int64_t product = 1;
  for (int64_t d : dims) product *= d;
  return product;
}

std::optional<int64_t> checked_element_count(std::span<const int64_t> dims) {
  int64_t product = 1;
  bool zero = false;
  for (int64_t d : dims) {
    if (d < 0) return std::nullopt;
    if (d == 0) zero = true;
    else if (__builtin_mul_overflow(product, d, &product)) return std::nullopt;
  }
  return zero ? 0 : product;
}

Layout Layout::permuted(std::vector<int8_t> perm) {
  bool identity = true;
  for (size_t i = 0; i < perm.size(); ++i) identity &= perm[i] == int8_t(i);
  Layout layout;
  if (!identity) layout.perm = std::move(perm);
  return layout;
}

Layout Layout::blocked(int dim, int block) {
  Layout layout;
  layout.block_dim = int8_t(dim);
  layout.block = int16_t(block);
  return layout;
}

Layout Layout::channels_last(int rank) {
  std::vector<int8_t> perm = {0};
  for (int i = 2; i < rank; ++i) perm.push_back(int8_t(i));
  perm.push_back(1);
  return permuted(std::move(perm));
}

std::string to_string(const Layout& layout) {
  if (layout.is_row_major()) return "row_major";
  std::string out;
  if (!layout.perm.empty())
    out = cat("perm(", join(std::vector<int>(layout.perm.begin(), layout.perm.end()), ","), ")");
  if (layout.block_dim >= 0)
    out += cat(out.empty() ? "" : "+", "blocked(", int(layout.block_dim), ",", int(layout.block),
               ")");
  return out;
}

Result<Layout> parse_layout(std::string_view text) {
  if (text == "row_major") return Layout{};
  Layout layout;
  const auto bad = [&] {
    return invalid_argument(cat("layout '", text, "': expected row_major, perm(0,2,...), "
                                "blocked(dim,size) or perm(...)+blocked(...)"));
  };
  for (const std::string& part : split(text, '+')) {
    const size_t open = part.find('(');
    if (open == part.npos || part.back() != ')') return bad();
    std::vector<int> numbers;
    for (const std::string& item :
         split(std::string_view(part).substr(open + 1, part.size() - open - 2), ',')) {
      if (item.empty() || item.size() > 4 ||
          !std::all_of(item.begin(), item.end(), [](char c) { return c >= '0' && c <= '9'; }))
        return bad();
      numbers.push_back(std::stoi(item));
    }
    const std::string kind = part.substr(0, open);
    if (kind == "perm") {
      std::vector<int> sorted = numbers;
      std::sort(sorted.begin(), sorted.end());
      for (size_t i = 0; i < sorted.size(); ++i)
        if (sorted[i] != int(i) || i > 100) return bad();
      layout = Layout::permuted(std::vector<int8_t>(numbers.begin(), numbers.end()));
    } else if (kind == "blocked" && numbers.size() == 2 && numbers[0] < 100 && numbers[1] > 0) {
      layout.block_dim = int8_t(numbers[0]);
      layout.block = int16_t(numbers[1]);
    } else {
      return bad();
    }
  }
  return layout;
}

int64_t physical_element_count(std::span<const int64_t> dims, const Layout& layout) {
  int64_t product = 1;
  for (size_t i = 0; i < dims.size(); ++i) {
    int64_t d = dims[i];
    if (int(i) == layout.block_dim) d = (d + layout.block - 1) / layout.block * layout.block;
    product *= d;
  }
  return product;
}

std::string to_string(const TensorType& type) {
  std::string out = cat(name_of(type.dtype), to_string(type.shape));
  if (!type.layout.is_row_major()) out += cat(" ", to_string(type.layout));
  if (type.space == MemorySpace::kDevice) out += " device";
  if (type.space == MemorySpace::kPinned) out += " pinned";
  return out;
}

}  // namespace planish::ir
