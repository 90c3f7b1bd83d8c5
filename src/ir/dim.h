// Dim: a tensor dimension as an exact integer expression over named symbols.
//
// A Dim is a polynomial with integer coefficients over atoms; an atom is a symbol, or a floordiv, min
// or max of polynomials. ceildiv(a, b) is kept as -floordiv(-a, b) and mod(a, b) as
// a - b * floordiv(a, b), so that equal expressions meet in one canonical form and == decides
// equality of forms. Symbols stand for dimensions and are taken to be at least 1 where a division
// cancels (N*768 / N = 768).
//
// Example: the output height of a 3x3 stride-2 padded convolution over symbol H is
//   floordiv(H + 2 - 3, 2) + 1, canonically floordiv(H + 1, 2).
// Immutable value type, cheap to copy; a constant holds no allocation. Arithmetic that leaves int64
// yields an invalid Dim (valid() is false), which shape inference reports.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace planish::ir {

struct DimPolynomial;

class Dim {
 public:
  Dim(int64_t value = 0) : value_(value) {}  // NOLINT: implicit on purpose
  static Dim symbol(std::string_view name);
  static Dim invalid();

  bool valid() const { return state_ != State::kInvalid; }
  bool is_constant() const { return state_ == State::kConstant; }
  // Precondition: is_constant().
  int64_t value() const;
  std::optional<int64_t> constant() const {
    return is_constant() ? std::optional<int64_t>(value_) : std::nullopt;
  }
  // The symbol's name when this is exactly one symbol, else empty.
  std::string symbol_name() const;
  // Every symbol in the expression, sorted, once each.
  std::vector<std::string> symbols() const;

  // Value under a binding of symbols; the binding returns nullopt for an unknown symbol.
  using Lookup = std::function<std::optional<int64_t>(std::string_view)>;
  std::optional<int64_t> evaluate(const Lookup& lookup) const;
  // Replaces symbols by expressions; nullopt keeps the symbol.
  Dim substitute(const std::function<std::optional<Dim>(std::string_view)>& replace) const;
  // Bounds from bounds of the symbols; the lookup gives [low, high]. nullopt where unbounded.
  struct Range {
    std::optional<int64_t> low, high;
  };
  Range range(const std::function<Range(std::string_view)>& lookup) const;

  // "N", "2*N*C + 1", "floordiv(H + 1, 2)", "min(a, b)".
  std::string to_string() const;
  static Result<Dim> parse(std::string_view text);

  friend bool operator==(const Dim& a, const Dim& b);
  friend Dim operator+(const Dim& a, const Dim& b);
  friend Dim operator-(const Dim& a, const Dim& b);
  friend Dim operator*(const Dim& a, const Dim& b);
  friend Dim floordiv(const Dim& a, const Dim& b);
  friend Dim ceildiv(const Dim& a, const Dim& b);
  friend Dim mod(const Dim& a, const Dim& b);
  friend Dim min(const Dim& a, const Dim& b);
  friend Dim max(const Dim& a, const Dim& b);
  // a / b when b divides a for every binding, else nullopt (for Reshape's -1).
  friend std::optional<Dim> exact_quotient(const Dim& a, const Dim& b);
  // A total order of forms, for canonical sorting and maps.
  friend bool less(const Dim& a, const Dim& b);

 private:
  friend struct DimPolynomial;
  enum class State : uint8_t { kConstant, kExpression, kInvalid };
  explicit Dim(DimPolynomial polynomial);
  DimPolynomial polynomial() const;

  State state_ = State::kConstant;
  int64_t value_ = 0;
  std::shared_ptr<const DimPolynomial> expression_;
};

Dim ceildiv(const Dim& a, const Dim& b);
Dim mod(const Dim& a, const Dim& b);

}  // namespace planish::ir
