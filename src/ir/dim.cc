#include "ir/dim.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "base/text.h"

namespace planish::ir {

// atom := symbol | floordiv(a, b) | min(a, b) | max(a, b)
namespace {

enum class AtomKind : uint8_t { kSymbol, kFloorDiv, kMin, kMax };

struct Atom {
  AtomKind kind;
  std::string name;  // kSymbol
  Dim a, b;          // otherwise
  size_t size = 1;   // atoms when written out
};
using AtomPtr = std::shared_ptr<const Atom>;

int compare(const Dim& a, const Dim& b);

int compare(const AtomPtr& a, const AtomPtr& b) {
  if (a == b) return 0;
  if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
  if (a->kind == AtomKind::kSymbol) return a->name.compare(b->name);
  if (int c = compare(a->a, b->a)) return c;
  return compare(a->b, b->b);
}

// Atoms sorted, repeated for powers.
using Monomial = std::vector<AtomPtr>;

int compare(const Monomial& a, const Monomial& b) {
  if (a.size() != b.size()) return a.size() > b.size() ? -1 : 1;  // higher degree first
  for (size_t i = 0; i < a.size(); ++i)
    if (int c = compare(a[i], b[i])) return c;
  return 0;
}

struct Term {
  Monomial atoms;
  int64_t coefficient;
};

constexpr size_t kMaxTerms = 256;
// Atoms of one expression written out. Shared parts make a short text like
// (a+b)*min(c, (a+b)*min(c, ...)) double with each level.
constexpr size_t kMaxSize = 512;

}  // namespace

struct DimPolynomial {
  std::vector<Term> terms;  // sorted by monomial, no zero coefficients
  bool overflow = false;

  static DimPolynomial constant(int64_t v) {
    DimPolynomial p;
    if (v) p.terms.push_back({{}, v});
    return p;
  }
  static DimPolynomial atom(AtomPtr a) {
    DimPolynomial p;
    p.terms.push_back({{std::move(a)}, 1});
    return p;
  }
  static Dim make(DimPolynomial p) { return Dim(std::move(p)); }
  static DimPolynomial of(const Dim& d) { return d.polynomial(); }
  size_t size() const {
    size_t sum = 0;
    for (const Term& t : terms)
      for (const AtomPtr& a : t.atoms) sum += a->size;
    return sum;
  }
  std::optional<int64_t> as_constant() const {
    if (terms.empty()) return 0;
    if (terms.size() == 1 && terms[0].atoms.empty()) return terms[0].coefficient;
    return std::nullopt;
  }
};

namespace {

DimPolynomial add(const DimPolynomial& a, const DimPolynomial& b, int64_t scale) {
  DimPolynomial out;
  out.overflow = a.overflow || b.overflow;
  size_t i = 0, j = 0;
  while (i < a.terms.size() || j < b.terms.size()) {
    const int c = i == a.terms.size()   ? 1
                  : j == b.terms.size() ? -1
                                        : compare(a.terms[i].atoms, b.terms[j].atoms);
    if (c < 0) {
      out.terms.push_back(a.terms[i++]);
      continue;
    }
    Term t = b.terms[j++];
    if (__builtin_mul_overflow(t.coefficient, scale, &t.coefficient)) out.overflow = true;
    if (c == 0 && __builtin_add_overflow(t.coefficient, a.terms[i++].coefficient, &t.coefficient))
      out.overflow = true;
    if (t.coefficient == INT64_MIN) out.overflow = true;  // has no negative
    if (t.coefficient) out.terms.push_back(std::move(t));
  }
  if (out.terms.size() > kMaxTerms) out.overflow = true;
  return out;
}

DimPolynomial multiply(const DimPolynomial& a, const DimPolynomial& b) {
  DimPolynomial out;
  if (a.terms.size() * b.terms.size() > kMaxTerms) {
    out.overflow = true;
    return out;
  }
  for (const Term& x : a.terms) {
    for (const Term& y : b.terms) {
      Term t;
      if (__builtin_mul_overflow(x.coefficient, y.coefficient, &t.coefficient)) out.overflow = true;
      t.atoms.resize(x.atoms.size() + y.atoms.size());
      std::merge(x.atoms.begin(), x.atoms.end(), y.atoms.begin(), y.atoms.end(), t.atoms.begin(),
                 [](const AtomPtr& p, const AtomPtr& q) { return compare(p, q) < 0; });
      DimPolynomial one;
      one.terms.push_back(std::move(t));
      out = add(out, one, 1);
    }
  }
  out.overflow |= a.overflow || b.overflow;
  return out;
}

int compare(const Dim& a, const Dim& b) {
  if (a.is_constant() && b.is_constant())
    return a.value() < b.value() ? -1 : a.value() > b.value() ? 1 : 0;
  const DimPolynomial p = DimPolynomial::of(a), q = DimPolynomial::of(b);
  if (p.terms.size() != q.terms.size()) return p.terms.size() < q.terms.size() ? -1 : 1;
  for (size_t i = 0; i < p.terms.size(); ++i) {
    if (int c = compare(p.terms[i].atoms, q.terms[i].atoms)) return c;
    if (p.terms[i].coefficient != q.terms[i].coefficient)
      return p.terms[i].coefficient < q.terms[i].coefficient ? -1 : 1;
  }
  return 0;
}

int64_t floor_divide(int64_t a, int64_t b) {
  const int64_t q = a / b;
  return (a % b != 0 && (a % b < 0) != (b < 0)) ? q - 1 : q;
}

// monomial / monomial, nullopt when it does not divide.
std::optional<Monomial> divide(const Monomial& a, const Monomial& b) {
  Monomial rest;
  size_t j = 0;
  for (const AtomPtr& x : a) {
    if (j < b.size() && compare(x, b[j]) == 0) ++j;
    else rest.push_back(x);
  }
  if (j != b.size()) return std::nullopt;
  return rest;
}

Dim make_atom(AtomKind kind, const Dim& a, const Dim& b) {
  const size_t size = 1 + DimPolynomial::of(a).size() + DimPolynomial::of(b).size();
  return DimPolynomial::make(
      DimPolynomial::atom(std::make_shared<Atom>(Atom{kind, {}, a, b, size})));
}

}  // namespace

Dim::Dim(DimPolynomial polynomial) {
  if (polynomial.overflow || polynomial.size() > kMaxSize) {
    state_ = State::kInvalid;
  } else if (auto c = polynomial.as_constant()) {
    value_ = *c;
  } else {
    state_ = State::kExpression;
    expression_ = std::make_shared<const DimPolynomial>(std::move(polynomial));
  }
}

DimPolynomial Dim::polynomial() const {
  if (state_ == State::kExpression) return *expression_;
  DimPolynomial p = DimPolynomial::constant(value_);
  p.overflow = state_ == State::kInvalid;
  return p;
}

Dim Dim::symbol(std::string_view name) {
  std::string clean(name);
  std::replace(clean.begin(), clean.end(), '`', '_');  // the text form's quote
  return Dim(DimPolynomial::atom(
      std::make_shared<Atom>(Atom{AtomKind::kSymbol, std::move(clean), 0, 0, 1})));
}

Dim Dim::invalid() {
  Dim d;
  d.state_ = State::kInvalid;
  return d;
}

int64_t Dim::value() const {
  PLANISH_CHECK(is_constant(), cat("dim ", to_string(), " is not constant"));
  return value_;
}

std::string Dim::symbol_name() const {
  if (state_ != State::kExpression || expression_->terms.size() != 1) return {};
  const Term& t = expression_->terms[0];
  if (t.coefficient != 1 || t.atoms.size() != 1 || t.atoms[0]->kind != AtomKind::kSymbol) return {};
  return t.atoms[0]->name;
}

namespace {
void collect(const Dim& d, std::set<std::string>& out) {
  for (const Term& t : DimPolynomial::of(d).terms)
    for (const AtomPtr& a : t.atoms) {
      if (a->kind == AtomKind::kSymbol) {
        out.insert(a->name);
      } else {
        collect(a->a, out);
        collect(a->b, out);
      }
    }
}
}  // namespace

std::vector<std::string> Dim::symbols() const {
  std::set<std::string> names;
  collect(*this, names);
  return {names.begin(), names.end()};
}

std::optional<int64_t> Dim::evaluate(const Lookup& lookup) const {
  if (is_constant()) return value_;
  if (!valid()) return std::nullopt;
  int64_t sum = 0;
  for (const Term& t : expression_->terms) {
    int64_t product = t.coefficient;
    for (const AtomPtr& a : t.atoms) {
      int64_t v = 0;
      if (a->kind == AtomKind::kSymbol) {
        auto found = lookup(a->name);
        if (!found) return std::nullopt;
        v = *found;
      } else {
        auto x = a->a.evaluate(lookup), y = a->b.evaluate(lookup);
        if (!x || !y) return std::nullopt;
        if (a->kind == AtomKind::kMin) v = std::min(*x, *y);
        else if (a->kind == AtomKind::kMax) v = std::max(*x, *y);
        else if (*y == 0 || (*y == -1 && *x == INT64_MIN)) return std::nullopt;
        else v = floor_divide(*x, *y);
      }
      if (__builtin_mul_overflow(product, v, &product)) return std::nullopt;
    }
    if (__builtin_add_overflow(sum, product, &sum)) return std::nullopt;
  }
  return sum;
}

Dim Dim::substitute(
    const std::function<std::optional<Dim>(std::string_view)>& replace) const {
  if (state_ != State::kExpression) return *this;
  Dim sum = 0;
  for (const Term& t : expression_->terms) {
    Dim product = t.coefficient;
    for (const AtomPtr& a : t.atoms) {
      if (a->kind == AtomKind::kSymbol) {
        auto found = replace(a->name);
        product = product * (found ? *found : symbol(a->name));
      } else {
        const Dim x = a->a.substitute(replace), y = a->b.substitute(replace);
        product = product * (a->kind == AtomKind::kMin   ? min(x, y)
                             : a->kind == AtomKind::kMax ? max(x, y)
                                                         : floordiv(x, y));
      }
    }
    sum = sum + product;
  }
  return sum;
}

Dim::Range Dim::range(const std::function<Range(std::string_view)>& lookup) const {
  if (is_constant()) return {value_, value_};
  if (!valid()) return {};
  // Interval arithmetic over non-negative atoms; a negative atom bound gives up on that side.
  Range sum{0, 0};
  for (const Term& t : expression_->terms) {
    Range product{1, 1};
    for (const AtomPtr& a : t.atoms) {
      Range r;
      if (a->kind == AtomKind::kSymbol) {
        r = lookup(a->name);
      } else {
        const Range x = a->a.range(lookup), y = a->b.range(lookup);
        if (a->kind == AtomKind::kFloorDiv) {
          if (y.low && *y.low > 0) {
            if (x.low && *x.low >= 0 && y.high) r.low = *x.low / *y.high;
            else if (x.low && *x.low >= 0) r.low = 0;
            if (x.high && *x.high >= 0) r.high = *x.high / *y.low;
          }
        } else {
          const bool is_min = a->kind == AtomKind::kMin;
          if (x.low && y.low) r.low = is_min ? std::min(*x.low, *y.low) : std::max(*x.low, *y.low);
          else if (!is_min && (x.low || y.low)) r.low = x.low ? x.low : y.low;
          if (x.high && y.high)
            r.high = is_min ? std::min(*x.high, *y.high) : std::max(*x.high, *y.high);
          else if (is_min && (x.high || y.high)) r.high = x.high ? x.high : y.high;
        }
      }
      const auto times = [](std::optional<int64_t> p, std::optional<int64_t> q) {
        std::optional<int64_t> out;
        int64_t v = 0;
        if (p && q && !__builtin_mul_overflow(*p, *q, &v)) out = v;
        return out;
      };
      if (!r.low || *r.low < 0 || !product.low) return {};
      product = {times(product.low, r.low), times(product.high, r.high)};
    }
    const bool negative = t.coefficient < 0;
    const auto scaled = [&](std::optional<int64_t> v) {
      std::optional<int64_t> out;
      int64_t s = 0;
      if (v && !__builtin_mul_overflow(*v, t.coefficient, &s)) out = s;
      return out;
    };
    const auto low = scaled(negative ? product.high : product.low);
    const auto high = scaled(negative ? product.low : product.high);
    const auto plus = [](std::optional<int64_t> p, std::optional<int64_t> q) {
      std::optional<int64_t> out;
      int64_t v = 0;
      if (p && q && !__builtin_add_overflow(*p, *q, &v)) out = v;
      return out;
    };
    sum = {plus(sum.low, low), plus(sum.high, high)};
  }
  return sum;
}

bool operator==(const Dim& a, const Dim& b) {
  if (!a.valid() || !b.valid()) return a.valid() == b.valid();
  return a.expression_ == b.expression_ ? a.value_ == b.value_ : compare(a, b) == 0;
}
bool less(const Dim& a, const Dim& b) { return compare(a, b) < 0; }

Dim operator+(const Dim& a, const Dim& b) { return Dim(add(a.polynomial(), b.polynomial(), 1)); }
Dim operator-(const Dim& a, const Dim& b) { return Dim(add(a.polynomial(), b.polynomial(), -1)); }
Dim operator*(const Dim& a, const Dim& b) { return Dim(multiply(a.polynomial(), b.polynomial())); }

std::optional<Dim> exact_quotient(const Dim& a, const Dim& b) {
  if (!a.valid() || !b.valid()) return std::nullopt;
  const DimPolynomial p = a.polynomial(), q = b.polynomial();
  if (q.terms.empty()) return std::nullopt;
  if (q.terms.size() != 1) {
    // Only a multiple c * b of a longer divisor is recognized.
    if (p.terms.size() != q.terms.size()) return std::nullopt;
    auto rest = divide(p.terms[0].atoms, q.terms[0].atoms);
    if (!rest || p.terms[0].coefficient % q.terms[0].coefficient) return std::nullopt;
    DimPolynomial factor;
    factor.terms.push_back({*rest, p.terms[0].coefficient / q.terms[0].coefficient});
    const Dim candidate = DimPolynomial::make(factor);
    return candidate * b == a ? std::optional<Dim>(candidate) : std::nullopt;
  }
  DimPolynomial out;
  for (const Term& t : p.terms) {
    auto rest = divide(t.atoms, q.terms[0].atoms);
    if (!rest || q.terms[0].coefficient == -1 || t.coefficient % q.terms[0].coefficient)
      return std::nullopt;
    DimPolynomial one;
    one.terms.push_back({*rest, t.coefficient / q.terms[0].coefficient});
    out = add(out, one, 1);
  }
  return Dim(out);
}

Dim floordiv(const Dim& a, const Dim& b) {
  if (!a.valid() || !b.valid() || b == Dim(0)) return Dim::invalid();
  if (a.is_constant() && b.is_constant()) {
    if (b.value() == -1) return Dim(0) - a;
    return floor_divide(a.value(), b.value());
  }
  if (b == Dim(1)) return a;
  if (auto exact = exact_quotient(a, b)) return *exact;
  if (b.is_constant() && b.value() > 0) {
    // Multiples of b leave the division: floordiv(b*x + r, b) = x + floordiv(r, b).
    DimPolynomial whole, rest;
    for (const Term& t : a.polynomial().terms) {
      const int64_t q = floor_divide(t.coefficient, b.value());
      const int64_t r = t.coefficient - q * b.value();
      DimPolynomial one;
      if (r == 0 || t.atoms.empty()) {
        one.terms.push_back({t.atoms, q});
        if (q) whole = add(whole, one, 1);
      }
      if (r != 0) {
        one.terms = {{t.atoms, t.atoms.empty() ? r : t.coefficient}};
        rest = add(rest, one, 1);
      }
    }
    const Dim remaining = DimPolynomial::make(rest);
    if (!(remaining == a)) return DimPolynomial::make(whole) + floordiv(remaining, b);
    // floordiv(floordiv(x, c), b) = floordiv(x, c*b) for positive constants.
    const DimPolynomial p = a.polynomial();
    if (p.terms.size() == 1 && p.terms[0].coefficient == 1 && p.terms[0].atoms.size() == 1) {
      const Atom& inner = *p.terms[0].atoms[0];
      if (inner.kind == AtomKind::kFloorDiv && inner.b.is_constant() && inner.b.value() > 0)
        return floordiv(inner.a, inner.b * b);
    }
  }
  return make_atom(AtomKind::kFloorDiv, a, b);
}

Dim ceildiv(const Dim& a, const Dim& b) { return Dim(0) - floordiv(Dim(0) - a, b); }
Dim mod(const Dim& a, const Dim& b) { return a - b * floordiv(a, b); }

namespace {
Dim extremum(AtomKind kind, const Dim& a, const Dim& b) {
  if (!a.valid() || !b.valid()) return Dim::invalid();
  const Dim difference = a - b;  // a constant difference decides
  if (difference.is_constant()) return ((difference.value() < 0) == (kind == AtomKind::kMin)) ? a : b;
  // Absorption: max(x, min(x, y)) = x and min(x, max(x, y)) = x.
  const auto absorbs = [kind](const Dim& x, const Dim& other) {
    if (other.is_constant()) return false;
    const DimPolynomial p = DimPolynomial::of(other);
    if (p.terms.size() != 1 || p.terms[0].coefficient != 1 || p.terms[0].atoms.size() != 1)
      return false;
    const Atom& atom = *p.terms[0].atoms[0];
    return atom.kind == (kind == AtomKind::kMax ? AtomKind::kMin : AtomKind::kMax) &&
           (atom.a == x || atom.b == x);
  };
  if (absorbs(a, b)) return a;
  if (absorbs(b, a)) return b;
  return compare(a, b) <= 0 ? make_atom(kind, a, b) : make_atom(kind, b, a);
}
}  // namespace

Dim min(const Dim& a, const Dim& b) { return extremum(AtomKind::kMin, a, b); }
Dim max(const Dim& a, const Dim& b) { return extremum(AtomKind::kMax, a, b); }

namespace {

bool plain_name(std::string_view name) {
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0]))) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '/';
  }) && name != "min" && name != "max" && name != "floordiv";
}

std::string atom_text(const Atom& a) {
  switch (a.kind) {
    case AtomKind::kSymbol: return plain_name(a.name) ? a.name : cat("`", a.name, "`");
    case AtomKind::kFloorDiv: return cat("floordiv(", a.a.to_string(), ", ", a.b.to_string(), ")");
    case AtomKind::kMin: return cat("min(", a.a.to_string(), ", ", a.b.to_string(), ")");
    case AtomKind::kMax: return cat("max(", a.a.to_string(), ", ", a.b.to_string(), ")");
  }
  return {};
}

// Recursive descent over sum := term (('+'|'-') term)*, term := factor ('*' factor)*.
class DimParser {
 public:
  explicit DimParser(std::string_view text) : text_(text) {}
  Result<Dim> run() {
    PLANISH_ASSIGN_OR_RETURN(Dim d, sum());
    skip();
    if (at_ != text_.size()) return error("end of expression");
    return d;
  }

 private:
  Status error(std::string_view expected) const {
    return invalid_argument(cat("dim '", text_, "', column ", at_ + 1, ": expected ", expected));
  }
  void skip() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool take(char c) {
    skip();
    if (at_ < text_.size() && text_[at_] == c) return ++at_, true;
    return false;
  }
  Result<Dim> sum() {
    const bool negative = take('-');
    PLANISH_ASSIGN_OR_RETURN(Dim total, term());
    if (negative) total = Dim(0) - total;
    for (;;) {
      if (take('+')) {
        PLANISH_ASSIGN_OR_RETURN(Dim next, term());
        total = total + next;
      } else if (take('-')) {
        PLANISH_ASSIGN_OR_RETURN(Dim next, term());
        total = total - next;
      } else {
        return total;
      }
    }
  }
  Result<Dim> term() {
    PLANISH_ASSIGN_OR_RETURN(Dim product, factor());
    while (take('*')) {
      PLANISH_ASSIGN_OR_RETURN(Dim next, factor());
      product = product * next;
    }
    return product;
  }
  Result<Dim> factor() {
    skip();
    if (++depth_ > 64) return error("at most 64 nested operations");
    struct Leave {
      int& depth;
      ~Leave() { --depth; }
    } leave{depth_};
    if (take('(')) {
      PLANISH_ASSIGN_OR_RETURN(Dim inner, sum());
      if (!take(')')) return error("')'");
      return inner;
    }
    if (at_ >= text_.size()) return error("a number, symbol or call");
    const char c = text_[at_];
    if (std::isdigit(static_cast<unsigned char>(c))) {
      int64_t v = 0;
      while (at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_])))
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, text_[at_++] - '0', &v))
          return error("a number within 64 bits");
      return Dim(v);
    }
    std::string name;
    if (c == '`') {
      const size_t end = text_.find('`', at_ + 1);
      if (end == text_.npos) return error("'`'");
      name = text_.substr(at_ + 1, end - at_ - 1);
      at_ = end + 1;
      return Dim::symbol(name);
    }
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) ||
                                  text_[at_] == '_' || text_[at_] == '.' || text_[at_] == '/'))
      name += text_[at_++];
    if (name.empty()) return error("a number, symbol or call");
    if (name != "floordiv" && name != "min" && name != "max") return Dim::symbol(name);
    if (!take('(')) return error("'('");
    PLANISH_ASSIGN_OR_RETURN(Dim a, sum());
    if (!take(',')) return error("','");
    PLANISH_ASSIGN_OR_RETURN(Dim b, sum());
    if (!take(')')) return error("')'");
    return name == "min" ? min(a, b) : name == "max" ? max(a, b) : floordiv(a, b);
  }
  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

std::string Dim::to_string() const {
  if (!valid()) return "invalid";
  if (is_constant()) return std::to_string(value_);
  std::string out;
  for (const Term& t : expression_->terms) {
    int64_t c = t.coefficient;
    if (!out.empty()) {
      out += c < 0 ? " - " : " + ";
      if (c < 0) c = -c;
    } else if (c < 0) {
      out += "-";
      c = -c;
    }
    std::vector<std::string> factors;
    if (c != 1 || t.atoms.empty()) factors.push_back(std::to_string(c));
    for (const AtomPtr& a : t.atoms) factors.push_back(atom_text(*a));
    out += join(factors, "*");
  }
  return out;
}

Result<Dim> Dim::parse(std::string_view text) {
  if (text == "invalid") return Dim::invalid();
  PLANISH_ASSIGN_OR_RETURN(Dim d, DimParser(text).run());
  if (!d.valid()) return invalid_argument(cat("dim '", text, "': leaves 64 bits or divides by 0"));
  return d;
}

}  // namespace planish::ir
