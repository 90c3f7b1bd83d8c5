// Predicted times and the short list. The model counts clocks of one SM per ring step: tensor cores,
// shared memory, L2; fill and epilogue per tile; whole waves; then the memory's and L2's own floors.
#include <algorithm>
#include <cmath>

#include "backend/cuda/families/wgmma/tile.h"

namespace planish::cuda::wgmma {
namespace {

// One table of constants, in clocks at 1.7 GHz and bytes per clock.
constexpr double kClocksPerUs = 1700;
constexpr double kSharedPerClock = 128, kL2PerClock = 43;
constexpr double kClusterFactor = 1.01;  // CTAs in lock-step
constexpr double kShared = 0.15;         // of what multicast saves on paper
constexpr double kLoadClocks = 1500;     // from a load's issue to its arrival, memory busy
constexpr double kNearClocks = 600;      // of what an epilogue waits for
constexpr double kMomentClocks = 100;    // guessed
constexpr double kFillClocks = 900, kEpilogueClocks = 300, kEpilogueBytesPerClock = 40;
constexpr double kClusterReduceClocks = 450, kClusterBytesPerClock = 12;
constexpr double kMemoryBytesPerUs = 4.3e6, kL2BytesPerUs = 8.5e6, kGapUs = 0.5;
constexpr double kL2Bytes = 50e6;

double epilogue_bytes(const PooledProduct& problem) {
  const Product& p = problem.product;
  double bytes = 0;
  for (const Access& a : problem.last().results) bytes += ir::bits_of(a.type) / 8.0 / (problem.pool ? 4 : 1);
  for (const Access& a : p.epilogue.inputs)
    if (a.moments < 0 &&
        (!a.constant || std::any_of(a.row_steps.begin(), a.row_steps.end(), [](int64_t s) { return s; })))
      bytes += ir::bits_of(a.type) / 8;
  return bytes;
}

// What an epilogue call reads beside one row.
int near_registers(const Product& p, int lanes) {
  int64_t words = 0;
  for (const Access& a : p.epilogue.inputs) {
    const bool by_row = std::any_of(a.row_steps.begin(), a.row_steps.end(), [](int64_t s) { return s; });
    if (a.moments < 0 && (!a.constant || by_row)) words += a.channel_step ? (lanes * ir::bits_of(a.type) + 31) / 32 : 1;
  }
  return int(words);
}

double input_bytes(const Product& p, int element_bytes) {
  if (p.is_conv)
    return double(p.conv.images * p.conv.height * p.conv.width * p.conv.channels) * element_bytes;
  return double(p.left.matrices * p.rows * p.depth) * element_bytes;
}

}  // namespace

double predict_us(const PooledProduct& problem, const Plan& plan, int sm_count) {
  const Product& p = problem.product;
  const Tile& t = plan.tile;
  const double rows = t.row_tile(), channels = t.channel_tile();
  const int high = t.high();
  const double tensor = rows * channels / 32 * (plan.step_bytes / 128.0);
  const double shared = double(plan.step_bytes) * (high + double(high) / 64 * t.width + rows + channels);
  const double saved = rows * (1 - 1.0 / t.share_rows) + channels * (1 - 1.0 / t.share_weights);
  const double l2 = double(plan.step_bytes) * (rows + channels - kShared * saved);
  const int residents = std::max(1, std::min(t.residents, kMaxSharedBytes / (plan.shared_bytes + 1024)));
  const double steps = std::ceil(double(plan.steps) / t.split);
  double epilogue = kEpilogueClocks + rows * channels / t.split * epilogue_bytes(problem) / kEpilogueBytesPerClock;
  const double ctas = double(plan.cluster_tiles) * t.cluster();
  const double slots = double(sm_count) * residents * (t.ping_pong ? 2 : 1);
  const double waves = std::max(1.0, std::ceil(ctas / slots));
  if (const int near = near_registers(p, plan.lanes)) {
    const Gangs gangs = gangs_of(plan, near);
    epilogue += kNearClocks * std::ceil(double(plan.calls()) / (gangs.size * gangs.buffers));
  }
  // Parts of moments are read beside the first products; a result's take a few shuffles each.
  if (!p.epilogue.moments.empty()) epilogue += kMomentClocks;
  if (p.epilogue.result_moments) epilogue += kMomentClocks;
  if ((t.ping_pong || residents > 1) && waves * residents > 1) epilogue *= 0.4;
  // CTAs of one SM share its units; a lone one waits for its own loads.
  const double active = std::min(double(residents), std::max(1.0, std::ceil(ctas / sm_count)));
  const double sharing = active * (t.ping_pong ? 2 : 1);
  const double step = std::max({tensor, shared / kSharedPerClock, l2 / kL2PerClock});
  const double arrival = kLoadClocks / std::max(1, plan.stages - 1);
  const double tile = steps * std::max({step * sharing, arrival, 130.0}) + epilogue +
                      (t.split > 1 ? kClusterReduceClocks + rows * channels * 4 * (t.split - 1) / t.split / kClusterBytesPerClock : 0);
  const double lockstep = t.share_rows * t.share_weights > 1 ? kClusterFactor : 1;
  const double compute = lockstep * (kFillClocks + waves * tile) / kClocksPerUs;
  const double weights = double(p.batches * p.channels) * double(p.depth * p.taps()) * plan.element_bytes;
  const double outputs = double(p.batches) * double(p.rows * p.channels) * epilogue_bytes(problem);
  const double bytes = input_bytes(p, plan.element_bytes) + weights + outputs;
  const double memory = bytes > kL2Bytes ? bytes / kMemoryBytesPerUs : bytes / kL2BytesPerUs;
  // Small tiles of several CTAs keep more loads of what lies beside the rows in flight.
  const bool many_loads = residents > 1 && t.groups > 1 && t.width <= 64 && near_registers(p, plan.lanes) > 0;
  return std::max(compute, memory + (many_loads ? 0.15 : 0.3) * compute) + kGapUs;
}

namespace {

// Tiles by name: groups, blocks, width, residents.
struct Shape {
  int groups, blocks, width, residents;
};
constexpr Shape kLarge[] = {{3, 1, 128, 1}, {2, 1, 256, 1}, {2, 2, 128, 1}, {2, 1, 192, 1}, {3, 1, 192, 1},
                            {2, 2, 96, 1},  {2, 1, 128, 2}, {2, 1, 128, 1}, {1, 1, 256, 2}, {3, 1, 64, 2},
                            {3, 1, 96, 1},  {2, 1, 96, 2},  {2, 2, 64, 2},  {2, 1, 144, 1}};
constexpr Shape kMedium[] = {{2, 1, 64, 2}, {2, 1, 64, 3}, {1, 1, 128, 3}, {1, 2, 128, 2}, {1, 2, 64, 3},
                             {1, 1, 64, 4}, {1, 1, 64, 3}, {1, 1, 96, 3},  {2, 1, 32, 2}};
constexpr Shape kSmall[] = {{1, 1, 64, 2}, {1, 1, 64, 1}, {1, 1, 32, 4}, {1, 1, 32, 2}, {1, 1, 16, 4},
                            {1, 1, 48, 2}, {1, 1, 96, 1}, {2, 1, 64, 1}, {1, 1, 128, 2}};

class Lister {
 public:
  Lister(const PooledProduct& problem, int sm_count) : problem_(problem), p_(problem.product), sm_count_(sm_count) {}

  std::vector<Tile> list(size_t limit) {
    const bool packed = p_.right_constant;
    for (const Shape& s : kLarge) {
      add(s);
      add(s, [](Tile& t) { t.share_weights = 2; });
      add(s, [](Tile& t) { t.share_rows = 2; });
    }
    for (const Shape& s : kMedium) add(s);
    for (const Shape& s : kSmall) {
      add(s);
      for (int split : {2, 4, 8}) add(s, [&](Tile& t) { t.split = split; });
    }
    for (const Shape& s : {Shape{2, 1, 128, 1}, Shape{2, 1, 64, 1}})
      for (int split : {2, 4, 8}) add(s, [&](Tile& t) { t.split = split; });
    for (const Shape& s : {Shape{2, 1, 128, 1}, Shape{2, 2, 128, 1}, Shape{2, 2, 192, 1}, Shape{2, 2, 96, 1}})
      for (int shared : {1, 2}) {
        add(s, [&](Tile& t) { t.ping_pong = true; t.share_weights = shared; });
        if (shared > 1) add(s, [&](Tile& t) { t.ping_pong = true; t.share_rows = shared; });
      }
    if (packed) add_swapped();
    if (packed) add_fitted();
    return best(limit);
  }

 private:
  void add(const Shape& s) { add(s, [](Tile&) {}); }
  template <class Change>
  void add(const Shape& s, Change change) {
    Tile t;
    t.groups = s.groups;
    t.blocks = s.blocks;
    t.width = s.width;
    t.residents = s.residents;
    change(t);
    t.boxes = problem_.pool.has_value();
    for (const auto& [us, tile] : found_)
      if (tile == t) return;
    auto plan = plan_of(problem_, t);
    if (!plan.ok() || !has_registers(*plan) || !sensible(*plan)) return;
    found_.push_back({predict_us(problem_, *plan, sm_count_), t});
  }

  // For one product beside addresses, and, where no warpgroup hands registers over, for all sums.
  static bool has_registers(const Plan& plan) {
    const int warps = (plan.threads() / 32 * plan.tile.residents + 3) / 4;  // of a quarter of an SM
    const int limit = std::min(255, 16384 / (32 * warps) / 8 * 8);
    return plan.tile.width / 2 + 26 <= limit && (plan.producer_warps == 4 || plan.sums() + 28 <= limit);
  }

  void add_swapped() {
    if (p_.channels <= 128)
      for (const Shape& s : {Shape{1, 1, 256, 2}, Shape{1, 1, 192, 2}, Shape{1, 1, 128, 3}, Shape{2, 1, 128, 2}})
        add(s, [](Tile& t) { t.swap = true; });
    if (p_.rows <= 64)
      for (int width : {8, 16, 24, 32, 48, 64})
        if (width >= p_.rows || width == 64)
          for (int split : {1, 2, 4, 8})
            for (int blocks : {1, 2})
              add({1, blocks, width, 2}, [&](Tile& t) { t.swap = true; t.split = split; });
  }

  // Rows on the wide side, in tiles as wide as it takes to fill one wave: rows are what a small batch has
  // an odd number of. Clusters of 4 and more leave some SMs of each group unused.
  void add_fitted() {
    for (const auto& [groups, blocks] : {std::pair(1, 1), std::pair(2, 1), std::pair(1, 2), std::pair(3, 1)})
      for (int split : {1, 2, 4, 8})
        for (int residents : {1, 2}) {
          const int64_t high = 64 * groups * blocks, channel_tiles = (p_.channels + high - 1) / high;
          const int64_t clusters = int64_t(split > 2 ? sm_count_ - sm_count_ / 16 : sm_count_) * residents / split;
          const int64_t across = clusters / (channel_tiles * p_.batches), step = std::max(8, 4 * split);
          if (across < 1) continue;
          const int64_t width = ((p_.rows + across - 1) / across + step - 1) / step * step;
          if (width < 16 || width > 256) continue;
          const size_t before = found_.size();
          add({groups, blocks, int(width), residents}, [&](Tile& t) { t.swap = true; t.split = split; });
          if (found_.size() > before) fitted_.push_back(found_.back().second);
        }
  }

  // Operations that take many registers beside the sums.
  bool heavy_epilogue() const {
    return std::any_of(p_.epilogue.expr.nodes.begin(), p_.epilogue.expr.nodes.end(), [](const kernel::ExprNode& n) {
      return n.op >= kernel::ScalarOp::kExp && n.op <= kernel::ScalarOp::kSoftplus && n.op != kernel::ScalarOp::kSigmoid;
    });
  }

  bool sensible(const Plan& plan) const {
    const Tile& t = plan.tile;
    // 96 registers for 64 sums; fewer still for three CTAs.
    if (t.residents > 1 && t.groups > 1 && plan.sums() >= 64 && (heavy_epilogue() || near_registers(p_, plan.lanes) > 0))
      return false;
    if (t.residents > 2 && t.groups > 1 && (plan.element_bytes == 4 || heavy_epilogue())) return false;
    if (p_.epilogue.result_moments && plan.sums() >= 48 && register_cap(plan) <= 128) return false;
    // Pairs of channels mean many calls and addresses.
    if (plan.lanes == 2 && !t.swap && t.residents > 2 && plan.sums() >= 64) return false;
    const double ctas = double(plan.cluster_tiles) * t.cluster();
    const double padded = double(plan.row_tiles * t.row_tile()) * double(plan.channel_tiles * t.channel_tile());
    const double waste = padded / (double(p_.rows) * double(p_.channels));
    if (t.split > 1 && (ctas / t.split >= 0.75 * sm_count_ || plan.steps / t.split < 2)) return false;
    if (t.split > 1 && ctas > sm_count_) return false;  // clusters do not fill a second wave
    const bool shares = t.share_rows * t.share_weights > 1;
    if (shares && (ctas <= sm_count_ / 2 || (!t.ping_pong && t.row_tile() * t.channel_tile() < 128 * 128)))
      return false;
    if (t.share_weights > 1 && plan.row_tiles % t.share_weights && plan.row_tiles < 20) return false;
    if (t.ping_pong && ctas < 2 * sm_count_) return false;
    // Half-empty tiles only where there is nothing smaller to take.
    if (waste > 1.4 && ctas > sm_count_ && t.width > 64) return false;
    if (!t.swap && t.channel_tile() >= 2 * std::max<int64_t>(p_.channels, 16) && t.channel_tile() > 32) return false;
    return plan.stages >= 3 || plan.steps < 3 || t.row_tile() * t.channel_tile() >= 128 * 192;
  }

  std::vector<Tile> best(size_t limit) {
    std::stable_sort(found_.begin(), found_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<Tile> out;
    size_t fitted = 0;
    for (const auto& [us, tile] : found_) {
      if (out.size() >= limit || (us > 1.4 * found_[0].first && out.size() >= 6)) break;
      if (std::find(fitted_.begin(), fitted_.end(), tile) != fitted_.end() && ++fitted > limit / 2) continue;
      out.push_back(tile);
    }
    const Tile safe{.groups = 2, .blocks = 1, .width = 64, .residents = 2, .boxes = problem_.pool.has_value()};
    if (std::find(out.begin(), out.end(), safe) == out.end() && plan_of(problem_, safe).ok()) {
      if (out.size() >= limit) out.pop_back();
      out.push_back(safe);
    }
    add_short_rings(out, limit);
    add_boxes(out, limit);
    if (out.empty())  // transposed operands come in 64s
      for (const Shape& s : {Shape{1, 1, 64, 2}, Shape{1, 1, 128, 1}}) {
        Tile t{.groups = s.groups, .blocks = s.blocks, .width = s.width, .residents = s.residents};
        if (plan_of(problem_, t).ok()) out.push_back(t);
      }
    return out;
  }

  // Of tiles that have an SM to themselves for one wave: a ring that leaves half of the shared memory to a
  // CTA of the next kernel, which starts up and brings its weights early. One warpgroup leaves it registers.
  void add_short_rings(std::vector<Tile>& tiles, size_t limit) const {
    constexpr int kLeastStages = 4;
    std::vector<Tile> made;
    for (const Tile& tile : tiles) {
      auto plan = plan_of(problem_, tile);
      if (made.size() == 2 || tile.groups > 1 || tile.residents > 1 || !plan.ok() ||
          plan->cluster_tiles * tile.cluster() > sm_count_)
        continue;
      Tile shorter = tile;
      shorter.stages = (kMaxSharedBytes / 2 - plan->reduce_bytes - 2048) / plan->stage_bytes;
      if (shorter.stages >= kLeastStages && shorter.stages < plan->stages) made.push_back(shorter);
    }
    while (tiles.size() > 2 && tiles.size() + made.size() > limit) tiles.erase(tiles.end() - 2);
    tiles.insert(tiles.end(), made.begin(), made.end());
  }

  // The best two tiles with their rows in blocks of pixels, where those fit the image about as well.
  void add_boxes(std::vector<Tile>& tiles, size_t limit) const {
    constexpr double kMostLonger = 1.1, kMostRows = 1.15;
    if (problem_.pool || tiles.empty()) return;
    std::vector<Tile> made;
    for (const Tile& tile : tiles) {
      Tile boxed = tile;
      boxed.boxes = true;
      boxed.share_rows = 1;
      auto usual = plan_of(problem_, tile), plan = plan_of(problem_, boxed);
      if (made.size() == 2 || !usual.ok() || !plan.ok() || std::find(made.begin(), made.end(), boxed) != made.end() ||
          double(p_.conv.images * plan->boxes_x * plan->boxes_y * 64) > kMostRows * double(p_.rows) ||
          predict_us(problem_, *plan, sm_count_) > kMostLonger * predict_us(problem_, *usual, sm_count_))
        continue;
      made.push_back(boxed);
    }
    while (tiles.size() > 2 && tiles.size() + made.size() > limit) tiles.erase(tiles.end() - 2);
    tiles.insert(tiles.end(), made.begin(), made.end());
  }

  const PooledProduct& problem_;
  const Product& p_;
  int sm_count_;
  std::vector<std::pair<double, Tile>> found_;
  std::vector<Tile> fitted_;  // of them: add_fitted()'s
};

}  // namespace

std::vector<Tile> candidates(const PooledProduct& problem, int sm_count, size_t limit) {
  return Lister(problem, sm_count).list(limit);
}

}  // namespace planish::cuda::wgmma
