// Printing an epilogue: vectors of neighbouring channels are loaded and stored with the widest access
// that every address allows; the expression between them is printed once per channel.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <set>

#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/families/contraction/kept_epilogue.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using ir::DataType;

constexpr std::string_view kAccessText = R"CUDA(
// An address as a whole: what is added to it stays a part of the instruction that uses it.
template <class T> DEV T* whole(T* p) { u64 a; asm("mov.b64 %0, %1;" : "=l"(a) : "l"(p)); return (T*)a; }
DEV void get_fixed(u32 (&d)[4], const void* p) { asm("ld.global.nc.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]) : "l"(p)); }
DEV void get_fixed(u32 (&d)[2], const void* p) { asm("ld.global.nc.v2.u32 {%0,%1}, [%2];" : "=r"(d[0]), "=r"(d[1]) : "l"(p)); }
DEV void get_fixed(u32 (&d)[1], const void* p) { asm("ld.global.nc.u32 %0, [%1];" : "=r"(d[0]) : "l"(p)); }
DEV void get_near(u32 (&d)[4], const void* p) { asm volatile("ld.global.cg.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]) : "l"(p) : "memory"); }
DEV void get_near(u32 (&d)[2], const void* p) { asm volatile("ld.global.cg.v2.u32 {%0,%1}, [%2];" : "=r"(d[0]), "=r"(d[1]) : "l"(p) : "memory"); }
DEV void get_near(u32 (&d)[1], const void* p) { asm volatile("ld.global.cg.u32 %0, [%1];" : "=r"(d[0]) : "l"(p) : "memory"); }
DEV void put(void* p, const u32 (&d)[4]) { asm volatile("st.global.v4.u32 [%0], {%1,%2,%3,%4};" :: "l"(p), "r"(d[0]), "r"(d[1]), "r"(d[2]), "r"(d[3]) : "memory"); }
DEV void put(void* p, const u32 (&d)[2]) { asm volatile("st.global.v2.u32 [%0], {%1,%2};" :: "l"(p), "r"(d[0]), "r"(d[1]) : "memory"); }
DEV void put(void* p, const u32 (&d)[1]) { asm volatile("st.global.u32 [%0], %1;" :: "l"(p), "r"(d[0]) : "memory"); }
)CUDA";

// For results of 16 bits: gelu_fast() is x Phi(x) = max(x, 0) - |x| 2^P(|x|), P a fit of log2 Phi(-t); its
// error is 4e-6, that of its tail 5e-4 of it. Beside it relative errors of 2e-4 at most. erf_beside_one() serves 1 + erf(x) alone: it
// is 1 - 2^P(t), t = |x| sqrt 2, P a fit of log2 erfc; close to 0 its error is 2e-4 absolute.
constexpr std::string_view kFastText = R"CUDA(
DEV float exp2_fast(float x) { float r; asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; }
DEV float exp_fast(float x) { return exp2_fast(x * 1.44269504f); }
DEV float reciprocal_fast(float x) { float r; asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; }
DEV float gelu_fast(float x) {
  const float t = fminf(fabsf(x), 30.0f);
  float p = fmaf(t, -0.000317044775f, 0.00586511046f);
  p = fmaf(t, p, -0.0485443098f);
  p = fmaf(t, p, -0.463716665f);
  p = fmaf(t, p, -1.14908037f);
  p = fmaf(t, p, -1.00027163f);
  return fmaf(-t, exp2_fast(p), max_nan(x, 0.0f));
}
DEV float erf_beside_one(float x) {
  const float t = fabsf(x) * 1.41421356f;
  float p = fmaf(t, -0.000317044775f, 0.00586511046f);
  p = fmaf(t, p, -0.0485443098f);
  p = fmaf(t, p, -0.463716665f);
  p = fmaf(t, p, -1.14908037f);
  p = fmaf(t, p, -0.00027163f);
  return copysignf(1.0f - exp2_fast(p), x);
}
)CUDA";

// Finds x (1 + erf(x / sqrt 2)) / 2, however its factors are ordered, and puts erf(x) in its place, which
// then stands for all of it. nullopt when some erf is something else.
class GeluFinder {
 public:
  explicit GeluFinder(const kernel::Expr& expr) : expr_(expr) {}

  std::optional<kernel::Expr> find() {
    kernel::Expr out = expr_;
    size_t erfs = 0;
    std::set<int32_t> found;
    for (size_t i = 0; i < expr_.nodes.size(); ++i) {
      erfs += expr_.nodes[i].op == ScalarOp::kErf;
      if (expr_.nodes[i].op != ScalarOp::kMul) continue;
      Factors f;
      collect(int32_t(i), f);
      if (f.erf < 0 || f.rest.size() != 1 || f.rest[0] != f.x || std::fabs(f.imm - 0.5) > 1e-6) continue;
      out.nodes[i] = {.op = ScalarOp::kErf, .dtype = DataType::kF32, .a = f.x};
      found.insert(f.erf);
    }
    if (found.empty() || found.size() != erfs) return std::nullopt;
    return kernel::simplified(out);
  }

 private:
  using ScalarOp = kernel::ScalarOp;
  struct Factors {
    double imm = 1;
    int32_t erf = -1, x = -1;  // of 1 + erf(x / sqrt 2)
    std::vector<int32_t> rest;
  };
  const kernel::ExprNode& at(int32_t i) const { return expr_.nodes[size_t(i)]; }
  // Past conversions between floats.
  int32_t bare(int32_t i) const {
    while (at(i).op == ScalarOp::kCast && ir::is_float(at(i).dtype) && ir::is_float(at(at(i).a).dtype)) i = at(i).a;
    return i;
  }
  void collect(int32_t i, Factors& f) const {
    i = bare(i);
    if (at(i).op == ScalarOp::kImm) f.imm *= at(i).imm;
    else if (at(i).op == ScalarOp::kMul && f.rest.size() < 4) { collect(at(i).a, f); collect(at(i).b, f); }
    else if (f.erf >= 0 || !read_erf(i, f)) f.rest.push_back(i);
  }
  bool read_erf(int32_t i, Factors& f) const {
    if (at(i).op != ScalarOp::kAdd) return false;
    const int32_t a = bare(at(i).a), b = bare(at(i).b), erf = at(a).op == ScalarOp::kErf ? a : b, one = erf == a ? b : a;
    if (at(erf).op != ScalarOp::kErf || at(one).op != ScalarOp::kImm || at(one).imm != 1) return false;
    const kernel::ExprNode& scaled = at(bare(at(erf).a));
    if (scaled.op != ScalarOp::kMul && scaled.op != ScalarOp::kDiv) return false;
    int32_t x = bare(scaled.a), factor = bare(scaled.b);
    if (scaled.op == ScalarOp::kMul && at(x).op == ScalarOp::kImm) std::swap(x, factor);
    const double root = scaled.op == ScalarOp::kMul ? std::sqrt(0.5) : std::sqrt(2.0);
    if (at(factor).op != ScalarOp::kImm || std::fabs(at(factor).imm / root - 1) > 1e-3) return false;
    f.erf = erf;
    f.x = x;
    return true;
  }

  const kernel::Expr& expr_;
};

int64_t size_of(DataType type) { return ir::bits_of(type) / 8; }
// Types whose vectors travel as 32-bit words.
bool in_words(DataType type) {
  return type == DataType::kF32 || type == DataType::kF16 || type == DataType::kBF16;
}

class Printer {
 public:
  Printer(const Epilogue& epilogue, const EpilogueStyle& style, bool keeps = false, bool stores = true)
      : epilogue_(epilogue), style_(style), keeps_(keeps || epilogue.result_moments), stores_(stores), fast_(has_narrow_results(epilogue)), one_beside_erf_(erf_stands_beside_one(epilogue.expr)),
        gelu_(fast_ ? GeluFinder(epilogue.expr).find() : std::nullopt) {}

  Result<EpilogueText> print() {
    for (size_t i = 0; i < epilogue_.inputs.size(); ++i) add_input(i);
    for (size_t i = 0; i < epilogue_.results.size() && stores_; ++i) add_pointer(cat("y", i), epilogue_.results[i], true);
    for (size_t i = 0; i < epilogue_.moments.size(); ++i) add_moments(i);
    if (epilogue_.result_moments)
      add_pointer("moments", {.index = epilogue_.result_moments->index, .row_steps = {}}, true);
    PLANISH_RETURN_IF_ERROR(add_finish());
    EpilogueText out;
    out.parameters = parameters_;
    out.make = cat("const Epilogue e = {", names_, "};");
    out.functions = cat(
        kAccessText, fast_ ? kFastText : "", "struct Epilogue {\n", members_, "};\nstruct Fixed {\n", fixed_members_,
        "};\nstruct Near {\n", near_members_, "};\n",
        "DEV void load_fixed(const Epilogue& e, Fixed& fixed, int channel, int end, int plus_channel = 0) {\n", fixed_body_,
        "}\nDEV void load_near(const Epilogue& e, Near& near, u64 row, int channel, int end, int plus_row = 0, int plus_channel = 0) {\n",
        near_body_, "}\nDEV void prefetch_near(const Epilogue& e, u64 row, int channel, int plus_row = 0) {\n",
        prefetch_body_, "}\n", rows_text(), "DEV void finish(const Epilogue& e, const float (&sum)[", style_.lanes,
        "], const Fixed& fixed, const Near& near, ", epilogue_.moments.empty() ? "" : "const Rows& rows, ",
        "u64 row, int channel, int end",
        keeps_ ? cat(", float (&kept)[", style_.lanes, "]") : std::string(), ", int plus_row = 0, int plus_channel = 0) {\n",
        finish_body_, "}\n");
    out.has_rows = !epilogue_.moments.empty();
    out.keeps = keeps_;
    out.args = std::move(args_);
    out.near_registers = near_registers_;
    out.fixed_registers = fixed_registers_;
    return out;
  }

 private:
  static bool has_narrow_results(const Epilogue& epilogue) {
    return std::all_of(epilogue.results.begin(), epilogue.results.end(), [](const Access& a) {
      return a.type == DataType::kF16 || a.type == DataType::kBF16;
    });
  }
  // Every erf is an operand of a sum with 1, and of nothing else.
  static bool erf_stands_beside_one(const kernel::Expr& expr) {
    using kernel::ScalarOp;
    const auto is = [&](int32_t i, ScalarOp op) { return i >= 0 && expr.nodes[size_t(i)].op == op; };
    for (int32_t output : expr.outputs)
      if (is(output, ScalarOp::kErf)) return false;
    for (const kernel::ExprNode& n : expr.nodes) {
      if (!is(n.a, ScalarOp::kErf) && !is(n.b, ScalarOp::kErf) && !is(n.c, ScalarOp::kErf)) continue;
      if (n.op == ScalarOp::kArg) continue;
      const int32_t other = is(n.a, ScalarOp::kErf) ? n.b : n.a;
      if (n.op != ScalarOp::kAdd || !is(other, ScalarOp::kImm) || expr.nodes[size_t(other)].imm != 1) return false;
    }
    return true;
  }
  std::string faster(std::string text) const {
    if (!fast_) return text;
    const auto replace = [&](std::string_view what, std::string_view with) {
      for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
        text.replace(at, what.size(), with);
    };
    if (gelu_) replace("(erff(", "(gelu_fast(");
    else if (one_beside_erf_) replace("(erff(", "(erf_beside_one(");
    replace("1.0f / (1.0f + expf(", "reciprocal_fast(1.0f + exp_fast(");
    return text;
  }

  // Neighbouring elements of one load or store.
  int width_of(const Access& a) const {
    if (a.channel_step != 1 || !in_words(a.type)) return 1;
    int64_t width = std::min<int64_t>(style_.lanes, 16 / size_of(a.type));
    int64_t divisor = style_.group_channels;
    for (int64_t step : a.row_steps) divisor = std::gcd(divisor, step);
    while (width > 1 && divisor % width) width /= 2;
    return int(width);
  }

  void add_pointer(const std::string& name, const Access& a, bool result) {
    const std::string type = cat(result ? "" : "const ", memory_type(a.type), "*");
    parameters_ += cat(", ", type, " __restrict__ ", name);
    members_ += cat("  ", type, " ", name, ";\n");
    names_ += cat(names_.empty() ? "" : ", ", name);
    args_.push_back(result ? KernelArg::result(a.index) : KernelArg::operand(a.index));
    if (!a.pitched) return;
    const int64_t size = size_of(a.type);
    parameters_ += cat(", i64 ", name, "_pitch");
    members_ += cat("  u32 ", name, "_pitch;\n");
    names_ += cat(", (u32)(", name, "_pitch / ", size, ")");
    args_.push_back(KernelArg::outer_stride(BufferKind::kResult, a.index, epilogue_.channels * size));
  }

  // Parts are spread over four lanes; equal widths make the mean of means the mean.
  void add_moments(size_t i) {
    const RowMoments& m = epilogue_.moments[i];
    const std::string name = cat("m", i);
    add_pointer(name, {.index = m.index, .row_steps = {}}, false);
    const int per_load = m.parts % 8 == 0 ? 2 : 1;
    const int64_t loads = (m.parts + 4 * per_load - 1) / (4 * per_load);
    const bool whole = m.parts % (4 * per_load) == 0;
    rows_members_ += cat("  float mean", i, ", scale", i, ";\n");
    std::string& t = rows_body_;
    t += cat("  { u32 p[", loads, "][", 2 * per_load, "];\n    float mean = 0, square = 0;\n");
    for (int64_t l = 0; l < loads; ++l) {
      const std::string at = cat(4 * per_load * l, " + ", per_load, " * quarter");
      const std::string guard = whole ? std::string() : cat("if (", at, " < ", m.parts, ") ");
      if (!whole) t += cat("    p[", l, "][0] = p[", l, "][1] = 0;\n");
      t += cat("    ", guard, "get_near(p[", l, "], e.", name, " + ((u64)row * ", m.parts, " + ", at, ") * 2);\n");
    }
    for (int64_t l = 0; l < loads; ++l)
      for (int k = 0; k < per_load; ++k) t += cat("    mean += __uint_as_float(p[", l, "][", 2 * k, "]);\n");
    t += cat("    mean += __shfl_xor_sync(~0u, mean, 1); mean += __shfl_xor_sync(~0u, mean, 2);\n    mean *= ",
             float_literal(float(1.0 / double(m.parts))), ";\n");
    for (int64_t l = 0; l < loads; ++l)
      for (int k = 0; k < per_load; ++k) {
        const std::string guard =
            whole ? std::string() : cat("if (", 4 * per_load * l, " + ", per_load, " * quarter < ", m.parts, ") ");
        t += cat("    ", guard, "{ const float d = __uint_as_float(p[", l, "][", 2 * k, "]) - mean; square += fmaf(d * d, ",
                 float_literal(float(m.width)), ", __uint_as_float(p[", l, "][", 2 * k + 1, "])); }\n");
      }
    t += cat("    square += __shfl_xor_sync(~0u, square, 1); square += __shfl_xor_sync(~0u, square, 2);\n    rows.mean", i,
             " = mean; rows.scale", i, " = rsqrtf(fmaf(square, ", float_literal(float(1.0 / double(m.parts * m.width))),
             ", ", float_literal(float(m.epsilon)), ")); }\n");
  }
  std::string rows_text() const {
    if (epilogue_.moments.empty()) return "";
    return cat("struct alignas(8) Rows {\n", rows_members_, "};\nDEV void load_rows(const Epilogue& e, Rows& rows, u32 row, int quarter) {\n",
               rows_body_, "}\n");
  }

  // Elements from one row to the next, where that is the same for all.
  std::optional<int64_t> row_pitch(const Access& a) const {
    int64_t pitch = 0, span = 1;
    for (size_t d = a.row_steps.size(); d-- > 0;) {
      if (epilogue_.row_dims[d] == 1) continue;
      if (span == 1) pitch = a.row_steps[d];
      else if (a.row_steps[d] != pitch * span) return std::nullopt;
      span *= epilogue_.row_dims[d];
    }
    return pitch;
  }

  // Elements from the base to the row, as text, where no pitch is the same for all.
  std::string row_offset(const Access& a) const {
    // One pitch for the whole row index, or for its last dims alone.
    std::string out;
    std::string rest = "(u32)(row + plus_row)";
    size_t d = a.row_steps.size();
    while (d > 0) {
      const int64_t step = a.row_steps[d - 1];
      int64_t span = epilogue_.row_dims[d - 1];
      size_t first = d - 1;  // dims [first, d) move as one
      while (first > 0 && (epilogue_.row_dims[first - 1] == 1 ||
                           a.row_steps[first - 1] == (step ? step * span : 0))) {
        span *= epilogue_.row_dims[first - 1];
        --first;
      }
      const std::string index = first == 0 ? rest : cat("(", rest, " % ", span, "u)");
      if (step) out += cat(out.empty() ? "" : " + ", "(u64)", index, " * ", step, "u");
      rest = cat("(", rest, " / ", span, "u)");
      d = first;
    }
    return out.empty() ? "0" : out;
  }

  // "e.x0 + ...": where a row begins, and with `along` the channel. What is the same for all calls of a thread stands
  // in front, and what a call adds behind, so that it becomes a part of the instruction that loads or stores.
  std::string place_of(const Access& a, const std::string& name, bool by_row, bool along) const {
    const std::string channel = along ? " + channel" : "", plus = along ? " + plus_channel" : "";
    if (!by_row) return cat("e.", name, channel, plus);
    if (a.pitched)
      return cat("whole(whole(e.", name, " + row * e.", name, "_pitch", channel, ") + (u64)plus_row * e.", name, "_pitch)", plus);
    if (const auto pitch = row_pitch(a))
      return cat("whole(e.", name, " + row * ", *pitch, "u", channel, ") + plus_row * (i64)", *pitch, plus);
    return cat("e.", name, " + ", row_offset(a), channel, plus);
  }

  std::string guard(int lane) const {
    return style_.channel_tail ? cat("if (channel + plus_channel + ", lane, " < end) ") : "";
  }

  void add_input(size_t i) {
    const Access& a = epilogue_.inputs[i];
    if (a.moments >= 0) {
      lane_values_[i].assign(size_t(style_.lanes), cat("rows.", a.is_scale ? "scale" : "mean", a.moments));
      return;
    }
    const std::string name = cat("x", i);
    add_pointer(name, a, false);
    const bool by_row = std::any_of(a.row_steps.begin(), a.row_steps.end(), [](int64_t s) { return s; });
    const bool fixed = a.constant && !by_row;
    const std::string base = place_of(a, name, by_row, false);
    const std::string holder = fixed ? "fixed" : "near";
    std::string& body = fixed ? fixed_body_ : near_body_;
    std::string& members = fixed ? fixed_members_ : near_members_;
    int& registers = fixed ? fixed_registers_ : near_registers_;
    const int lanes = a.channel_step ? style_.lanes : 1;
    const int width = width_of(a);
    const int words = int(width * size_of(a.type) / 4);
    if (in_words(a.type) && words > 0) {
      const int per_word = int(4 / size_of(a.type)), chunks = lanes / width;
      members += cat("  u32 ", name, "[", chunks, "][", words, "];\n");
      registers += lanes / per_word;
      body += cat("  { const ", memory_type(a.type), "* p = ", place_of(a, name, by_row, a.channel_step != 0), ";\n");
      if (by_row && a.channel_step)
        prefetch_body_ += cat("  asm volatile(\"prefetch.global.L2 [%0];\" ::\"l\"(", base, " + channel));\n");
      for (int c = 0; c < chunks; ++c) {
        if (style_.channel_tail)
          for (int w = 0; w < words; ++w) body += cat("    ", holder, ".", name, "[", c, "][", w, "] = 0;\n");
        body += cat("    ", lanes == 1 ? std::string() : guard(c * width), "get_", holder, "(",
                    holder, ".", name, "[", c, "], p + ", c * width, ");\n");
      }
      body += "  }\n";
      for (int l = 0; l < style_.lanes; ++l) {
        const int at = lanes == 1 ? 0 : l, word = at % width / per_word;
        const std::string source = cat(holder, ".", name, "[", at / width, "][", word, "]");
        const std::string_view half = at % per_word ? "high" : "low";
        lane_values_[i].push_back(a.type == DataType::kF32 ? cat("__uint_as_float(", source, ")")
                                  : cat(a.type == DataType::kF16 ? "f16_" : "bf16_", half, "(", source, ")"));
      }
      return;
    }
    members += cat("  ", register_type(a.type), " ", name, "[", lanes, "];\n");
    registers += lanes;
    body += cat("  { const ", memory_type(a.type), "* p = ", base, ";\n");
    for (int l = 0; l < lanes; ++l) {
      const std::string at = cat("p[", a.channel_step ? cat("(u64)(channel + plus_channel + ", l, ") * ", a.channel_step, "u") : "0", "]");
      if (style_.channel_tail && lanes > 1) {
        body += cat("    ", holder, ".", name, "[", l, "] = 0; ", guard(l));
      } else {
        body += "    ";
      }
      body += cat(holder, ".", name, "[", l, "] = ",
                  load_text(a.type, fixed ? at : cat("*(const volatile ", memory_type(a.type), "*)&", at)), ";\n");
    }
    body += "  }\n";
    for (int l = 0; l < style_.lanes; ++l)
      lane_values_[i].push_back(cat(holder, ".", name, "[", lanes == 1 ? 0 : l, "]"));
  }

  Status add_finish() {
    std::vector<std::vector<std::string>> values(epilogue_.results.size());
    for (int l = 0; l < style_.lanes; ++l) {
      std::vector<std::string> args = {cat("sum[", l, "]")};
      for (size_t i = 0; i < epilogue_.inputs.size(); ++i) args.push_back(lane_values_[i][size_t(l)]);
      PLANISH_ASSIGN_OR_RETURN(ExprText text, print_expr(gelu_ ? *gelu_ : epilogue_.expr, args, cat("v", l, "_")));
      finish_body_ += faster(std::move(text.body));
      for (size_t r = 0; r < values.size(); ++r) values[r].push_back(text.outputs[r]);
      if (keeps_) finish_body_ += cat("  kept[", l, "] = ", text.outputs[0], ";\n");
    }
    for (size_t r = 0; r < values.size() && stores_; ++r) add_store(r, values[r]);
    return ok_status();
  }

  void add_store(size_t r, const std::vector<std::string>& values) {
    const Access& a = epilogue_.results[r];
    const int width = width_of(a);
    const int words = int(width * size_of(a.type) / 4);
    finish_body_ += cat("  { ", memory_type(a.type), "* p = ", place_of(a, cat("y", r), true, a.channel_step == 1), ";\n");
    for (int l = 0; l < style_.lanes; l += words > 0 && in_words(a.type) ? width : 1) {
      finish_body_ += cat("    ", guard(l));
      if (!in_words(a.type) || words == 0) {
        const std::string at = a.channel_step == 1 ? cat(l)
                               : cat("(u64)(channel + plus_channel + ", l, ") * ", a.channel_step, "u");
        finish_body_ += cat("p[", at, "] = ", store_text(a.type, values[size_t(l)]), ";\n");
        continue;
      }
      finish_body_ += cat("{ const u32 d[", words, "] = {");
      for (int w = 0; w < words; ++w) {
        const size_t at = size_t(l + w * width / words);
        finish_body_ += w ? ", " : "";
        if (a.type == DataType::kF32) finish_body_ += cat("__float_as_uint(", values[at], ")");
        else finish_body_ += cat(a.type == DataType::kF16 ? "pack_f16x2(" : "pack_bf16x2(", values[at], ", ", values[at + 1], ")");
      }
      finish_body_ += cat("}; put(p + ", l, ", d); }\n");
    }
    finish_body_ += "  }\n";
  }

  const Epilogue& epilogue_;
  const EpilogueStyle& style_;
  const bool keeps_, stores_, fast_, one_beside_erf_;
  const std::optional<kernel::Expr> gelu_;
  std::string parameters_, names_, members_, fixed_members_, near_members_;
  std::string fixed_body_, near_body_, prefetch_body_, finish_body_;
  std::string rows_members_, rows_body_;
  std::vector<KernelArg> args_;
  std::map<size_t, std::vector<std::string>> lane_values_;  // by input, one per lane
  int near_registers_ = 0, fixed_registers_ = 0;
};

}  // namespace

Result<EpilogueText> print_epilogue(const Epilogue& epilogue, const EpilogueStyle& style) {
  return Printer(epilogue, style).print();
}

Result<EpilogueText> print_kept_epilogue(const Epilogue& epilogue, const EpilogueStyle& style, bool stores) {
  return Printer(epilogue, style, true, stores).print();
}

}  // namespace planish::cuda
