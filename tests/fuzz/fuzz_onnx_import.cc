// Any bytes through the ONNX importer: a graph that verifies and prints, or a Status.
#include <cstdlib>

#include "frontend/onnx/onnx_import.h"
#include "ops/register_ops.h"
#include "wire_mutator.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

using namespace planish;

const opdef::OpRegistry& registry() {
  static const opdef::OpRegistry* const all = [] {
    auto* made = new opdef::OpRegistry;
    ops::register_all_ops(*made);
    return made;
  }();
  return *all;
}

frontend::ImportOptions options() {
  frontend::ImportOptions made;
  made.name = "fuzz.onnx";
  made.limits.max_nodes = 2000;
  made.limits.max_tensor_elements = 1 << 20;
  made.limits.max_folding_bytes = 1 << 22;
  made.base_folder = "/nonexistent";
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const frontend::ImportOptions given = options();
  const auto graph =
      frontend::import_onnx(std::as_bytes(std::span(data, size)), given, registry());
  if (!graph.ok()) {
    // Our own faults must not travel as the file's.
    if (graph.status().code() == Code::kInternal || graph.status().message().empty()) std::abort();
    return 0;
  }
  (void)ir::print(**graph);
  return 0;
}

#ifdef PLANISH_LIBFUZZER
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  if (seed % 4 != 0)
    if (const size_t made = fuzz::mutate_message(data, size, max_size, seed / 4)) return made;
  return LLVMFuzzerMutate(data, size, max_size);
}
#endif
