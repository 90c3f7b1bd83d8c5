// Index arithmetic as CUDA text: coordinates of an element, and where it lies in memory.
//
// A thread computes `width` neighbouring elements, its lanes. A coordinate is the text of lane 0's
// value and what each lane adds to it; what is known of the text's divisors decides whether lanes
// may be read as one aligned vector. Everything is folded as it is put together, so that an axis of
// one element or a step of one leaves no trace in the kernel.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ir/type.h"

namespace planish::cuda {

struct Coord {
  std::string at = "0";   // an integer expression that needs no parentheses as an operand
  int64_t lane_step = 0;  // lane l stands at `at` + l * lane_step
  int64_t multiple = 0;   // `at` is a multiple of it; 0: `at` is zero
};
using Coords = std::vector<Coord>;

// A coordinate whose text is a plain variable or number.
Coord coord(std::string at, int64_t multiple = 1);
Coord coord(int64_t number);

// "(a + b)", "(a * k)" and so on, folded where a side is a number.
std::string sum_text(const std::string& a, const std::string& b);
std::string product_text(const std::string& a, int64_t factor);
bool is_number(const std::string& text);

// begin + step * c.
Coord shifted(const Coord& c, int64_t begin, int64_t step = 1);
// The coordinate of lane `lane` alone.
Coord lane_of(const Coord& c, int lane);
Coords lane_of(const Coords& coords, int lane);
bool moves_by_lane(const Coords& coords);

// The dims that a layout walks, outermost first. Precondition: the layout has no blocks.
std::vector<int> memory_order(const ir::TensorType& type);
// Elements from one index of a logical dim to the next. Same precondition; the shape is concrete.
std::vector<int64_t> memory_steps(const ir::TensorType& type);

// Position of an element in memory, in elements, as a coordinate of its own.
Coord offset_of(const ir::TensorType& type, std::span<const Coord> coords);
// The same from steps per coordinate.
Coord offset_by(std::span<const Coord> coords, std::span<const int64_t> steps);

// The coordinates of an operand below a result of at least its rank: aligned at the last dim, zero
// where a dim of one broadcasts.
Coords broadcast_coords(const ir::TensorType& type, std::span<const Coord> coords);

}  // namespace planish::cuda
