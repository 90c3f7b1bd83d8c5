// Any bytes as a plan file, through the engine: read, verified, written again, loaded, bound and run,
// or a typed Status. Three of four mutations get their hashes made right, so that what stands behind
// the hashes is reached.
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "plan/plan_file.h"
#include "plan/reseal_testing.h"
#include "plan_road.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

using namespace planish;

// Small enough for the reference kernels under the sanitizers.
constexpr plan::RunLimits kLimits{.most_elements = 1 << 10, .max_memory = 1 << 20};

[[noreturn]] void fault(const char* where, const Status& status) {
  std::cerr << where << ": " << status.to_string() << "\n";
  std::abort();
}

void expect_typed(const char* where, const Status& status) {
  if (!status.ok() && (status.code() == Code::kInternal || status.message().empty()))
    fault(where, status);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // The reader may rely on the alignment that a mapped file has.
  std::vector<std::byte> bytes(size);
  if (size > 0) std::memcpy(bytes.data(), data, size);
  const auto loaded = plan::read_plan(bytes, nullptr, {.max_metadata_bytes = 1 << 20});
  if (!loaded.ok()) {
    expect_typed("read", loaded.status());
    return 0;
  }
  if (const Status s = verify(loaded->program); !s.ok()) fault("verify", s);
  const auto again = plan::serialize(*loaded);
  if (!again.ok()) fault("write", again.status());
  if (const auto back = plan::read_plan(*again, nullptr); !back.ok())
    fault("read again", back.status());
  expect_typed("run", plan::load_and_run(bytes, {}, kLimits));
  return 0;
}

#ifdef PLANISH_LIBFUZZER
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  const size_t made = LLVMFuzzerMutate(data, size, max_size);
  if (seed % 4 == 0) return made;
  std::vector<std::byte> bytes(made);
  std::memcpy(bytes.data(), data, made);
  plan::reseal(bytes);
  if (bytes.size() != made) return made;
  std::memcpy(data, bytes.data(), made);
  return made;
}
#endif
