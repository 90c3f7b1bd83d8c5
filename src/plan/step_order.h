// Which steps of a program may run at the same time, and which must not.
//
// Steps of one stream run in the program's order. A step of another stream runs beside them but for what
// its waits (Step::launch) and those of steps in front of it forbid. Where all steps are of stream 0 the
// program's order is that of the run. Whoever runs a program in an order that is stricter than this, one
// step after the other, say, is right too.
#pragma once
#include <functional>
#include <span>
#include <vector>

#include "plan/program.h"

namespace planish::plan {

// Calls see(step, steps in front) for each step in turn: those that must have ended when it begins, which
// are those that write what it reads and those that read or write what it writes. Ascending. Parts of one
// value that several steps write do not wait for each other: what steps write does not overlap.
void for_each_dependence(const Program& program,
                         const std::function<void(int step, std::span<const int> in_front)>& see);

class StepOrder {
 public:
  StepOrder() = default;
  // Of launches that are in range (verify_launches).
  explicit StepOrder(const Program& program);
  // Step a, in front of b, has ended when b begins.
  bool ends_before(int a, int b) const;
  // The last step that may run while this one does: itself where none may.
  int last_beside(int step) const { return last_beside_.empty() ? step : last_beside_[size_t(step)]; }
  // No other step may run while this one does.
  bool is_alone(int step) const { return alone_.empty() || alone_[size_t(step)]; }

 private:
  void find_neighbours(const Program& program);

  size_t streams_ = 1;
  std::vector<int> streams_of_;  // by step
  // By step and stream: the last step of the stream that has ended when the step begins, -1: none.
  std::vector<int> ended_;
  std::vector<int> last_beside_;  // empty where all steps are of one stream
  std::vector<bool> alone_;
};

// Streams and waits in range, and every dependence kept. kDataLoss names the steps.
Status verify_launches(const Program& program);

}  // namespace planish::plan
