// Limits that keep hostile or mistaken input from taking the machine's memory or time. A limit is
// checked before anything is allocated, and the message names the one that was hit.
#pragma once
#include <cstdint>

namespace planish {

struct Limits {
  // Bytes of one model file. 2 GiB is what the protobuf format can hold; weights beyond that live
  // in external data files.
  int64_t max_file_bytes = (int64_t(1) << 31) - 1;
  // Bytes read from external data files, over the whole model.
  int64_t max_external_bytes = int64_t(1) << 40;
  // Nodes of a model: in the file, and again after its functions are inlined.
  int64_t max_nodes = 4000000;
  // Graphs inside graphs (If, Loop, Scan).
  int64_t max_nesting = 64;
  // Model-local functions, and calls inside calls of them.
  int64_t max_functions = 10000;
  int64_t max_call_depth = 100;
  // One name (node, value, attribute), and all metadata and documentation text together.
  int64_t max_name_bytes = 1 << 16;
  int64_t max_metadata_bytes = 64 << 20;
  // Elements of one tensor, whether read from a file or computed (Tile, Expand, Range...).
  int64_t max_tensor_elements = int64_t(1) << 33;
  // Dims of one tensor.
  int64_t max_rank = 64;
  // Bytes of one tensor that is made at import or build without standing in the file: a folded
  // constant, a sparse tensor made dense.
  int64_t max_folding_bytes = int64_t(1) << 30;
  // Iterations of one Loop node in the interpreter.
  int64_t max_loop_iterations = 1000000000;
};

inline constexpr Limits kDefaultLimits{};

}  // namespace planish
