// Any bytes through the plan reader, as they are and with their hashes made right: a plan that
// keeps the rules, can be bound and written again, or a typed Status.
#include <cstdlib>
#include <iostream>

#include "plan/plan_file.h"
#include "plan/reseal_testing.h"

namespace {

using namespace planish;

[[noreturn]] void fault(const Status& status) {
  std::cerr << status.to_string() << "\n";
  std::abort();
}

void read(std::span<const std::byte> bytes) {
  const auto loaded = plan::read_plan(bytes, nullptr, {.max_metadata_bytes = 1 << 24});
  if (!loaded.ok()) {
    const Code code = loaded.status().code();
    if ((code != Code::kDataLoss && code != Code::kIncompatible &&
         code != Code::kResourceExhausted) ||
        loaded.status().message().empty())
      fault(loaded.status());
    return;
  }
  if (const Status s = verify(loaded->program); !s.ok()) fault(s);
  for (int64_t size : {1, 7, 1 << 20}) {
    const ir::Dim::Lookup all = [size](std::string_view) { return size; };
    if (!verify_bound(loaded->program, all).ok()) continue;
    for (const plan::Step& step : loaded->program.steps)
      if (const auto bound = kernel::concrete(step.problem, all); bound.ok())
        (void)plan::verify(*bound).ok();
  }
  const auto again = plan::serialize(*loaded);
  if (!again.ok()) fault(again.status());
  const auto back = plan::read_plan(*again, nullptr);
  if (!back.ok()) fault(back.status());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  read(bytes);
  std::vector<std::byte> sealed(bytes.begin(), bytes.end());
  plan::reseal(sealed);
  read(sealed);
  return 0;
}
