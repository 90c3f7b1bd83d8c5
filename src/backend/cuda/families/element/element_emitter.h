// ElementEmitter: prints the computation of one element of a problem's result, or of `width`
// neighbouring ones, by walking the problem from the result to its operands.
//
// value(v, coords) prints what value number v is at these coordinates and returns the names that
// hold it. An operand is a load, an expression is printed over its arguments at the same place, and
// any other stage is one row of the table of element operators (element_ops.h), which asks for its
// own inputs at the coordinates it needs. Fusion is therefore nothing special: a Slice of a
// Transpose of a sum is coordinates passed along.
//
// Lanes: with a width of 8 the result's coordinates move by one along the innermost dim in memory
// from lane to lane. An operator that passes the moving coordinate on, or moves it evenly, keeps
// the lanes together and loads stay vectors; one that cannot calls per_lane(), which prints it once
// per lane. Nothing can go wrong that way but the kernel's size.
//
// Names are unique in the kernel; text inside of open() and close() is a C block, and what was
// computed in it is forgotten at its end.
#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "backend/cuda/emit/index_text.h"
#include "kernel/problem.h"

namespace planish::cuda {

// Names (or literals) in register types: one for every lane, or one that all lanes share.
struct Lanes {
  std::vector<std::string> names;
  bool shared() const { return names.size() == 1; }
  const std::string& operator[](int lane) const { return names[shared() ? 0 : size_t(lane)]; }
};

class ElementEmitter {
 public:
  // `problem` is concrete, has its layouts set and outlives the emitter. Pointers are named x0, x1,
  // ... for operands.
  ElementEmitter(const kernel::Problem& problem, int width);

  Lanes value(int value, const Coords& coords);
  // Lets a value be what the caller has computed: names at any coordinates.
  void define(int value, Lanes lanes) { defined_[value] = std::move(lanes); }
  // The problem is one expression whose dims were merged: coordinates are those of the merged dims,
  // and operands lie at the sum of coordinates times steps.
  void set_merged() { merged_ = true; }
  void set_steps(int operand, std::vector<int64_t> steps) { steps_[operand] = std::move(steps); }
  // One element of an operand by its position in memory.
  std::string load(int operand, const std::string& offset);
  // Writes lanes to result `result` at a position in memory, as one vector where that is aligned.
  void store(int result, const Coord& offset, const Lanes& values);
  // Prints `one` for every lane by itself when the coordinates move, else once.
  using OneElement = std::function<std::string(const Coords&)>;
  Lanes per_lane(const Coords& coords, const OneElement& one);
  // `one` over the names of every lane of `args`.
  using OneLane = std::function<std::string(int lane)>;
  Lanes map_lanes(std::initializer_list<const Lanes*> args, const OneLane& one);

  const kernel::Problem& problem() const { return problem_; }
  const ir::TensorType& type(int value) const { return problem_.type_of(value); }
  int width() const { return width_; }
  // "int", or "i64" when a tensor has 2^31 elements and more.
  const std::string& index_type() const { return index_type_; }

  // ---- statements
  std::string fresh(std::string_view prefix) {
    return std::string(prefix) + std::to_string(next_++);
  }
  void line(const std::string& text);
  void open(const std::string& text);  // "for (...)", "if (...)"
  void close();
  // `const TYPE NAME = text;` unless the text is a name or number already.
  std::string bind(std::string_view type, const std::string& text);
  std::string bind_index(const std::string& text) { return bind(index_type_, text); }
  Coord bind_coord(Coord c);
  // A variable that later statements change.
  std::string variable(std::string_view type, const std::string& initial);
  // A table of numbers in constant memory of the kernel; printed before it.
  std::string table(std::string_view type, const std::vector<std::string>& elements);

  const std::string& body() const { return body_; }
  const std::string& tables() const { return tables_; }
  // The first thing that could not be printed; the text is then worthless.
  const Status& status() const { return status_; }
  void fail(Status status);
  // The operands that the text reads.
  const std::set<int>& loaded() const { return loaded_; }
  // Did an operator have to be printed lane by lane?
  bool split_lanes() const { return split_lanes_; }

 private:
  Coord offset(int operand, const Coords& coords) const;
  Lanes load(int operand, const Coords& coords);
  Lanes load_vector(int operand, const Coord& offset);
  Lanes expression(int stage, const Coords& coords, int output);

  const kernel::Problem& problem_;
  int width_;
  std::string index_type_;
  std::string body_, tables_;
  int next_ = 0, depth_ = 1;
  Status status_;
  bool split_lanes_ = false, merged_ = false;
  std::set<int> loaded_;
  std::map<int, Lanes> defined_;
  std::map<int, std::vector<int64_t>> steps_;
  // What is known in the open blocks: by value number and coordinates.
  std::vector<std::map<std::string, Lanes>> known_;
};

}  // namespace planish::cuda
