// PhaseTimes: where the seconds of something long went, by named phases.
//
// A scope counts for its phase while it lives; inside it the clock of the scope around it stands
// still, so that phases never overlap and add up to the whole. For one thread: what others do
// meanwhile is part of the phase that waits for them.
#pragma once
#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace planish {

class PhaseTimes {
 public:
  using Clock = std::chrono::steady_clock;

  // Phases and their seconds, in the order in which they were first entered.
  const std::vector<std::pair<std::string, double>>& list() const { return list_; }

  // `times` may be null: nothing is counted. The innermost scope must end first.
  class Scope {
   public:
    Scope(PhaseTimes* times, std::string_view phase);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    PhaseTimes* times_;
    int outer_ = -1;
  };

 private:
  // Counts what has passed for the phase that was current.
  void switch_to(int phase);

  std::vector<std::pair<std::string, double>> list_;
  int current_ = -1;
  Clock::time_point since_;
};

}  // namespace planish
