#include "backend/cuda/device/ceiling.h"

#include <cstdlib>

#include "backend/cuda/emit/emitted_kernel_def.h"

namespace planish::cuda {
namespace {

// Operations per clock of one SM: on tensor cores in f16 with sums in f32, on the plain cores in f32.
// NVIDIA's architecture white papers.
struct Row {
  int version;
  double tensor_f16, plain_f32;
};
constexpr Row kRows[] = {{70, 1024, 128}, {75, 1024, 128},  {80, 2048, 128}, {86, 1024, 256},
                         {89, 1024, 256},  {90, 4096, 256}, {100, 8192, 256}, {120, 1024, 256}};

Row row_of(int version) {
  Row row = kRows[0];
  for (const Row& one : kRows)
    if (one.version <= version) row = one;
  return row;
}

}  // namespace

double peak_flops(const kernel::DeviceInfo& device, bool tensor_cores, ir::DataType type) {
  const Row row = row_of(sm_version(device));
  const auto clock = device.properties.find("clock_mhz");
  const double mhz = clock == device.properties.end() ? 0 : std::atof(clock->second.c_str());
  double per_clock = row.plain_f32;
  if (tensor_cores) {
    const int bits = ir::bits_of(type);
    per_clock = bits >= 32 ? row.tensor_f16 / 2 : bits == 8 ? row.tensor_f16 * 2 : row.tensor_f16;
  }
  return per_clock * sm_count(device) * mhz * 1e6;
}

}  // namespace planish::cuda
