#include "plan/step_order.h"

#include <algorithm>
#include <set>

#include "base/text.h"

namespace planish::plan {
namespace {

// Steps of a program with several streams: what is checked for it grows with their square.
constexpr size_t kMaxSteps = 1 << 14;

std::vector<int> roots_of(const Program& program) {
  std::vector<int> roots(program.values.size());
  for (size_t v = 0; v < roots.size(); ++v) {
    int at = int(v);
    while (program.values[size_t(at)].parent >= 0) at = program.values[size_t(at)].parent;
    roots[v] = at;
  }
  return roots;
}

// One of the two lies in the other, or they are one.
bool nested(const Program& program, int a, int b) {
  for (int at = a; at >= 0; at = program.values[size_t(at)].parent)
    if (at == b) return true;
  for (int at = b; at >= 0; at = program.values[size_t(at)].parent)
    if (at == a) return true;
  return false;
}

bool has_streams(const Program& program) {
  return std::any_of(program.steps.begin(), program.steps.end(), [](const Step& step) {
    return step.launch.stream != 0 || !step.launch.waits.empty();
  });
}

}  // namespace

void for_each_dependence(const Program& program,
                         const std::function<void(int step, std::span<const int> in_front)>& see) {
  struct Write {
    int step, value;
  };
  struct Touches {
    std::vector<Write> writes;
    std::vector<int> reads;  // steps
  };
  const std::vector<int> roots = roots_of(program);
  std::vector<Touches> touches(program.values.size());  // by root
  for (size_t s = 0; s < program.steps.size(); ++s) {
    const Step& step = program.steps[s];
    std::set<int> read, written, in_front;  // roots; steps
    for (const int v : step.operands)
      if (v >= 0) read.insert(roots[size_t(v)]);
    for (const int v : step.results) written.insert(roots[size_t(v)]);
    for (const int root : read)
      for (const Write& write : touches[size_t(root)].writes) in_front.insert(write.step);
    for (const int root : written)
      in_front.insert(touches[size_t(root)].reads.begin(), touches[size_t(root)].reads.end());
    for (const int v : step.results)
      for (const Write& write : touches[size_t(roots[size_t(v)])].writes)
        if (nested(program, write.value, v)) in_front.insert(write.step);
    for (const int root : read) touches[size_t(root)].reads.push_back(int(s));
    for (const int v : step.results) touches[size_t(roots[size_t(v)])].writes.push_back({int(s), v});
    const std::vector<int> ascending(in_front.begin(), in_front.end());
    see(int(s), ascending);
  }
}

StepOrder::StepOrder(const Program& program) {
  for (const Step& step : program.steps) {
    streams_of_.push_back(step.launch.stream);
    streams_ = std::max(streams_, size_t(step.launch.stream) + 1);
  }
  if (streams_ == 1) return;
  ended_.assign(program.steps.size() * streams_, -1);
  std::vector<int> last(streams_, -1);  // step of each stream
  for (size_t b = 0; b < program.steps.size(); ++b) {
    int* ended = &ended_[b * streams_];
    const auto follow = [&](int a) {
      if (a < 0) return;
      for (size_t s = 0; s < streams_; ++s)
        ended[s] = std::max(ended[s], ended_[size_t(a) * streams_ + s]);
      int& own = ended[streams_of_[size_t(a)]];
      own = std::max(own, a);
    };
    const Launch& launch = program.steps[b].launch;
    follow(last[size_t(launch.stream)]);
    for (const int wait : launch.waits) follow(wait);
    last[size_t(launch.stream)] = int(b);
  }
  find_neighbours(program);
}

void StepOrder::find_neighbours(const Program& program) {
  const size_t count = program.steps.size();
  last_beside_.resize(count);
  alone_.assign(count, true);
  std::vector<std::vector<int>> in_front(streams_);
  for (size_t b = 0; b < count; ++b) {
    last_beside_[b] = int(b);
    for (size_t s = 0; s < streams_; ++s)
      for (auto a = in_front[s].rbegin(); a != in_front[s].rend() && *a > ended_[b * streams_ + s]; ++a) {
        last_beside_[size_t(*a)] = int(b);
        alone_[size_t(*a)] = alone_[b] = false;
      }
    in_front[size_t(streams_of_[b])].push_back(int(b));
  }
}

bool StepOrder::ends_before(int a, int b) const {
  if (streams_ == 1) return a < b;
  return a <= ended_[size_t(b) * streams_ + size_t(streams_of_[size_t(a)])];
}

Status verify_launches(const Program& program) {
  if (!has_streams(program)) return ok_status();
  const auto fault = [&](size_t step, const auto&... what) {
    return data_loss(cat("step ", step, " (", program.steps[step].kernel.substr(0, 80), ") ", what...));
  };
  if (program.steps.size() > kMaxSteps)
    return data_loss(cat(program.steps.size(), " steps on several streams, expected at most ", kMaxSteps));
  for (size_t s = 0; s < program.steps.size(); ++s) {
    const Launch& launch = program.steps[s].launch;
    if (launch.stream < 0 || launch.stream >= kMaxStreams)
      return fault(s, "runs on stream ", launch.stream, ", there are ", kMaxStreams);
    for (const int wait : launch.waits)
      if (wait < 0 || wait >= int(s) || program.steps[size_t(wait)].launch.stream == launch.stream)
        return fault(s, "waits for step ", wait, ", expected one in front of it on another stream");
  }
  const StepOrder order(program);
  Status status;
  for_each_dependence(program, [&](int s, std::span<const int> in_front) {
    for (const int a : in_front)
      if (status.ok() && !order.ends_before(a, s))
        status = fault(size_t(s), "runs beside step ", a, ", which touches the same value");
  });
  return status;
}

}  // namespace planish::plan
