// The generator's dice: SplitMix64, the same on every machine, which std distributions are not.
#pragma once
#include <cstdint>
#include <vector>

namespace planish::tests {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x2545f4914f6cdd1du + 1) {}
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // 0 to n - 1.
  int64_t below(int64_t n) { return int64_t(next() % uint64_t(n)); }
  // Inclusive.
  int64_t between(int64_t low, int64_t high) { return low + below(high - low + 1); }
  double unit() { return double(next() >> 11) * 0x1p-53; }
  bool chance(double p) { return unit() < p; }
  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[size_t(below(int64_t(from.size())))];
  }

 private:
  uint64_t state_;
};

}  // namespace planish::tests
