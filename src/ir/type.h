// Shape, Layout and TensorType: what is known of a value before it exists.
//
// Shapes are logical (batch, channel, spatial...) whatever order the source used. A Layout says how
// the elements lie in memory: a permutation of the logical dims, then optionally one dim cut into
// blocks whose inner part comes last: nChw16c is {perm: identity, block_dim: 1, block: 16}, NHWC is
// {perm: 0 2 3 1}. The blocked dim is padded with zeros up to a multiple of the block.
#pragma once
#include <compare>
#include <span>
#include <string>
#include <vector>

#include "ir/data_type.h"
#include "ir/dim.h"

namespace planish::ir {

using Shape = std::vector<Dim>;

Dim element_count(const Shape& shape);
bool is_constant(const Shape& shape);
// "[N, 3, 224, 224]"
std::string to_string(const Shape& shape);
Shape to_shape(std::span<const int64_t> dims);
// Precondition: is_constant(shape).
std::vector<int64_t> to_dims(const Shape& shape);
int64_t element_count(std::span<const int64_t> dims);
// Product that reports overflow of int64 (and negative dims) as nullopt.
std::optional<int64_t> checked_element_count(std::span<const int64_t> dims);

struct Layout {
  std::vector<int8_t> perm;  // empty: row-major, the identity
  int8_t block_dim = -1;     // logical dim that is blocked; -1: none
  int16_t block = 1;

  bool is_row_major() const { return perm.empty() && block_dim < 0; }
  static Layout permuted(std::vector<int8_t> perm);  // identity collapses to row-major
  static Layout blocked(int dim, int block);
  static Layout channels_last(int rank);             // NWC, NHWC, NDHWC
  friend bool operator==(const Layout&, const Layout&) = default;
  friend auto operator<=>(const Layout&, const Layout&) = default;
};
// "row_major", "perm(0,2,3,1)", "blocked(1,16)".
std::string to_string(const Layout& layout);
Result<Layout> parse_layout(std::string_view text);
// Elements in memory, the padding of the blocked dim included.
int64_t physical_element_count(std::span<const int64_t> dims, const Layout& layout);

// Where a value lives.
enum class MemorySpace : uint8_t { kHost, kPinned, kDevice };

struct TensorType {
  DataType dtype = DataType::kF32;
  Shape shape;
  Layout layout = {};
  MemorySpace space = MemorySpace::kHost;

  int rank() const { return int(shape.size()); }
  friend bool operator==(const TensorType&, const TensorType&) = default;
};
// "f32[N, 3, 224, 224]", with the layout behind it when it is not row-major.
std::string to_string(const TensorType& type);

}  // namespace planish::ir
