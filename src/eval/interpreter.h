// The reference interpreter: runs a graph op by op with the ops' plain reference code. It is the
// oracle that every kernel, pass and engine is compared with.
//
// Plain: every value is rounded to its declared type, arithmetic inside an op is in double. Wide: all
// floating values are held in double throughout (integers and bool unchanged). With rounded sums:
// plain, and each sum of products carries an error of the size that adding it up in f32 makes. So
// |rounded - wide| is the rounding error that the model causes in f32 arithmetic, wherever in it a sum
// cancels.
// Thread-safe: graphs are only read.
#pragma once
#include <atomic>
#include <functional>
#include <span>
#include <vector>

#include "base/limits.h"
#include "base/status.h"
#include "ir/graph.h"
#include "opdef/op_def.h"

namespace planish::eval {

struct Options {
  bool wide = false;
  bool rounded_sums = false;  // not together with wide
  // Called with every computed value of the outermost graph.
  std::function<void(const ir::Value&, const ir::Tensor&)> observer;
  const std::atomic<bool>* cancel = nullptr;  // checked between nodes
  // Runs the bodies of the one op that evaluate_op() is asked for; null: they are interpreted.
  std::function<Result<std::vector<ir::Tensor>>(const ir::Graph&, std::span<const ir::Tensor>)>
      run_body;
};

// `inputs` in the graph's input order; dtypes and ranks must match, dims must satisfy the declared
// dims (a symbol has one value everywhere). Returns the outputs in order.
Result<std::vector<ir::Tensor>> interpret(const opdef::OpRegistry& registry, const ir::Graph& graph,
                                          std::span<const ir::Tensor> inputs,
                                          const Options& options = {});

// One op. Null pointers stand for absent optional inputs.
Result<std::vector<ir::Tensor>> evaluate_op(const opdef::OpRegistry& registry,
                                            const opdef::OpDef& op, const ir::Attributes& attrs,
                                            std::span<const ir::Tensor* const> inputs,
                                            int output_count, const Options& options = {});

// An expression over broadcast arguments; results have the shape `dims`.
std::vector<ir::Tensor> evaluate_expr(const kernel::Expr& expr,
                                      std::span<const ir::Tensor* const> args,
                                      const std::vector<int64_t>& dims, bool wide);

}  // namespace planish::eval
