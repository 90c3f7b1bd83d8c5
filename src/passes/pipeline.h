// The order of the passes; see pipeline.cc, which is the table of contents of this folder.
#pragma once
#include <span>
#include <string_view>

#include "passes/driver.h"

namespace planish::passes {

// All stages in order, fusion last.
std::span<const Stage> pipeline();
// Every pass of the pipeline once, for tools; by name, those beside it too, null when there is none.
const Pass* find_pass(std::string_view name);
std::span<const Pass> all_passes();

// The whole pipeline over a graph whose types are inferred.
Status optimize(ir::Graph& graph, PassContext& context);
// The same in two: everything before fusion, after which the compiler may make variants of the graph
// (defer_layer_norm, which no stage holds), and fusion.
Status prepare(ir::Graph& graph, PassContext& context);
Status fuse(ir::Graph& graph, PassContext& context);

}  // namespace planish::passes
