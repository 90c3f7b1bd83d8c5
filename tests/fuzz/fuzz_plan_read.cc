// Any bytes through the plan reader: a plan that can be written again, or a Status. Three of four
// mutations get their hashes recomputed, so that the structure checks are reached and not only the
// hashes that guard them.
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <vector>

#include "plan/plan_file.h"
#include "plan/reseal_testing.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace planish;
  // The reader may rely on the alignment that a mapped file has.
  std::vector<std::byte> bytes(size);
  if (size > 0) std::memcpy(bytes.data(), data, size);
  plan::ReadOptions options;
  options.max_metadata_bytes = 1 << 20;
  const auto read = plan::read_plan(bytes, nullptr, options);
  if (!read.ok()) {
    if (read.status().code() == Code::kInternal || read.status().message().empty()) std::abort();
    return 0;
  }
  const auto again = plan::serialize(*read);
  if (!again.ok()) {
    std::cerr << again.status().to_string() << "\n";
    std::abort();
  }
  return 0;
}

#ifdef PLANISH_LIBFUZZER
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  const size_t made = LLVMFuzzerMutate(data, size, max_size);
  if (seed % 4 == 0) return made;
  std::vector<std::byte> bytes(made);
  std::memcpy(bytes.data(), data, made);
  planish::plan::reseal(bytes);
  if (bytes.size() != made) return made;
  std::memcpy(data, bytes.data(), made);
  return made;
}
#endif
