// What the tests of operators share: the registry, inference of one op on concrete or symbolic
// inputs, and a small graph to infer whole chains in.
#pragma once
#include <gtest/gtest.h>

#include "opdef/import.h"
#include "opdef/infer.h"
#include "ops/register_ops.h"

namespace planish::ops {

using ir::DataType;
using ir::Dim;
using ir::Shape;
using ir::Tensor;
using ir::TensorType;

inline const opdef::OpRegistry& test_registry() {
  static const auto* registry = [] {
    auto* all = new opdef::OpRegistry;
    register_all_ops(*all);
    return all;
  }();
  return *registry;
}

// Output types on concrete inputs whose elements are known; an empty optional is an absent input.
inline Result<std::vector<TensorType>> infer_known(std::string_view op,
                                                   const std::vector<std::optional<Tensor>>& inputs,
                                                   ir::Attributes attrs = {}, int outputs = 1) {
  const opdef::OpDef* def = test_registry().find(op);
  PLANISH_CHECK(def, "the op is registered");
  opdef::fill_defaults(*def, attrs);
  std::vector<const Tensor*> pointers;
  for (const std::optional<Tensor>& t : inputs) pointers.push_back(t ? &*t : nullptr);
  return opdef::infer_concrete(test_registry(), *def, attrs, pointers, outputs);
}

inline Tensor zeros(DataType dtype, std::vector<int64_t> dims) { return {dtype, std::move(dims)}; }
inline Tensor zeros(std::vector<int64_t> dims) { return {DataType::kF32, std::move(dims)}; }
inline Tensor list(std::vector<int64_t> values) { return Tensor::vector_i64(values); }
inline Tensor scalar(double value, DataType dtype = DataType::kF32) {
  return Tensor::from_f64(dtype, {}, std::vector<double>{value});
}

// A graph under construction.
class GraphBuilder {
 public:
  GraphBuilder() : context_(test_registry(), graph_, "test", 1) {}
  ir::Value* input(std::string name, Shape shape, DataType dtype = DataType::kF32) {
    for (const Dim& d : shape) {
      for (const std::string& s : d.symbols()) graph_.symbols.emplace(s, ir::SymbolInfo());
    }
    return graph_.add_input(std::move(name), {dtype, std::move(shape)});
  }
  ir::Value* ints(std::vector<int64_t> values) { return context_.constant_i64(std::move(values)); }
  ir::Value* scalar_int(int64_t value) { return context_.constant(Tensor::scalar_i64(value)); }
  // The first output; a failed inference fails the test.
  ir::Value* add(std::string_view op, std::vector<ir::Value*> inputs, ir::Attributes attrs = {}) {
    Result<ir::Value*> out = context_.add1(op, std::move(inputs), std::move(attrs));
    EXPECT_TRUE(out.ok()) << out.status().to_string();
    return *out;
  }
  ir::Graph& graph() { return graph_; }
  opdef::ImportContext& context() { return context_; }

 private:
  ir::Graph graph_;
  opdef::ImportContext context_;
};

inline std::string shape_text(const ir::Value* value) { return ir::to_string(value->type.shape); }

}  // namespace planish::ops
