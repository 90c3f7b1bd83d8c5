// CUDA text that the tensor-core kernels share: barriers, TMA loads, clusters, matrix descriptors and
// the wgmma instruction. Every function returns source without includes; it needs kPrelude in front.
#pragma once
#include <string>
#include <string_view>

#include "ir/data_type.h"

namespace planish::cuda::wgmma {

// Barriers in shared memory, TMA loads, cluster barriers, matrix descriptors (sm_90).
std::string_view async_text();

// Where a matrix operand of one wgmma instruction lies.
enum class Operand { kSharedKMajor, kSharedMnMajor, kRegisters };

// One m64n<n> instruction over 32 bytes of depth as a device function
// name(float (&sum)[n / 2], <a>, u64 b, bool add): sum (+)= a * b.
std::string instruction_text(std::string_view name, ir::DataType type, int n, Operand a,
                             bool b_mn_major);

}  // namespace planish::cuda::wgmma
