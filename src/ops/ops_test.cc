// Every case of every operator: the reference gives what is known, and the shapes inferred from
// symbols agree with the computed ones.
#include <gtest/gtest.h>

#include <set>

#include "base/text.h"
#include "eval/interpreter.h"
#include "opdef/infer.h"
#include "ops/all_cases.h"
#include "ops/case_inputs.h"
#include "ops/register_ops.h"

namespace planish::ops {
namespace {

using opdef::OpCase;

const opdef::OpRegistry& registry() {
  static const opdef::OpRegistry* const kRegistry = [] {
    auto* all = new opdef::OpRegistry;
    register_all_ops(*all);
    return all;
  }();
  return *kRegistry;
}

const opdef::CaseList& cases() {
  static const opdef::CaseList kCases = all_cases();
  return kCases;
}

std::string title(const OpCase& c) { return c.op + "." + c.name; }

ir::Attributes attrs_of(const OpCase& c) {
  ir::Attributes attrs;
  for (const auto& [key, value] : c.attrs) attrs[key] = ir::clone(value);
  opdef::fill_defaults(*registry().find(c.op), attrs);
  return attrs;
}

std::vector<ir::Tensor> inputs_of(const OpCase& c) {
  std::vector<ir::Tensor> out;
  for (size_t i = 0; i < c.inputs.size(); ++i) out.push_back(make_input(c.inputs[i], i + 1));
  return out;
}

Result<std::vector<ir::Tensor>> evaluate(const OpCase& c) {
  std::vector<ir::Tensor> inputs = inputs_of(c);
  std::vector<const ir::Tensor*> pointers;
  for (size_t i = 0; i < inputs.size(); ++i)
    pointers.push_back(c.inputs[i].absent ? nullptr : &inputs[i]);
  return eval::evaluate_op(registry(), *registry().find(c.op), attrs_of(c), pointers,
                           c.output_count);
}

TEST(OpCases, ReferenceGivesWhatIsKnown) {
  for (const OpCase& c : cases()) {
    if (c.expected.empty()) continue;
    auto outputs = evaluate(c);
    ASSERT_TRUE(outputs.ok()) << title(c) << ": " << outputs.status().to_string();
    for (size_t o = 0; o < c.expected.size(); ++o) {
      std::vector<double> got = (*outputs)[o].f64_values();
      ASSERT_EQ(got.size(), c.expected[o].size()) << title(c);
      double unit = std::max(ir::unit_roundoff((*outputs)[o].dtype()), 1e-15);
      for (size_t i = 0; i < got.size(); ++i) {
        double want = c.expected[o][i];
        bool same = got[i] == want || (got[i] != got[i] && want != want) ||
                    std::abs(got[i] - want) <= 4 * unit * std::max(1.0, std::abs(want));
        EXPECT_TRUE(same) << title(c) << " output " << o << "[" << i << "]: got " << got[i]
                          << ", expected " << want;
      }
    }
  }
}

// A graph of the case's one node, with symbols for dims where `symbol` names one.
template <class SymbolOf>
ir::Node* add_case(ir::Graph& graph, const OpCase& c, SymbolOf symbol) {
  std::vector<ir::Tensor> tensors = inputs_of(c);
  std::vector<ir::Value*> inputs;
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    if (c.inputs[i].absent) {
      inputs.push_back(nullptr);
      continue;
    }
    if (c.inputs[i].constant) {
      inputs.push_back(graph.add_constant(cat("c", i), tensors[i]));
      continue;
    }
    ir::TensorType type = tensors[i].type();
    for (size_t d = 0; d < type.shape.size(); ++d) {
      std::string name = symbol(i, d, type.shape[d].value());
      if (!name.empty()) type.shape[d] = ir::Dim::symbol(name);
    }
    inputs.push_back(graph.add_input(cat("x", i), type));
  }
  return graph.add_node(c.op, inputs, attrs_of(c),
                        std::vector<ir::TensorType>(size_t(c.output_count)));
}

void expect_dims(const OpCase& c, const ir::Graph& graph, const ir::Node& node,
                 const std::vector<ir::Tensor>& outputs,
                 const std::map<std::string, int64_t, std::less<>>& binding) {
  auto lookup = [&](std::string_view name) -> std::optional<int64_t> {
    auto it = binding.find(name);
    return it == binding.end() ? std::nullopt : std::optional(it->second);
  };
  for (size_t o = 0; o < outputs.size(); ++o) {
    const ir::TensorType& type = node.outputs[o]->type;
    ASSERT_EQ(type.dtype, outputs[o].dtype()) << title(c);
    ASSERT_EQ(type.rank(), outputs[o].rank()) << title(c);
    for (int d = 0; d < type.rank(); ++d) {
      const ir::Dim& dim = type.shape[size_t(d)];
      bool from_data = false;
      for (const std::string& s : dim.symbols()) {
        auto it = graph.symbols.find(s);
        from_data |= it != graph.symbols.end() && it->second.from_data;
      }
      if (from_data) continue;
      EXPECT_EQ(dim.evaluate(lookup), outputs[o].dim(d))
          << title(c) << " output " << o << " dim " << d << " = " << dim.to_string();
    }
  }
}

// Dims of the first input are symbols of their own: every size follows from them.
TEST(OpCases, ShapesOfASymbolicFirstInputAgree) {
  for (const OpCase& c : cases()) {
    if (c.inputs.empty() || c.inputs[0].constant || c.inputs[0].absent) continue;
    auto outputs = evaluate(c);
    ASSERT_TRUE(outputs.ok()) << title(c) << ": " << outputs.status().to_string();
    ir::Graph graph;
    std::map<std::string, int64_t, std::less<>> binding;
    ir::Node* node = add_case(graph, c, [&](size_t i, size_t d, int64_t value) {
      // 0 and 1 are no values of a symbol that broadcasts.
      if (i != 0 || value < 2) return std::string();
      std::string name = cat("d", d);
      binding[name] = value;
      return name;
    });
    Status inferred = opdef::infer_node(registry(), *node);
    if (inferred.code() == Code::kUnsupported) continue;
    ASSERT_TRUE(inferred.ok()) << title(c) << ": " << inferred.to_string();
    expect_dims(c, graph, *node, *outputs, binding);
  }
}

// Without values of inputs, dims are exact or decided by data.
TEST(OpCases, ShapesOfAConcreteGraphAgree) {
  for (const OpCase& c : cases()) {
    auto outputs = evaluate(c);
    ASSERT_TRUE(outputs.ok()) << title(c) << ": " << outputs.status().to_string();
    ir::Graph graph;
    ir::Node* node = add_case(graph, c, [](size_t, size_t, int64_t) { return std::string(); });
    Status inferred = opdef::infer_node(registry(), *node);
    ASSERT_TRUE(inferred.ok()) << title(c) << ": " << inferred.to_string();
    expect_dims(c, graph, *node, *outputs, {});
  }
}

}  // namespace
}  // namespace planish::ops
