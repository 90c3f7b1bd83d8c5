// Buffers in a device's own memory for timing a candidate: several sets of operands and results to
// rotate through, so that what a network reads from memory is not read from a cache, filled with
// random values. Candidates that want the same bytes share them.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend/api/backend.h"

namespace planish::tuner {

class BufferSets {
 public:
  explicit BufferSets(backend::Device& device) : device_(device) {}
  struct Set {
    std::vector<kernel::BufferRef> operands, results;  // absent operands are null
  };
  // Sets for the problem with its layouts; at least one. Valid until clear().
  Result<const std::vector<Set>*> sets_for(const kernel::Problem& problem);
  void clear();

 private:
  Result<kernel::BufferRef> filled(ir::DataType dtype, int64_t bytes);
  // Random bytes of a type, on the device, made once.
  Result<const backend::Memory*> pattern(ir::DataType dtype);

  backend::Device& device_;
  std::unique_ptr<backend::Stream> stream_;
  std::map<ir::DataType, std::unique_ptr<backend::Memory>> patterns_;
  std::vector<std::unique_ptr<backend::Memory>> memory_;
  std::map<std::string, std::vector<Set>> sets_;
};

// Random but tame contents: floats in [-2, 2), integers zero (indices must stay in range).
void fill_random(std::byte* data, ir::DataType dtype, int64_t bytes, uint64_t seed);

}  // namespace planish::tuner
