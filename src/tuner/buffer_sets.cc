#include "tuner/buffer_sets.h"

#include <algorithm>

#include "base/text.h"

namespace planish::tuner {
namespace {

constexpr int64_t kPatternBytes = 4 << 20;
constexpr int64_t kMostSets = 16;
constexpr int64_t kMostBytes = int64_t(4) << 30;  // of one candidate's sets

int64_t bytes_of(const ir::TensorType& type) {
  return ir::bytes_of(type.dtype,
                      ir::physical_element_count(ir::to_dims(type.shape), type.layout));
}

}  // namespace

void fill_random(std::byte* data, ir::DataType dtype, int64_t bytes, uint64_t seed) {
  uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
  const auto next = [&] {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
  };
  if (dtype == ir::DataType::kF32) {
    auto* p = reinterpret_cast<float*>(data);
    for (int64_t i = 0; i < bytes / 4; ++i)
      p[i] = float(int32_t(uint32_t(next()))) * (1.0f / 2147483648.0f);
  } else if (dtype == ir::DataType::kF64) {
    auto* p = reinterpret_cast<double*>(data);
    for (int64_t i = 0; i < bytes / 8; ++i) p[i] = double(int64_t(next())) * 0x1p-63;
  } else if (dtype == ir::DataType::kF16 || dtype == ir::DataType::kBF16) {
    auto* p = reinterpret_cast<uint16_t*>(data);
    for (int64_t i = 0; i < bytes / 2; ++i) p[i] = uint16_t(next() & 0xBBFF);
  } else {
    std::fill(data, data + bytes, std::byte(0));
  }
}

Result<const backend::Memory*> BufferSets::pattern(ir::DataType dtype) {
  auto& known = patterns_[dtype];
  if (known) return known.get();
  std::vector<std::byte> bytes(kPatternBytes);
  fill_random(bytes.data(), dtype, kPatternBytes, 1);
  PLANISH_ASSIGN_OR_RETURN(known, device_.allocate(kPatternBytes, device_.home()));
  PLANISH_RETURN_IF_ERROR(device_.copy(*stream_, known->data(), device_.home(), bytes.data(),
                                       ir::MemorySpace::kHost, kPatternBytes));
  PLANISH_RETURN_IF_ERROR(stream_->synchronize());
  return known.get();
}

Result<kernel::BufferRef> BufferSets::filled(ir::DataType dtype, int64_t bytes) {
  PLANISH_ASSIGN_OR_RETURN(auto memory, device_.allocate(bytes + 64, device_.home()));
  PLANISH_ASSIGN_OR_RETURN(const backend::Memory* source, pattern(dtype));
  for (int64_t at = 0; at < bytes; at += kPatternBytes)
    PLANISH_RETURN_IF_ERROR(device_.copy(*stream_, memory->data() + at, device_.home(),
                                         source->data(), device_.home(),
                                         std::min(kPatternBytes, bytes - at)));
  kernel::BufferRef ref{memory->data(), 0};
  memory_.push_back(std::move(memory));
  return ref;
}

Result<const std::vector<BufferSets::Set>*> BufferSets::sets_for(const kernel::Problem& problem) {
  if (!stream_) {
    PLANISH_ASSIGN_OR_RETURN(stream_, device_.create_stream());
  }
  std::string key;
  int64_t footprint = 0;
  const auto add = [&](const ir::TensorType& type) {
    key += cat(ir::name_of(type.dtype), " ", bytes_of(type), ";");
    footprint += bytes_of(type);
  };
  for (const kernel::Operand& operand : problem.operands) {
    if (operand.present) add(operand.type);
    else key += "absent;";
  }
  key += "->";
  for (size_t i = 0; i < problem.results.size(); ++i) add(problem.result_type(int(i)));
  std::vector<Set>& sets = sets_[key];
  if (!sets.empty()) return &sets;
  const int64_t wanted = 2 * device_.info().l2_bytes / std::max<int64_t>(footprint, 1) + 1;
  const int64_t room = std::max<int64_t>(1, kMostBytes / std::max<int64_t>(footprint, 1));
  for (int64_t i = 0; i < std::min({wanted, room, kMostSets}); ++i) {
    Set set;
    for (const kernel::Operand& operand : problem.operands) {
      kernel::BufferRef ref;
      if (operand.present) {
        PLANISH_ASSIGN_OR_RETURN(ref, filled(operand.type.dtype, bytes_of(operand.type)));
      }
      set.operands.push_back(ref);
    }
    for (size_t r = 0; r < problem.results.size(); ++r) {
      const ir::TensorType& type = problem.result_type(int(r));
      PLANISH_ASSIGN_OR_RETURN(kernel::BufferRef ref, filled(type.dtype, bytes_of(type)));
      set.results.push_back(ref);
    }
    sets.push_back(std::move(set));
  }
  PLANISH_RETURN_IF_ERROR(stream_->synchronize());
  return &sets;
}

void BufferSets::clear() {
  sets_.clear();
  memory_.clear();
}

}  // namespace planish::tuner
