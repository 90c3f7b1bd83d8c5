// What tests of passes share: graphs from text (types are inferred, so the text may say f32[] for
// any computed value), comparison with an expected graph up to the names of inner values, and a
// numeric comparison of both graphs through the interpreter on random inputs.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "passes/pass.h"

namespace planish::passes {

const opdef::OpRegistry& test_registry();

// Parsed, inferred, verified; aborts the test program on an error in the text.
std::unique_ptr<ir::Graph> graph_of(std::string_view text);

// Text with inner values renamed in order of appearance, without sources and metadata.
std::string canonical(const ir::Graph& graph);

// Random tensors that fit the graph's inputs; symbols get small values.
std::vector<ir::Tensor> random_inputs(const ir::Graph& graph, uint32_t seed);

// Same outputs, names included, within max(16 |plain - wide|, 64 u max|reference|) of the reference.
void expect_same_values(const ir::Graph& reference, const ir::Graph& graph, uint32_t seed = 1);

// What a run of `pass` over the text gives; verified, types inferred anew, values compared.
struct Rewritten {
  std::unique_ptr<ir::Graph> graph;
  bool changed = false;
  std::map<std::string, int64_t, std::less<>> fired;
};
Rewritten rewritten(PassFunction pass, std::string_view text, PassOptions options = {});

void expect_rewrite(PassFunction pass, std::string_view before, std::string_view after,
                    PassOptions options = {});
void expect_unchanged(PassFunction pass, std::string_view text, PassOptions options = {});

int count_nodes(const ir::Graph& graph, std::string_view op);

}  // namespace planish::passes
