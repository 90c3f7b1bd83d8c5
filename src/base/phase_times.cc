#include "base/phase_times.h"

#include <algorithm>

namespace planish {

void PhaseTimes::switch_to(int phase) {
  const Clock::time_point now = Clock::now();
  if (current_ >= 0)
    list_[size_t(current_)].second += std::chrono::duration<double>(now - since_).count();
  current_ = phase;
  since_ = now;
}

PhaseTimes::Scope::Scope(PhaseTimes* times, std::string_view phase) : times_(times) {
  if (!times_) return;
  auto& list = times_->list_;
  const auto found =
      std::find_if(list.begin(), list.end(), [&](const auto& one) { return one.first == phase; });
  const int index = int(found - list.begin());
  if (found == list.end()) list.emplace_back(phase, 0.0);
  outer_ = times_->current_;
  times_->switch_to(index);
}

PhaseTimes::Scope::~Scope() {
  if (times_) times_->switch_to(outer_);
}

}  // namespace planish
