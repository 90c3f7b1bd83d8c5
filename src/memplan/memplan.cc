// Arena planning by greedy placement in several orders, then by moving requests up in the order.
//
// Packing intervals in time and space is NP-hard, yet on real networks a greedy placement (largest
// first, each at the lowest gap among those alive with it) is mostly at the lower bound already;
// which order gets there differs by network. So a few orders run, each stops the search when it
// meets the bound, and otherwise the requests that stick out at the top are tried earlier in the
// best order while a budget of work lasts. The budget counts visits, not time: the same requests
// give the same plan on every machine.
#include "memplan/memplan.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>

#include "base/status.h"
#include "base/text.h"

namespace planish::memplan {
namespace {

// Neighbour visits that the improvement may spend; about a tenth of a millisecond per 100,000.
constexpr int64_t kImproveBudget = 400000;
// Largest conflict graph kept (edges, both directions); beyond, placement scans all placed
// requests.
constexpr size_t kMaxEdges = size_t(1) << 22;
// Sums above this are not planned: no machine has such an arena.
constexpr int64_t kMaxSum = int64_t(1) << 60;

struct Item {
  int64_t bytes;
  int first, last;
  size_t request;
};

class Placer {
 public:
  explicit Placer(std::vector<Item> items) : items_(std::move(items)) { find_conflicts(); }

  // Places in the given order; stops as soon as the arena passes `give_up_above`.
  int64_t place(const std::vector<int>& order, int64_t give_up_above,
                std::vector<int64_t>& offsets) {
    offsets.assign(items_.size(), -1);
    int64_t top = 0;
    placed_.clear();
    for (int i : order) {
      const Item& item = items_[size_t(i)];
      offsets[size_t(i)] = lowest_gap(i, offsets);
      top = std::max(top, offsets[size_t(i)] + item.bytes);
      if (top > give_up_above) return top;
      if (neighbours_.empty()) insert_placed(i, offsets);
    }
    return top;
  }

  int64_t visits() const { return visits_; }
  bool has_graph() const { return !neighbours_.empty(); }

 private:
  bool conflict(const Item& a, const Item& b) const {
    return a.first <= b.last && b.first <= a.last;
  }

  // Sweep over time with the set of those alive. Items are sorted by first step.
  void find_conflicts() {
    std::vector<std::vector<int>> found(items_.size());
    std::vector<int> alive;
    size_t edges = 0;
    for (size_t i = 0; i < items_.size(); ++i) {
      std::erase_if(alive, [&](int a) { return items_[size_t(a)].last < items_[i].first; });
      edges += 2 * alive.size();
      if (edges > kMaxEdges) return;
      for (int a : alive) {
        found[size_t(a)].push_back(int(i));
        found[i].push_back(a);
      }
      alive.push_back(int(i));
    }
    neighbours_ = std::move(found);
  }

  void insert_placed(int i, const std::vector<int64_t>& offsets) {
    const auto at =
        std::lower_bound(placed_.begin(), placed_.end(), offsets[size_t(i)],
                         [&](int p, int64_t offset) { return offsets[size_t(p)] < offset; });
    placed_.insert(at, i);
  }

  // The lowest offset where item i fits between those placed and alive with it.
  int64_t lowest_gap(int i, const std::vector<int64_t>& offsets) {
    const Item& item = items_[size_t(i)];
    if (neighbours_.empty()) {
      int64_t end = 0;
      for (int p : placed_) {
        const Item& other = items_[size_t(p)];
        if (!conflict(item, other)) continue;
        if (offsets[size_t(p)] - end >= item.bytes) break;
        end = std::max(end, offsets[size_t(p)] + other.bytes);
      }
      return end;
    }
    taken_.clear();
    for (int n : neighbours_[size_t(i)])
      if (offsets[size_t(n)] >= 0)
        taken_.push_back({offsets[size_t(n)], offsets[size_t(n)] + items_[size_t(n)].bytes});
    visits_ += int64_t(neighbours_[size_t(i)].size()) + 4;
    std::sort(taken_.begin(), taken_.end());
    int64_t end = 0;
    for (const auto& [from, to] : taken_) {
      if (from - end >= item.bytes) break;
      end = std::max(end, to);
    }
    return end;
  }

  std::vector<Item> items_;                   // sorted by first step
  std::vector<std::vector<int>> neighbours_;  // empty: too many, scan placed_ instead
  std::vector<int> placed_;                   // by offset
  std::vector<std::pair<int64_t, int64_t>> taken_;
  int64_t visits_ = 0;
};

// Most bytes alive at one step, and for every item the most alive at a step of its life
// ("breadth").
int64_t lower_bound(const std::vector<Item>& items, std::vector<int64_t>& breadth) {
  std::vector<int> steps;
  for (const Item& item : items) steps.push_back(item.first);
  std::sort(steps.begin(), steps.end());
  steps.erase(std::unique(steps.begin(), steps.end()), steps.end());
  // The live set only grows where something begins, so those steps hold the maxima.
  const auto at = [&](int step) {
    return size_t(std::upper_bound(steps.begin(), steps.end(), step) - steps.begin()) - 1;
  };
  std::vector<int64_t> alive(steps.size() + 1);
  for (const Item& item : items) {
    alive[at(item.first)] += item.bytes;
    alive[at(item.last) + 1] -= item.bytes;
  }
  std::partial_sum(alive.begin(), alive.end(), alive.begin());
  // Sparse table of range maxima.
  std::vector<std::vector<int64_t>> maxima{alive};
  for (size_t width = 1; 2 * width <= alive.size(); width *= 2) {
    const auto& below = maxima.back();
    std::vector<int64_t> row(alive.size() - 2 * width + 1);
    for (size_t i = 0; i < row.size(); ++i) row[i] = std::max(below[i], below[i + width]);
    maxima.push_back(std::move(row));
  }
  breadth.resize(items.size());
  int64_t most = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    const size_t from = at(items[i].first), to = at(items[i].last) + 1;
    size_t level = 0;
    while ((size_t(2) << level) <= to - from) ++level;
    breadth[i] = std::max(maxima[level][from], maxima[level][to - (size_t(1) << level)]);
    most = std::max(most, breadth[i]);
  }
  return most;
}

using Key = std::pair<int64_t, int64_t>;  // larger first

std::vector<int> ordered(const std::vector<Item>& items, const std::function<Key(size_t)>& key) {
  std::vector<Key> keys(items.size());
  for (size_t i = 0; i < items.size(); ++i) keys[i] = key(i);
  std::vector<int> order(items.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return keys[size_t(a)] > keys[size_t(b)]; });
  return order;
}

struct Best {
  int64_t arena = std::numeric_limits<int64_t>::max();
  std::vector<int> order;
  std::vector<int64_t> offsets;
};

// Moves items whose end is the arena's top to the front, or before a neighbour, while that helps.
void improve(Placer& placer, const std::vector<Item>& items, int64_t bound, Best& best) {
  const int64_t limit = placer.visits() + kImproveBudget;
  std::vector<int> order = best.order;
  std::vector<int64_t> offsets = best.offsets;
  uint64_t random = 0x9e3779b97f4a7c15u;
  const auto next = [&] {  // xorshift: the same on every machine
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    return random;
  };
  int64_t arena = best.arena;
  while (placer.visits() < limit && best.arena > bound) {
    std::vector<int> candidate = order;
    // The topmost item goes a random way up; now and then a random pair is swapped to leave a
    // local optimum.
    size_t top = 0;
    for (size_t at = 0; at < order.size(); ++at)
      if (offsets[size_t(order[at])] + items[size_t(order[at])].bytes == arena) top = at;
    if (top > 0 && next() % 4 != 0) {
      const size_t to = next() % 3 == 0 ? 0 : next() % top;
      std::rotate(candidate.begin() + long(to), candidate.begin() + long(top),
                  candidate.begin() + long(top) + 1);
    } else {
      std::swap(candidate[next() % order.size()], candidate[next() % order.size()]);
    }
    // Slightly worse orders are walked through, or the search stays in its first valley.
    const int64_t slack = arena / 64;
    std::vector<int64_t> placed;
    const int64_t got = placer.place(candidate, arena + slack, placed);
    if (got > arena + slack || (got > arena && next() % 8 != 0)) continue;
    order = std::move(candidate);
    offsets = std::move(placed);
    arena = got;
    if (got < best.arena) best = {got, order, offsets};
  }
}

}  // namespace

ArenaPlan plan_arena(std::span<const Request> requests, int64_t alignment) {
  PLANISH_CHECK(alignment > 0, "arena alignment must be positive");
  ArenaPlan plan;
  plan.offsets.assign(requests.size(), 0);
  std::vector<Item> items;
  bool too_large = false;
  for (size_t i = 0; i < requests.size(); ++i) {
    const Request& r = requests[i];
    PLANISH_CHECK(r.bytes >= 0 && r.first_step <= r.last_step,
                  cat("arena request ", i, ": ", r.bytes, " bytes, steps ", r.first_step, " to ",
                      r.last_step));
    if (r.bytes == 0) continue;
    too_large |= r.bytes > kMaxSum;
    const int64_t bytes = too_large ? 0 : (r.bytes + alignment - 1) / alignment * alignment;
    items.push_back({bytes, r.first_step, r.last_step, i});
    plan.sum_bytes += bytes;
    too_large |= plan.sum_bytes > kMaxSum;
  }
  if (too_large) {
    plan.arena_bytes = plan.sum_bytes = plan.lower_bound_bytes =
        std::numeric_limits<int64_t>::max();
    return plan;
  }
  if (items.empty()) return plan;
  std::stable_sort(items.begin(), items.end(),
                   [](const Item& a, const Item& b) { return a.first < b.first; });
  std::vector<int64_t> breadth;
  plan.lower_bound_bytes = lower_bound(items, breadth);

  Placer placer(items);
  const auto life = [&](size_t i) { return int64_t(items[i].last) - items[i].first + 1; };
  const std::function<Key(size_t)> keys[] = {
      [&](size_t i) {
        return Key{items[i].bytes, life(i)};
      },
      [&](size_t i) {
        return Key{breadth[i], items[i].bytes};
      },
      [&](size_t i) {
        return Key{life(i), items[i].bytes};
      },
      [&](size_t i) {
        return Key{-int64_t(items[i].first), items[i].bytes};
      },
      [&](size_t i) {
        return Key{items[i].last, items[i].bytes};
      },
      // Bytes by life span: what blocks most of the time-space plane goes first.
      [&](size_t i) {
        int64_t area = 0;
        if (__builtin_mul_overflow(items[i].bytes, life(i), &area)) area = kMaxSum;
        return Key{area, items[i].bytes};
      },
  };
  Best best;
  for (const auto& key : keys) {
    std::vector<int> order = ordered(items, key);
    std::vector<int64_t> offsets;
    const int64_t arena = placer.place(order, best.arena, offsets);
    if (arena < best.arena) best = {arena, std::move(order), std::move(offsets)};
    if (best.arena == plan.lower_bound_bytes) break;
    if (!placer.has_graph() && items.size() > 4000) break;  // one order of those is enough waiting
  }
  if (best.arena > plan.lower_bound_bytes && placer.has_graph())
    improve(placer, items, plan.lower_bound_bytes, best);

  plan.arena_bytes = best.arena;
  for (size_t i = 0; i < items.size(); ++i) plan.offsets[items[i].request] = best.offsets[i];
  return plan;
}

}  // namespace planish::memplan
