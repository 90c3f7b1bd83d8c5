// What the fake cuBLASLt and the fake cuDNN share: work in the order of the fake driver's streams, numbers
// of the three types in memory, settings from the environment.
#pragma once
#include <cuda.h>
#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>

#include "base/float_types.h"
#include "ir/data_type.h"

namespace planish_fake {

// Runs `work` when the stream (or the graph that is being captured from it) gets there; several times
// when the graph is replayed.
inline void enqueue(void* stream, std::function<void()> work) {
  // The driver's own types: a call through a pointer of another type is undefined.
  using GetProcAddress = CUresult (*)(const char*, void**, int, cuuint64_t, CUdriverProcAddressQueryResult*);
  using LaunchHostFunction = CUresult (*)(CUstream, CUhostFn, void*);
  static const auto launch = [] {
    void* driver = dlopen(std::getenv("PLANISH_CUDA_DRIVER"), RTLD_NOW | RTLD_LOCAL);
    const auto get = reinterpret_cast<GetProcAddress>(dlsym(driver, "cuGetProcAddress_v2"));
    void* found = nullptr;
    get("cuLaunchHostFunc", &found, 12040, 0, nullptr);
    return reinterpret_cast<LaunchHostFunction>(found);
  }();
  // Kept for ever: a graph may call it as long as the process lives.
  static auto& all = *new std::deque<std::function<void()>>();
  static std::mutex& mutex = *new std::mutex();
  const auto keep = [&] {
    std::lock_guard lock(mutex);
    return &all.emplace_back(std::move(work));
  };
  launch(static_cast<CUstream>(stream), [](void* data) { (*static_cast<std::function<void()>*>(data))(); }, keep());
}

inline double load(planish::ir::DataType type, const void* data, int64_t i) {
  using planish::ir::DataType;
  if (type == DataType::kF32) return static_cast<const float*>(data)[i];
  const uint16_t bits = static_cast<const uint16_t*>(data)[i];
  return type == DataType::kF16 ? planish::half_to_float(bits) : planish::bfloat16_to_float(bits);
}
inline void store(planish::ir::DataType type, void* data, int64_t i, double value) {
  using planish::ir::DataType;
  if (type == DataType::kF32) static_cast<float*>(data)[i] = float(value);
  else
    static_cast<uint16_t*>(data)[i] =
        type == DataType::kF16 ? planish::double_to_half(value) : planish::double_to_bfloat16(value);
}

// "version=130200" in $VARIABLE, asked anew at each call.
inline long version_setting(const char* variable, long fallback) {
  const char* text = std::getenv(variable);
  return text && std::strncmp(text, "version=", 8) == 0 ? std::atol(text + 8) : fallback;
}

inline bool is_aligned(const void* address, uintptr_t to) { return reinterpret_cast<uintptr_t>(address) % to == 0; }

inline constexpr size_t kWorkspace = 4096;

}  // namespace planish_fake
