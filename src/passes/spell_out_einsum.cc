// spell_out_einsum: an Einsum of two operands that is a batched matrix product becomes transposes around
// a MatMul, which kernels take:
//
//   BTNH,BSNH->BNTS: MatMul(Transpose(a) [B N T H], Transpose(b) [B N H S])
//
// One letter of rows, one of columns, one that is summed over, and any number that both operands and the
// result have. Repeated letters, "...", letters that only one operand has and the result has not, and dims
// of 1 that the other operand stretches stay.
#include <algorithm>

#include "passes/passes.h"
#include "passes/rewrite.h"

namespace planish::passes {
namespace {

struct Letters {
  std::string a, b, out;
};

bool are_distinct(const std::string& letters) {
  for (size_t i = 0; i < letters.size(); ++i)
    if (letters.find(letters[i], i + 1) != std::string::npos) return false;
  return true;
}

std::optional<Letters> letters_of(std::string equation) {
  equation.erase(std::remove(equation.begin(), equation.end(), ' '), equation.end());
  const size_t comma = equation.find(','), arrow = equation.find("->");
  if (comma == std::string::npos || arrow == std::string::npos || comma > arrow) return std::nullopt;
  Letters out{equation.substr(0, comma), equation.substr(comma + 1, arrow - comma - 1),
              equation.substr(arrow + 2)};
  for (const std::string* term : {&out.a, &out.b, &out.out})
    if (term->find_first_of(".,->") != std::string::npos || !are_distinct(*term)) return std::nullopt;
  return out;
}

// What the letters are to the product.
struct Roles {
  std::string batch, row, column, inner;
};

std::optional<Roles> roles_of(const Letters& letters) {
  const auto has = [](const std::string& term, char c) { return term.find(c) != std::string::npos; };
  Roles roles;
  for (const char c : letters.out) {
    const bool in_a = has(letters.a, c), in_b = has(letters.b, c);
    if (!in_a && !in_b) return std::nullopt;
    (in_a && in_b ? roles.batch : in_a ? roles.row : roles.column) += c;
  }
  for (const char c : letters.a)
    if (has(letters.b, c) && !has(letters.out, c)) roles.inner += c;
  if (roles.row.size() != 1 || roles.column.size() != 1 || roles.inner.size() != 1) return std::nullopt;
  // No letter is left over: none is summed within one operand.
  if (letters.a.size() != roles.batch.size() + 2 || letters.b.size() != roles.batch.size() + 2)
    return std::nullopt;
  return roles;
}

bool dims_agree(const Node& node, const Letters& letters) {
  const Shape &a = node.inputs[0]->type.shape, &b = node.inputs[1]->type.shape;
  if (a.size() != letters.a.size() || b.size() != letters.b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    const size_t other = letters.b.find(letters.a[i]);
    if (other != std::string::npos && !(a[i] == b[other])) return false;
  }
  return true;
}

// `value`, whose axes are `from`, with its axes as `to`.
Result<Value*> ordered(Graph& graph, PassContext& context, Node* anchor, Value* value,
                       const std::string& from, const std::string& to) {
  if (from == to) return value;
  std::vector<int64_t> perm;
  for (const char c : to) perm.push_back(int64_t(from.find(c)));
  return add_op(graph, context, "Transpose", {value}, {{"perm", std::move(perm)}}, anchor);
}

}  // namespace

Result<bool> spell_out_einsum(Graph& graph, PassContext& context) {
  bool changed = false;
  for (auto it = graph.nodes().begin(); it != graph.nodes().end();) {
    Node* node = it->get();
    ++it;
    if (node->op != "Einsum" || node->inputs.size() != 2 || !ir::is_float(node->inputs[0]->type.dtype))
      continue;
    const auto letters = letters_of(string_attr(*node, "equation", ""));
    const auto roles = letters ? roles_of(*letters) : std::nullopt;
    if (!roles || !dims_agree(*node, *letters)) continue;
    PLANISH_ASSIGN_OR_RETURN(Value * a, ordered(graph, context, node, node->inputs[0], letters->a,
                                                roles->batch + roles->row + roles->inner));
    PLANISH_ASSIGN_OR_RETURN(Value * b, ordered(graph, context, node, node->inputs[1], letters->b,
                                                roles->batch + roles->inner + roles->column));
    PLANISH_ASSIGN_OR_RETURN(Value * product, add_op(graph, context, "MatMul", {a, b}, {}, node));
    PLANISH_ASSIGN_OR_RETURN(product, ordered(graph, context, node, product,
                                              roles->batch + roles->row + roles->column, letters->out));
    replace(graph, node->outputs[0], product);
    erase_unused(graph, node);
    context.count("spell_out_einsum");
    changed = true;
  }
  return changed;
}

}  // namespace planish::passes
