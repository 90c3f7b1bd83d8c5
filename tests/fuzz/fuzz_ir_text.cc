// Any text through the IR parser: a graph whose text form reads back to the same text, or a Status.
#include <cstdlib>
#include <iostream>

#include "ir/graph.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace planish;
  const auto graph = ir::parse({reinterpret_cast<const char*>(data), size});
  if (!graph.ok()) {
    if (graph.status().message().empty()) std::abort();
    return 0;
  }
  if (const Status status = ir::verify(**graph); !status.ok()) {
    std::cerr << status.to_string() << "\n";
    std::abort();
  }
  const ir::PrintOptions full{.full_constants = true, .inline_elements = 8};
  const std::string text = ir::print(**graph, full);
  const auto again = ir::parse(text);
  if (!again.ok() || ir::print(**again, full) != text) {
    std::cerr << text << "\n" << again.status().to_string() << "\n";
    std::abort();
  }
  return 0;
}
