#include "backend/cuda/families/simt/simt_kernel.h"

#include <algorithm>

#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/emit/thread_text.h"
#include "backend/cuda/families/element/element_ops.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using kernel::Problem;
using kernel::Stage;

constexpr int kPad = 4;  // shared memory rows are this much longer, against bank conflicts

// One side's loads into shared memory: which elements of the tile a thread brings.
struct Loader {
  char name;                               // 'a' or 'b'
  bool depth_inner;                        // neighbouring threads take neighbours along the sum
  int extent = 0;                          // of the tile across the sum
  int count = 0;                           // elements a thread brings
  std::vector<std::string> across, along;  // places in the tile, per element
  std::vector<std::string> guards;         // that the side's number exists, per element
  std::vector<Coords> coords;              // of the side, per element
};

class SimtBuilder {
 public:
  SimtBuilder(const Problem& problem, const ProductView& view, const SimtTile& tile)
      : problem_(problem),
        view_(view),
        tile_(tile),
        stage_(problem.stages[size_t(view.root)]),
        width_(result_width()),
        e_(problem, width_),
        type_(sum_type(stage_.outputs[0].dtype)) {}

  Result<EmittedKernel> build() {
    e_.line("const int tid = threadIdx.x;");
    const std::string index = e_.index_type();
    e_.line(cat("const ", index, " q0 = (", index, ")blockIdx.y * ", tile_.q, ", p0 = (", index,
                ")blockIdx.x * ", tile_.p, ", batch = blockIdx.z;"));
    batch_ = split("batch", view_.batch, "g");
    Loader a = loader('a', view_.depth_inner_a, !view_.columns_inner ? tile_.p : tile_.q);
    Loader b = loader('b', view_.depth_inner_b, view_.columns_inner ? tile_.p : tile_.q);
    print_main(a, b);
    print_results();
    PLANISH_RETURN_IF_ERROR(e_.status());
    return finish();
  }

 private:
  int64_t size_q() const {
    return ProductView::count(view_.columns_inner ? view_.rows : view_.columns);
  }
  int64_t size_p() const {
    return ProductView::count(view_.columns_inner ? view_.columns : view_.rows);
  }
  const std::vector<int64_t>& axes_p() const {
    return view_.columns_inner ? view_.columns : view_.rows;
  }
  const std::vector<int64_t>& axes_q() const {
    return view_.columns_inner ? view_.rows : view_.columns;
  }

  // Neighbours along p that are neighbours in memory, as far as four of them.
  int result_width() const {
    int width = view_.disjoint || ir::bits_of(problem_.result_type(0).dtype) > 32
                    ? 1
                    : std::min(4, tile_.tp);
    while (axes_p().back() % width != 0) width /= 2;
    return width;
  }

  Coords split(const std::string& number, const std::vector<int64_t>& sizes,
               const std::string& prefix, int width = 1) {
    std::string text;
    Coords out = split_number(number, sizes, width, e_.index_type(), prefix, text);
    for (const std::string& l : planish::split(text, '\n'))
      if (!l.empty()) e_.line(l);
    return out;
  }

  // The elements of the tile that this thread brings, with their side's coordinates, which stay the
  // same along the sum.
  Loader loader(char name, bool depth_inner, int extent) {
    Loader l{name, depth_inner, extent, extent * tile_.k / tile_.threads(), {}, {}, {}, {}};
    const int fast = depth_inner ? tile_.k : extent;
    const int step = tile_.threads() / fast;  // of the slow place, from element to element
    const bool is_p = (name == 'b') == view_.columns_inner;
    const std::string fast_place = e_.bind("int", cat("tid % ", fast)),
                      slow = e_.bind("int", cat("tid / ", fast));
    for (int i = 0; i < l.count; ++i) {
      const std::string slow_place = step ? sum_text(slow, cat(i * step)) : cat(i);
      l.across.push_back(depth_inner ? slow_place : fast_place);
      l.along.push_back(depth_inner ? fast_place : slow_place);
      if (i && !depth_inner) {  // the same row or column as before
        l.guards.push_back(l.guards[0]);
        l.coords.push_back(l.coords[0]);
        continue;
      }
      const std::string number = e_.fresh("n");
      e_.line(cat("const ", e_.index_type(), ' ', number, "w = ", is_p ? "p0" : "q0", " + ",
                  l.across.back(), ';'));
      const int64_t size = is_p ? size_p() : size_q();
      const bool exact = size % (is_p ? tile_.p : tile_.q) == 0;
      l.guards.push_back(exact ? "" : cat(number, "w < ", size));
      e_.line(cat("const ", e_.index_type(), ' ', number, " = ",
                  exact ? "" : cat(l.guards.back(), " ? "), number, "w", exact ? "" : " : 0", ';'));
      l.coords.push_back(split(number, is_p ? axes_p() : axes_q(), number + "x"));
    }
    for (int i = 0; i < l.count; ++i) e_.line(cat(type_, ' ', name, i, " = 0;"));
    return l;
  }

  // Brings the tile at `start` into the thread's registers; zeros beyond the sum's end.
  void print_loads(const Loader& l, const std::string& start, bool inside) {
    const int64_t depth = ProductView::count(view_.depth);
    Coords at;
    std::string guard;
    for (int i = 0; i < l.count; ++i) {
      if (i == 0 || !l.depth_inner) {
        const std::string k = e_.fresh("k");
        e_.line(
            cat("const ", e_.index_type(), ' ', k, " = ", start, " + ", l.along[size_t(i)], ';'));
        guard = inside ? "" : cat(k, " < ", depth);
        at = split(k, view_.depth, k + "x");
      }
      std::vector<std::string> tests;
      for (const std::string& test : {guard, l.guards[size_t(i)]})
        if (!test.empty()) tests.push_back(test);
      e_.open("");
      const Coords from = l.name == 'a'
                              ? operand_a(e_, view_, batch_, l.coords[size_t(i)], at, tests)
                              : operand_b(e_, view_, batch_, at, l.coords[size_t(i)]);
      e_.line(cat(l.name, i, " = 0;"));
      e_.open(tests.empty() ? "" : cat("if (", join(tests, " && "), ')'));
      e_.line(cat(l.name, i, " = ", e_.value(stage_.inputs[l.name == 'a' ? 0 : 1], from)[0], ';'));
      e_.close();
      e_.close();
    }
  }

  void print_main(const Loader& a, const Loader& b) {
    const int64_t depth = ProductView::count(view_.depth);
    const bool b_is_p = view_.columns_inner;
    e_.line(cat("__shared__ ", type_, " sq[2][", tile_.k, "][", tile_.q + kPad, "], sp[2][",
                tile_.k, "][", tile_.p + kPad, "];"));
    e_.line(
        cat("const int tp = tid % ", tile_.p / tile_.tp, ", tq = tid / ", tile_.p / tile_.tp, ';'));
    e_.line(cat(type_, " sum[", tile_.tq, "][", tile_.tp, "] = {};"));
    e_.line("int stage = 0;");
    print_loads(a, "0", depth >= tile_.k);
    print_loads(b, "0", depth >= tile_.k);
    e_.open(cat("for (", e_.index_type(), " k0 = 0; k0 < ", depth, "; k0 += ", tile_.k, ')'));
    for (const Loader* l : {&a, &b}) {
      const std::string shared = (l->name == 'b') == b_is_p ? "sp" : "sq";
      for (int i = 0; i < l->count; ++i)
        e_.line(cat(shared, "[stage][", l->along[size_t(i)], "][", l->across[size_t(i)],
                    "] = ", l->name, i, ';'));
    }
    e_.line("__syncthreads();");
    // The next tile is on its way while this one is used.
    if (depth > tile_.k) {
      print_loads(a, cat("k0 + ", tile_.k), false);
      print_loads(b, cat("k0 + ", tile_.k), false);
    }
    e_.line("#pragma unroll");
    e_.open(cat("for (int kk = 0; kk < ", tile_.k, "; ++kk)"));
    e_.line(cat(type_, " fq[", tile_.tq, "], fp[", tile_.tp, "];"));
    e_.line(cat("#pragma unroll\n  for (int i = 0; i < ", tile_.tq, "; ++i) fq[i] = sq[stage][kk][",
                place("tq", "i", tile_.q, tile_.tq), "];"));
    e_.line(cat("#pragma unroll\n  for (int j = 0; j < ", tile_.tp, "; ++j) fp[j] = sp[stage][kk][",
                place("tp", "j", tile_.p, tile_.tp), "];"));
    e_.line(cat("#pragma unroll\n  for (int i = 0; i < ", tile_.tq, "; ++i)"));
    e_.line(cat("#pragma unroll\n  for (int j = 0; j < ", tile_.tp,
                "; ++j) sum[i][j] = fma(fq[i], fp[j], sum[i][j]);"));
    e_.close();
    e_.line("stage ^= 1;");
    e_.close();
  }

  // Where a thread's element stands in the tile: groups of four, a part of the tile apart.
  static std::string place(const std::string& thread, const std::string& i, int extent,
                           int per_thread) {
    const int groups = per_thread / 4;
    if (groups <= 1) return cat(thread, " * ", per_thread, " + ", i);
    return cat(i, " / 4 * ", extent / groups, " + ", thread, " * 4 + ", i, " % 4");
  }

  void print_results() {
    const std::string index = e_.index_type();
    e_.line("#pragma unroll");
    e_.open(cat("for (int i = 0; i < ", tile_.tq, "; ++i)"));
    e_.line(cat("const ", index, " q = q0 + ", place("tq", "i", tile_.q, tile_.tq), ';'));
    e_.open(cat("if (q < ", size_q(), ")"));
    const Coords side_q = split("q", axes_q(), "qx");
    e_.line("#pragma unroll");
    e_.open(cat("for (int j = 0; j < ", tile_.tp, "; j += ", width_, ')'));
    e_.line(cat("const ", index, " p = p0 + ", place("tp", "j", tile_.p, tile_.tp), ';'));
    e_.open(cat("if (p < ", size_p(), ")"));
    if (width_ > 1) e_.line(cat("const ", index, " pv = p / ", width_, ';'));
    const Coords side_p = split(width_ > 1 ? "pv" : "p", axes_p(), "px", width_);
    const Coords at = view_.columns_inner ? result_coords(e_, view_, batch_, side_q, side_p)
                                          : result_coords(e_, view_, batch_, side_p, side_q);
    Lanes root;
    for (int lane = 0; lane < width_; ++lane)
      root.names.push_back(root_text(cat("sum[i][j + ", lane, ']'), lane_of(at, lane)));
    e_.define(root_value(), std::move(root));
    for (size_t r = 0; r < problem_.results.size(); ++r)
      e_.store(int(r), offset_of(problem_.result_type(int(r)), at),
               e_.value(problem_.results[r], at));
    for (int i = 0; i < 4; ++i) e_.close();
  }

  // The root's value from the sum: bias, factors.
  std::string root_text(const std::string& sum, const Coords& at) {
    const bool third = has_input(stage_, 2);
    if (view_.kind == ProductKind::kMatMul || (view_.kind != ProductKind::kGemm && !third))
      return e_.bind(type_, sum);
    if (view_.kind != ProductKind::kGemm)
      return e_.bind(type_, cat(sum, " + ", e_.value(stage_.inputs[2], {at[1]})[0]));
    const double alpha = float_attr(stage_, "alpha", 1), beta = float_attr(stage_, "beta", 1);
    const auto number = [&](double v) {
      return type_ == "double" ? cat("((double)", v, ')') : float_literal(float(v));
    };
    std::string text = alpha == 1 ? sum : cat(number(alpha), " * ", sum);
    if (third) {
      const std::string c = e_.value(stage_.inputs[2], at)[0];
      text = beta == 1 ? cat(text, " + ", c) : cat(text, " + ", number(beta), " * ", c);
    }
    return e_.bind(type_, text);
  }

  int root_value() const {
    int number = int(problem_.operands.size());
    for (int i = 0; i < view_.root; ++i) number += int(problem_.stages[size_t(i)].outputs.size());
    return number;
  }

  EmittedKernel finish() {
    EmittedKernel kernel;
    std::vector<std::string> parameters;
    for (int i : e_.loaded()) {
      parameters.push_back(cat("const ", memory_type(e_.type(i).dtype), "* x", i));
      kernel.args.push_back(KernelArg::operand(i));
    }
    for (int i = 0; i < int(problem_.results.size()); ++i) {
      parameters.push_back(cat(memory_type(problem_.result_type(i).dtype), "* y", i));
      kernel.args.push_back(KernelArg::result(i));
    }
    kernel.entry = cat("simt_", stage_.op, '_', ir::name_of(stage_.outputs[0].dtype), '_', tile_.q,
                       'x', tile_.p, 'x', tile_.k, view_.columns_inner ? "" : "_t");
    kernel.block.x = uint32_t(tile_.threads());
    kernel.grid.x = uint32_t((size_p() + tile_.p - 1) / tile_.p);
    kernel.grid.y = uint32_t((size_q() + tile_.q - 1) / tile_.q);
    kernel.grid.z = uint32_t(ProductView::count(view_.batch));
    kernel.programmatic_launch = true;
    kernel.source =
        cat(kPrelude, kPackText, e_.tables(), "extern \"C\" __global__ void __launch_bounds__(",
            tile_.threads(), ") ", kernel.entry, '(', join(parameters),
            ") {\n  grid_wait();\n  grid_launch();\n", e_.body(), "}\n");
    return kernel;
  }

  const Problem& problem_;
  const ProductView& view_;
  const SimtTile tile_;
  const Stage& stage_;
  int width_;
  ElementEmitter e_;
  std::string_view type_;
  Coords batch_;
};

}  // namespace

Result<EmittedKernel> emit_simt(const Problem& problem, const ProductView& view,
                                const SimtTile& tile) {
  return SimtBuilder(problem, view, tile).build();
}

}  // namespace planish::cuda
