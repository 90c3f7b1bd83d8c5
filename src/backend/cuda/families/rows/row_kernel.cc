#include "backend/cuda/families/rows/row_kernel.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/emit/thread_text.h"
#include "backend/cuda/families/element/element_kernel.h"
#include "backend/cuda/families/element/element_ops.h"
#include "backend/cuda/families/reduction_text.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using kernel::Problem;
using kernel::Stage;

constexpr int kStridedColumns = 32;  // neighbouring rows of a block whose rows are strided
constexpr int kBlock = 256;
constexpr int64_t kHeldElements = 32;  // of a row, per thread, in registers

// team_reduce: every thread of the team gets `combine` over the team's values.
constexpr char kTeamText[] = R"X(
template <int TEAM, class T, class F> DEV T team_reduce(T v, T* shared, F combine) {
  #pragma unroll
  for (int i = (TEAM < 32 ? TEAM : 32) / 2; i > 0; i /= 2)
    v = combine(v, __shfl_xor_sync(0xffffffffu, v, i));
  if (TEAM > 32) {
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = v;
    __syncthreads();
    v = shared[0];
    #pragma unroll
    for (int i = 1; i < TEAM / 32; ++i) v = combine(v, shared[i]);
  }
  return v;
}
template <int TEAM, int COLUMNS, class T, class F> DEV T column_reduce(T v, T* shared, F combine) {
  if (TEAM == 1) return v;
  shared[threadIdx.x] = v;
  __syncthreads();
  v = shared[threadIdx.x % COLUMNS];
  #pragma unroll
  for (int i = 1; i < TEAM; ++i) v = combine(v, shared[threadIdx.x % COLUMNS + i * COLUMNS]);
  return v;
}
)X";

class RowBuilder {
 public:
  RowBuilder(const Problem& problem, const RowView& view, const RowTactic& tactic)
      : problem_(problem),
        view_(view),
        stage_(problem.stages[size_t(view.root)]),
        tactic_(tactic),
        e_(problem, tactic.width),
        in_(problem.type_of(stage_.inputs[0])),
        type_(reduction_text(reduce_op(), in_.dtype).type) {
    if (!view.reduces) type_ = sum_type(in_.dtype);
    const int64_t groups = view_.strided ? view_.length : view_.length / tactic_.width;
    steps_ = (groups + tactic_.team - 1) / tactic_.team;
    held_ = tactic_.held && steps_ * tactic_.width <= kHeldElements;
    exact_ = groups % tactic_.team == 0;
    groups_ = groups;
  }

  Result<EmittedKernel> build() {
    find_place();
    if (view_.reduces)
      print_reduction();
    else if (stage_.op == "Softmax" || stage_.op == "LogSoftmax")
      print_softmax();
    else
      print_normalization();
    PLANISH_RETURN_IF_ERROR(e_.status());
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
    kernel.entry = cat("rows_", stage_.op, '_', ir::name_of(in_.dtype),
                       view_.strided ? "_strided" : "", "_t", tactic_.team, "_v", tactic_.width);
    kernel.block.x = uint32_t(row_block(view_, tactic_));
    kernel.grid.x = uint32_t((row_count() + rows_per_block() - 1) / rows_per_block());
    kernel.programmatic_launch = true;
    kernel.source = cat(kPrelude, kPackText, kTeamText, e_.tables(),
                        "extern \"C\" __global__ void __launch_bounds__(", kernel.block.x, ") ",
                        kernel.entry, '(', join(parameters), ") {\n", shared_,
                        "  grid_wait();\n  grid_launch();\n", e_.body(), "}\n");
    return kernel;
  }

 private:
  std::string_view reduce_op() const {
    if (stage_.op == "GlobalAveragePool") return "ReduceMean";
    if (stage_.op == "GlobalMaxPool") return "ReduceMax";
    return stage_.op;
  }
  // Rows, or vectors of neighbouring rows.
  int64_t row_count() const { return view_.strided ? view_.rows / tactic_.width : view_.rows; }
  int64_t rows_per_block() const {
    if (view_.strided) return kStridedColumns;
    return row_block(view_, tactic_) / tactic_.team;
  }
  int lanes() const { return tactic_.width; }
  // Values per thread that stand for a row: one, or one per neighbouring row.
  int row_lanes() const { return view_.strided ? tactic_.width : 1; }

  void split(const std::string& number, bool reduced, int width, const std::string& prefix) {
    std::string text;
    const std::vector<int64_t> sizes = view_.sizes(reduced);
    const Coords parts = split_number(number, sizes, width, e_.index_type(), prefix, text);
    for (const std::string& l : planish::split(text, '\n'))
      if (!l.empty()) e_.line(l);
    size_t next = 0;
    for (size_t i = 0; i < view_.axes.size(); ++i)
      if (view_.axes[i].reduced == reduced) part_[i] = parts[next++];
  }

  // The operand's coordinates from the axes' parts.
  Coords coords() const {
    Coords out(size_t(in_.rank()));
    for (size_t i = 0; i < view_.axes.size(); ++i) {
      const RowAxis& axis = view_.axes[i];
      const Coord part = shifted(part_[i], 0, axis.step);
      Coord& c = out[size_t(axis.dim)];
      c = {sum_text(c.at, part.at), c.lane_step + part.lane_step,
           std::gcd(c.multiple, part.multiple)};
    }
    return out;
  }

  // Which row this thread works on, and as whom of the row's team.
  void find_place() {
    part_.resize(view_.axes.size());
    const std::string index = e_.index_type();
    if (view_.strided) {
      e_.line(cat("const int member = threadIdx.x / ", kStridedColumns, ';'));
      e_.line(cat("const ", index, " at = (", index, ")blockIdx.x * ", kStridedColumns,
                  " + threadIdx.x % ", kStridedColumns, ';'));
    } else if (tactic_.team == row_block(view_, tactic_)) {
      e_.line("const int member = threadIdx.x;");
      e_.line(cat("const ", index, " at = blockIdx.x;"));
    } else {
      e_.line(cat("const int member = threadIdx.x % ", tactic_.team, ';'));
      e_.line(cat("const ", index, " at = (", index, ")blockIdx.x * ", rows_per_block(),
                  " + threadIdx.x / ", tactic_.team, ';'));
    }
    // Threads without a row go along with the last one, so that all meet at barriers.
    e_.line(cat("const bool live = at < ", row_count(), ';'));
    e_.line(cat("const ", index, " row = live ? at : ", row_count() - 1, ';'));
    split("row", false, view_.strided ? tactic_.width : 1, "row");
    if (!held_) return;
    for (int64_t i = 0; i < steps_; ++i) {
      const std::string j = e_.fresh("j");
      e_.line(cat("const ", index, ' ', j, "w = member + ", i * tactic_.team, ';'));
      e_.line(cat("const ", index, ' ', j, " = ",
                  exact_ ? cat(j, "w") : cat(j, "w < ", groups_, " ? ", j, "w : 0"), ';'));
      split(j, true, view_.strided ? 1 : tactic_.width, j + "c");
      held_coords_.push_back(coords());
      held_tests_.push_back(exact_ ? "" : cat(j, "w < ", groups_));
    }
  }

  // Prints `body` for every element (vector) of the row; `step` numbers the held ones, -1 in a
  // loop.
  using Body = std::function<void(int step, const Coords& at, const Lanes& x)>;
  void each(const Body& body) {
    if (held_) {
      for (size_t i = 0; i < held_coords_.size(); ++i) {
        const Lanes x = e_.value(stage_.inputs[0], held_coords_[i]);
        if (!held_tests_[i].empty()) e_.open(cat("if (", held_tests_[i], ')'));
        body(int(i), held_coords_[i], x);
        if (!held_tests_[i].empty()) e_.close();
      }
      return;
    }
    const std::string j = e_.fresh("j");
    e_.open(cat("for (", e_.index_type(), ' ', j, " = member; ", j, " < ", groups_, "; ", j,
                " += ", tactic_.team, ')'));
    split(j, true, view_.strided ? 1 : tactic_.width, j + "c");
    const Coords at = coords();
    body(-1, at, e_.value(stage_.inputs[0], at));
    e_.close();
  }

  // Reduces over the row: `element` turns an element's name into what is combined. The names of the
  // result, one per row lane; all threads of a team have it.
  using Element = std::function<std::string(int step, int lane, const std::string& x)>;
  using Combine = std::function<std::string(const std::string& a, const std::string& b)>;
  std::vector<std::string> reduce(std::string_view type, const std::string& first,
                                  const Element& element, const Combine& combine) {
    std::vector<std::string> sums;
    for (int lane = 0; lane < row_lanes(); ++lane) sums.push_back(e_.variable(type, first));
    each([&](int step, const Coords&, const Lanes& x) {
      for (int lane = 0; lane < lanes(); ++lane) {
        const std::string& sum = sums[view_.strided ? size_t(lane) : 0];
        e_.line(cat(sum, " = ", combine(sum, element(step, lane, x[lane])), ';'));
      }
    });
    const std::string both =
        cat("[](", type, " a, ", type, " b) { return (", type, ")(", combine("a", "b"), "); }");
    std::vector<std::string> out;
    for (const std::string& sum : sums) {
      std::string shared = "(" + std::string(type) + "*)0";
      if (tactic_.team > (view_.strided ? 1 : 32)) {
        shared = e_.fresh("shared");
        shared_ += cat("  __shared__ ", type, ' ', shared, '[',
                       row_block(view_, tactic_) / (view_.strided ? 1 : 32), "];\n");
      }
      const std::string call = view_.strided
                                   ? cat("column_reduce<", tactic_.team, ", ", kStridedColumns, ">")
                                   : cat("team_reduce<", tactic_.team, ">");
      out.push_back(e_.bind(type, cat(call, '(', sum, ", ", shared, ", ", both, ')')));
    }
    return out;
  }
  std::vector<std::string> sum_of(const Element& element) {
    return reduce(type_, "0", element,
                  [](const std::string& a, const std::string& b) { return cat(a, " + ", b); });
  }
  const std::string& of_row(const std::vector<std::string>& names, int lane) const {
    return names[view_.strided ? size_t(lane) : 0];
  }
  int root_value() const {
    int number = int(problem_.operands.size());
    for (int i = 0; i < view_.root; ++i) number += int(problem_.stages[size_t(i)].outputs.size());
    return number;
  }

  // Writes all results at the coordinates, the root's value being `root`.
  void store(const Coords& at, Lanes root) {
    e_.define(root_value(), std::move(root));
    for (size_t i = 0; i < problem_.results.size(); ++i) {
      const Lanes value = e_.value(problem_.results[i], at);
      e_.store(int(i), offset_of(problem_.result_type(int(i)), at), value);
    }
  }
  // The same for every element; `y` gives a lane's value.
  void store_each(const Element& y) {
    e_.open("if (live)");
    each([&](int step, const Coords& at, const Lanes& x) {
      Lanes out;
      for (int lane = 0; lane < lanes(); ++lane)
        out.names.push_back(e_.bind(type_, y(step, lane, x[lane])));
      e_.open("");
      store(at, std::move(out));
      e_.close();
    });
    e_.close();
  }

  void print_reduction() {
    const ReductionText text = reduction_text(reduce_op(), in_.dtype);
    const auto sums = reduce(
        text.type, text.first, [&](int, int, const std::string& x) { return text.element(x); },
        [&](const std::string& a, const std::string& b) { return text.combine(a, b); });
    e_.open("if (live && member == 0)");
    Lanes out;
    const std::string_view reg = register_type(stage_.outputs[0].dtype);
    for (const std::string& sum : sums)
      out.names.push_back(e_.bind(reg, cat('(', reg, ")(", text.finish(sum, view_.length), ')')));
    Coords at, kept = coords();
    for (size_t d = 0; d < kept.size(); ++d) {
      const bool reduced = std::any_of(view_.axes.begin(), view_.axes.end(), [&](const RowAxis& a) {
        return a.dim == int(d) && a.reduced;
      });
      if (!reduced || view_.keeps_dims) at.push_back(reduced ? Coord{} : kept[d]);
    }
    store(at, std::move(out));
    e_.close();
  }

  void print_softmax() {
    const bool narrow = ir::bits_of(in_.dtype) < 32;
    const std::string exp = narrow ? "__expf(" : "exp(";
    const auto top = reduce(
        type_, lowest_text(in_.dtype), [](int, int, const std::string& x) { return x; },
        [](const std::string& a, const std::string& b) {
          return cat("max_nan(", a, ", ", b, ')');
        });
    // Powers of held elements are kept.
    std::vector<std::vector<std::string>> powers;
    if (held_)
      for (int64_t i = 0; i < steps_; ++i) {
        powers.emplace_back();
        for (int lane = 0; lane < lanes(); ++lane) powers.back().push_back(e_.variable(type_, "0"));
      }
    const auto sum = sum_of([&](int step, int lane, const std::string& x) {
      const std::string power = cat(exp, x, " - ", of_row(top, lane), ')');
      if (step < 0) return power;
      const std::string& name = powers[size_t(step)][size_t(lane)];
      return cat('(', name, " = ", power, ')');
    });
    std::vector<std::string> factors;
    for (const std::string& s : sum)
      factors.push_back(
          e_.bind(type_, stage_.op == "Softmax" ? cat("1 / ", s) : cat("log(", s, ')')));
    store_each([&](int step, int lane, const std::string& x) {
      const std::string& factor = of_row(factors, lane);
      if (stage_.op == "LogSoftmax") return cat(x, " - ", of_row(top, lane), " - ", factor);
      const std::string power = step < 0 ? cat(exp, x, " - ", of_row(top, lane), ')')
                                         : powers[size_t(step)][size_t(lane)];
      return cat(power, " * ", factor);
    });
  }

  std::string number(double v) const {
    return type_ == "double" ? cat("((double)", v, ')') : float_literal(float(v));
  }

  void print_normalization() {
    const bool squares_only = stage_.op == "RMSNormalization" || stage_.op == "LpNormalization";
    const bool absolute = stage_.op == "LpNormalization" && int_attr(stage_, "p", 2) == 1;
    std::vector<std::string> mean, factor;
    if (!squares_only)
      for (const std::string& s : sum_of([](int, int, const std::string& x) { return x; }))
        mean.push_back(e_.bind(type_, cat(s, " / ", view_.length)));
    const auto centered = [&](int lane, const std::string& x) {
      return mean.empty() ? x : cat('(', x, " - ", of_row(mean, lane), ')');
    };
    const auto sums = sum_of([&](int, int lane, const std::string& x) {
      const std::string c = centered(lane, x);
      return absolute ? cat("fabs(", c, ')') : cat(c, " * ", c);
    });
    for (const std::string& s : sums) factor.push_back(e_.bind(type_, factor_text(s, absolute)));
    const bool affine = stage_.inputs.size() > 1 && stage_.op.rfind("MeanVariance", 0) != 0;
    const bool per_channel =
        stage_.op == "InstanceNormalization" || stage_.op == "GroupNormalization";
    e_.open("if (live)");
    each([&](int, const Coords& at, const Lanes& x) {
      Lanes out;
      // Scale and bias of a channel stand at its coordinate, others broadcast from behind.
      const Coords own = per_channel ? Coords{at[1]} : at;
      const Lanes scale = affine ? e_.value(stage_.inputs[1], own) : Lanes{{"1"}};
      const bool shifts = affine && has_input(stage_, 2);
      const Lanes bias = shifts ? e_.value(stage_.inputs[2], own) : Lanes{{"0"}};
      for (int lane = 0; lane < lanes(); ++lane) {
        std::string y = cat(centered(lane, x[lane]), " * ", of_row(factor, lane));
        if (affine) y = cat(y, " * ", scale[lane]);
        if (shifts) y = cat(y, " + ", bias[lane]);
        out.names.push_back(e_.bind(type_, y));
      }
      e_.open("");
      store(at, std::move(out));
      e_.close();
    });
    e_.close();
  }

  // What centred elements are multiplied by, from their sum (of squares).
  std::string factor_text(const std::string& sum, bool absolute) const {
    if (stage_.op == "LpNormalization") {
      const std::string norm = absolute ? sum : cat("sqrt(", sum, ')');
      return cat(sum, " == 0 ? (", type_, ")1 : (", type_, ")1 / ", norm);
    }
    const std::string mean = cat(sum, " / ", view_.length);
    if (stage_.op == "MeanVarianceNormalization")
      return cat("1 / (sqrt(", mean, ") + ", number(1e-9), ')');
    return cat("1 / sqrt(", mean, " + ", number(float_attr(stage_, "epsilon", 1e-5)), ')');
  }

  const Problem& problem_;
  const RowView& view_;
  const Stage& stage_;
  const RowTactic tactic_;
  ElementEmitter e_;
  const ir::TensorType& in_;
  std::string_view type_;
  int64_t steps_ = 1, groups_ = 1;
  bool held_ = false, exact_ = false;
  std::string shared_;
  std::vector<Coord> part_;  // of every axis of the view
  std::vector<Coords> held_coords_;
  std::vector<std::string> held_tests_;
};

}  // namespace

int row_width(const Problem& problem, const RowView& view) {
  int width = widest_vector(problem);
  while (width > 1 && view.inner % width != 0) width /= 2;
  return width;
}

int row_block(const RowView& view, const RowTactic& tactic) {
  if (view.strided) return kStridedColumns * tactic.team;
  return std::max(tactic.team, tactic.team <= 32 ? kBlock : tactic.team);
}

Result<EmittedKernel> emit_rows(const Problem& problem, const RowView& view,
                                const RowTactic& tactic) {
  return RowBuilder(problem, view, tactic).build();
}

}  // namespace planish::cuda
