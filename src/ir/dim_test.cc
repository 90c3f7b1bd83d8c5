// Dim expressions: canonical forms, and random expressions against their values.
#include "ir/dim.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <random>

namespace planish::ir {
namespace {

const Dim N = Dim::symbol("N"), H = Dim::symbol("H"), W = Dim::symbol("W");

TEST(Dim, ConstantsCompute) {
  EXPECT_EQ((Dim(7) * Dim(6) + 1 - 3).value(), 40);
  EXPECT_EQ(floordiv(Dim(-7), Dim(2)).value(), -4);
  EXPECT_EQ(ceildiv(Dim(7), Dim(2)).value(), 4);
  EXPECT_EQ(mod(Dim(-7), Dim(3)).value(), 2);
  EXPECT_EQ(min(Dim(3), Dim(4)).value(), 3);
  EXPECT_EQ(max(Dim(3), Dim(4)).value(), 4);
}

TEST(Dim, EqualExpressionsMeetInOneForm) {
  EXPECT_EQ(N + H, H + N);
  EXPECT_EQ((N + 1) * (N - 1), N * N - 1);
  EXPECT_EQ(N * 768 - N * 768, Dim(0));
  EXPECT_EQ((N + H) * W, W * H + W * N);
  EXPECT_EQ(floordiv(H + 2 - 3, Dim(2)) + 1, floordiv(H + 1, Dim(2)));
  EXPECT_EQ(floordiv(floordiv(H, Dim(2)), Dim(3)), floordiv(H, Dim(6)));
  EXPECT_EQ(floordiv(N * 768, Dim(768)), N);
  EXPECT_EQ(floordiv(N * H, H), N);
  EXPECT_EQ(floordiv(N * 4 + H, Dim(4)), N + floordiv(H, Dim(4)));
  EXPECT_EQ(min(N, N + 1), N);
  EXPECT_EQ(max(N, N + 1), N + 1);
  EXPECT_EQ(min(N, H), min(H, N));
  EXPECT_EQ(mod(N * 4, Dim(4)), Dim(0));
  EXPECT_EQ(ceildiv(H, Dim(2)) * 2, Dim(0) - floordiv(Dim(0) - H, Dim(2)) * 2);
  EXPECT_FALSE(N == H);
  EXPECT_FALSE(floordiv(H, Dim(2)) == floordiv(H, Dim(3)));
}

TEST(Dim, ExactQuotients) {
  EXPECT_EQ(*exact_quotient(N * H * 12, H * 4), N * 3);
  EXPECT_EQ(*exact_quotient(N * (H + 1), H + 1), N);
  EXPECT_EQ(*exact_quotient(N * 6 + H * 4, Dim(2)), N * 3 + H * 2);
  EXPECT_FALSE(exact_quotient(N * 3, Dim(2)));
  EXPECT_FALSE(exact_quotient(N, H));
  EXPECT_FALSE(exact_quotient(N, Dim(0)));
}

TEST(Dim, OverflowAndDivisionByZeroAreInvalid) {
  const Dim huge = std::numeric_limits<int64_t>::max();
  EXPECT_FALSE((huge + 1).valid());
  EXPECT_FALSE((huge * 2).valid());
  EXPECT_FALSE((huge * N * 2).valid());
  EXPECT_FALSE(floordiv(N, Dim(0)).valid());
  EXPECT_FALSE((Dim::invalid() + N).valid());
  EXPECT_EQ(Dim::invalid().to_string(), "invalid");
}

TEST(Dim, ReadsItsOwnText) {
  const Dim odd = Dim::symbol("strange name");
  for (const Dim& d : {Dim(-5), N * 2 + 1, floordiv(N + 1, Dim(2)) * H, min(N, H * 2) - max(W, Dim(3)),
                       odd * odd - 4, Dim(0) - N}) {
    auto parsed = Dim::parse(d.to_string());
    ASSERT_TRUE(parsed.ok()) << d.to_string() << ": " << parsed.status().to_string();
    EXPECT_EQ(*parsed, d) << d.to_string();
  }
  for (const char* bad : {"", "N +", "(N", "2 3", "floordiv(N)", "N)", "99999999999999999999",
                          "floordiv(N, 0)", "`N", "N*"})
    EXPECT_FALSE(Dim::parse(bad).ok()) << bad;
}

TEST(Dim, SubstitutesAndKnowsItsSymbols) {
  const Dim d = floordiv(H + N, Dim(2)) + W * N;
  EXPECT_EQ(d.symbols(), (std::vector<std::string>{"H", "N", "W"}));
  const Dim replaced = d.substitute([](std::string_view name) -> std::optional<Dim> {
    if (name == "N") return Dim(4);
    if (name == "H") return Dim(6);
    return std::nullopt;
  });
  EXPECT_EQ(replaced, W * 4 + 5);
  EXPECT_EQ(N.symbol_name(), "N");
  EXPECT_EQ((N + 1).symbol_name(), "");
}

TEST(Dim, RangesHoldEveryValue) {
  const auto bounds = [](std::string_view) -> Dim::Range { return {1, 8}; };
  const Dim d = floordiv(N * 3 + 1, Dim(2)) + max(H, Dim(4));
  const Dim::Range range = d.range(bounds);
  ASSERT_TRUE(range.low && range.high);
  for (int64_t n = 1; n <= 8; ++n)
    for (int64_t h = 1; h <= 8; ++h) {
      const auto v = d.evaluate([&](std::string_view name) -> std::optional<int64_t> {
        return name == "N" ? n : h;
      });
      EXPECT_LE(*range.low, *v);
      EXPECT_GE(*range.high, *v);
    }
  EXPECT_FALSE(N.range([](std::string_view) -> Dim::Range { return {1, {}}; }).high);
}

// A random expression as Dim and as a function of a binding.
struct Sample {
  Dim dim;
  std::vector<std::optional<int64_t>> values;  // by binding
};

TEST(Dim, RandomExpressionsKeepTheirValues) {
  std::mt19937 random(17);
  const std::vector<std::map<std::string, int64_t, std::less<>>> bindings = {
      {{"N", 1}, {"H", 1}, {"W", 1}},   {{"N", 2}, {"H", 7}, {"W", 5}},
      {{"N", 16}, {"H", 3}, {"W", 11}}, {{"N", 5}, {"H", 224}, {"W", 13}}};
  const auto lookup = [&](size_t b) {
    return [&bindings, b](std::string_view name) -> std::optional<int64_t> {
      return bindings[b].find(name)->second;
    };
  };
  const auto leaf = [&]() {
    Sample s;
    const int kind = int(random() % 5);
    const int64_t constant = int64_t(random() % 9) - 2;
    s.dim = kind == 0 ? N : kind == 1 ? H : kind == 2 ? W : Dim(constant);
    for (size_t b = 0; b < bindings.size(); ++b) s.values.push_back(s.dim.evaluate(lookup(b)));
    return s;
  };
  int compared = 0;
  for (int round = 0; round < 4000; ++round) {
    Sample s = leaf();
    for (int step = 0, steps = 1 + int(random() % 5); step < steps; ++step) {
      const Sample t = leaf();
      const int kind = int(random() % 8);
      Sample next;
      // Division only by positive constants: symbols cancel on the promise that they are positive.
      const Dim divisor = int64_t(1 + random() % 5);
      switch (kind) {
        case 0: next.dim = s.dim + t.dim; break;
        case 1: next.dim = s.dim - t.dim; break;
        case 2: next.dim = s.dim * t.dim; break;
        case 3: next.dim = min(s.dim, t.dim); break;
        case 4: next.dim = max(s.dim, t.dim); break;
        case 5: next.dim = floordiv(s.dim, divisor); break;
        case 6: next.dim = ceildiv(s.dim, divisor); break;
        default: next.dim = mod(s.dim, divisor); break;
      }
      for (size_t b = 0; b < bindings.size(); ++b) {
        const int64_t x = *s.values[b], y = *t.values[b], d = divisor.value();
        const int64_t floor = x >= 0 ? x / d : -((-x + d - 1) / d);
        const int64_t ceil = x >= 0 ? (x + d - 1) / d : -(-x / d);
        const int64_t expected[] = {x + y, x - y, x * y, std::min(x, y), std::max(x, y),
                                    floor, ceil,  x - d * floor};
        next.values.push_back(expected[kind]);
      }
      s = std::move(next);
    }
    ASSERT_TRUE(s.dim.valid());
    for (size_t b = 0; b < bindings.size(); ++b) {
      ASSERT_EQ(s.dim.evaluate(lookup(b)), s.values[b]) << s.dim.to_string();
      const auto substituted = s.dim.substitute([&](std::string_view name) -> std::optional<Dim> {
        return Dim(bindings[b].find(name)->second);
      });
      ASSERT_EQ(substituted, Dim(*s.values[b])) << s.dim.to_string();
      ++compared;
    }
    auto parsed = Dim::parse(s.dim.to_string());
    ASSERT_TRUE(parsed.ok()) << s.dim.to_string();
    ASSERT_EQ(*parsed, s.dim) << s.dim.to_string();
  }
  EXPECT_EQ(compared, 16000);
}

}  // namespace
}  // namespace planish::ir
