// Problem: what a kernel is asked to compute, as plain data (goes into the plan unchanged).
//
// A Problem is a region: a small DAG of stages over operands. A stage is either a root, named by
// its op with the op's attributes (Conv, MatMul, Softmax, ...), or an expression ("Expr") over
// earlier stages and operands: the epilogue. Conv + bias + residual + ReLU is two stages; a
// pointwise region is one Expr stage; attention is MatMul, Expr, Softmax, MatMul. Every op that no
// kernel knows is a Problem of one stage, which the reference kernel takes.
//
// Values are numbered: operands first, then every stage's outputs in order. Types carry layouts;
// dims may be symbolic, and concrete(problem, binding) gives the problem of one instance.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "kernel/expr.h"

namespace planish::kernel {

struct Operand {
  ir::TensorType type;
  bool constant = false;
  bool present = true;  // false: an absent optional input of the root (type means nothing)
  // Elements of a small integer constant that decides the computation (axes, pads, shape), and of
  // any other constant of at most 16 elements.
  std::optional<ir::Tensor> value;
};

struct Stage {
  std::string op;  // kExprStage for an expression
  ir::Attributes attrs;
  std::vector<int> inputs;  // value numbers; -1: absent optional
  std::vector<ir::TensorType> outputs;
  std::optional<Expr> expr;

  bool is_expr() const { return expr.has_value(); }
};
inline constexpr std::string_view kExprStage = "Expr";

struct Problem {
  std::vector<Operand> operands;
  std::vector<Stage> stages;
  std::vector<int> results;  // value numbers that leave the region

  int value_count() const;
  // Stage and output index that a value number >= operands.size() stands for.
  std::pair<int, int> stage_of(int value) const;
  const ir::TensorType& type_of(int value) const;
  const ir::TensorType& result_type(int i) const { return type_of(results[size_t(i)]); }
  // The op of the first stage that is no expression; kExprStage when there is none.
  std::string_view root_op() const;
  bool is_pointwise() const { return root_op() == kExprStage; }
};

// The first root's view when the problem is one root followed by at most one Expr stage that reads
// it and whose outputs are the results: the shape most kernels take.
struct RootAndEpilogue {
  const Stage* root = nullptr;
  const Expr* epilogue = nullptr;         // argument numbers index `epilogue_inputs`
  const Stage* epilogue_stage = nullptr;
  std::vector<int> epilogue_inputs;       // value numbers; the root's output is root_output
  int root_output = -1;
};
std::optional<RootAndEpilogue> root_and_epilogue(const Problem& problem);

// A stage attribute that holds dim expressions as strings; concrete() puts their values beside it.
// The stage "Content" makes an integer tensor of them: shape arithmetic that folded to symbols.
inline constexpr std::string_view kDimExprs = "dim_exprs";
inline constexpr std::string_view kDimValues = "dim_values";
inline constexpr std::string_view kContentStage = "Content";

// Every symbolic dim replaced by its value under `binding`; kInvalidArgument names an unbound symbol.
Result<Problem> concrete(const Problem& problem, const ir::Dim::Lookup& binding);

// Stable content key (types, layouts, attributes, expression, small constants): timing cache,
// deduplication. `with_dims` false leaves dims out.
std::string fingerprint(const Problem& problem, bool with_dims = true);
// One line for reports: "Conv 3x3 64->64 [1,64,56,56] + relu".
std::string describe(const Problem& problem);

}  // namespace planish::kernel
