#include "backend/cuda/emit/index_text.h"

#include <algorithm>
#include <numeric>

#include "base/text.h"

namespace planish::cuda {

Coord coord(std::string at, int64_t multiple) { return {std::move(at), 0, multiple}; }
Coord coord(int64_t number) { return {cat(number), 0, number < 0 ? -number : number}; }

bool is_number(const std::string& text) {
  return !text.empty() && std::all_of(text.begin() + (text[0] == '-'), text.end(),
                                      [](char c) { return c >= '0' && c <= '9'; });
}

std::string sum_text(const std::string& a, const std::string& b) {
  if (is_number(a) && is_number(b)) return cat(std::stoll(a) + std::stoll(b));
  if (a == "0") return b;
  if (b == "0") return a;
  if (is_number(b) && b[0] == '-') return cat('(', a, " - ", b.substr(1), ')');
  return cat('(', a, " + ", b, ')');
}

std::string product_text(const std::string& a, int64_t factor) {
  if (factor == 0) return "0";
  if (factor == 1) return a;
  if (is_number(a)) return cat(std::stoll(a) * factor);
  return cat('(', a, " * ", factor, ')');
}

Coord shifted(const Coord& c, int64_t begin, int64_t step) {
  return {sum_text(product_text(c.at, step), cat(begin)), c.lane_step * step,
          std::gcd(c.multiple * step, begin)};
}

Coord lane_of(const Coord& c, int lane) {
  return shifted({c.at, 0, c.multiple}, lane * c.lane_step);
}

Coords lane_of(const Coords& coords, int lane) {
  Coords out;
  for (const Coord& c : coords) out.push_back(lane_of(c, lane));
  return out;
}

bool moves_by_lane(const Coords& coords) {
  return std::any_of(coords.begin(), coords.end(), [](const Coord& c) { return c.lane_step != 0; });
}

std::vector<int> memory_order(const ir::TensorType& type) {
  std::vector<int> order(type.layout.perm.begin(), type.layout.perm.end());
  if (order.empty())
    for (int d = 0; d < type.rank(); ++d) order.push_back(d);
  return order;
}

std::vector<int64_t> memory_steps(const ir::TensorType& type) {
  const std::vector<int> order = memory_order(type);
  std::vector<int64_t> steps(order.size());
  int64_t step = 1;
  for (size_t i = order.size(); i-- > 0;) {
    steps[size_t(order[i])] = step;
    step *= type.shape[size_t(order[i])].value();
  }
  return steps;
}

Coord offset_by(std::span<const Coord> coords, std::span<const int64_t> steps) {
  Coord out;
  for (size_t d = 0; d < coords.size(); ++d) {
    const Coord& c = coords[d];
    out.at = sum_text(out.at, product_text(c.at, steps[d]));
    out.lane_step += c.lane_step * steps[d];
    out.multiple = std::gcd(out.multiple, c.multiple * steps[d]);
  }
  return out;
}

Coord offset_of(const ir::TensorType& type, std::span<const Coord> coords) {
  Coords ordered;
  std::vector<int64_t> steps;
  const std::vector<int64_t> all = memory_steps(type);
  for (int d : memory_order(type)) {
    ordered.push_back(coords[size_t(d)]);
    steps.push_back(all[size_t(d)]);
  }
  return offset_by(ordered, steps);
}

Coords broadcast_coords(const ir::TensorType& type, std::span<const Coord> coords) {
  const size_t skip = coords.size() - type.shape.size();
  Coords out;
  for (size_t d = 0; d < type.shape.size(); ++d)
    out.push_back(type.shape[d] == ir::Dim(1) ? Coord{} : coords[skip + d]);
  return out;
}

}  // namespace planish::cuda
