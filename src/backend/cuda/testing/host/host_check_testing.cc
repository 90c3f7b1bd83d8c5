#include "backend/cuda/testing/host/host_check_testing.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "backend/cuda/emit/prelude.h"
#include "base/hash.h"
#include "base/text.h"
#include "kernel/set_layouts.h"

namespace planish::cuda {
namespace {

// Position in memory of every element in row-major order.
std::vector<int64_t> positions(const std::vector<int64_t>& dims, const ir::Layout& layout) {
  std::vector<int64_t> out, index(dims.size(), 0);
  const int64_t count = ir::element_count(dims);
  for (int64_t i = 0; i < count; ++i) {
    int64_t at = 0;
    for (size_t k = 0; k < dims.size(); ++k) {
      const size_t d = layout.perm.empty() ? k : size_t(layout.perm[k]);
      at = at * dims[d] + index[d];
    }
    out.push_back(at);
    for (size_t d = dims.size(); d-- > 0 && ++index[d] == dims[d];) index[d] = 0;
  }
  return out;
}

// Bytes between two guards, 256-byte aligned as the device's allocations are.
class Buffer {
 public:
  explicit Buffer(int64_t bytes) : bytes_(bytes), data_(size_t(bytes) + 3 * kGuard, std::byte{0xff}) {}
  std::byte* data() {
    return reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(data_.data()) + 2 * kGuard - 1) / kGuard * kGuard);
  }
  int64_t bytes() const { return bytes_; }
  bool guards_hold() {
    const std::byte* begin = data();
    for (const std::byte& b : data_)
      if ((&b < begin || &b >= begin + bytes_) && b != std::byte{0xff}) return false;
    return true;
  }

 private:
  static constexpr uintptr_t kGuard = 256;
  int64_t bytes_;
  std::vector<std::byte> data_;
};

Buffer to_layout(const ir::Tensor& t, const ir::Layout& layout) {
  Buffer out(t.bytes());
  const int64_t size = ir::bits_of(t.dtype()) / 8;
  const auto at = positions(t.dims(), layout);
  for (size_t i = 0; i < at.size() && size; ++i)
    std::memcpy(out.data() + at[i] * size, t.data_as<std::byte>() + int64_t(i) * size, size_t(size));
  return out;
}

ir::Tensor from_layout(Buffer& from, const ir::TensorType& type) {
  ir::Tensor out(type.dtype, ir::to_dims(type.shape));
  const int64_t size = ir::bits_of(type.dtype) / 8;
  const auto at = positions(out.dims(), type.layout);
  for (size_t i = 0; i < at.size(); ++i)
    std::memcpy(out.mutable_data_as<std::byte>() + int64_t(i) * size, from.data() + at[i] * size, size_t(size));
  return out;
}

std::string difference(const ir::Tensor& got, const ir::Tensor& expected) {
  double largest = 0;
  for (int64_t i = 0; i < expected.count(); ++i)
    if (std::isfinite(expected.f64(i))) largest = std::max(largest, std::fabs(expected.f64(i)));
  const double u = ir::unit_roundoff(ir::DataType::kF32), u_out = ir::unit_roundoff(got.dtype());
  for (int64_t i = 0; i < got.count(); ++i) {
    double a = got.f64(i), b = expected.f64(i);
    if (ir::is_float(got.dtype())) b = ir::round_to(got.dtype(), b);
    // Regions of narrow types round in their middle too, where values may be larger.
    const double bound = ir::is_float(got.dtype()) ? 64 * u * std::max(largest, 1.0) + 4 * u_out * largest : 0;
    if (a == b || (std::isnan(a) && std::isnan(b)) || std::fabs(a - b) <= bound) continue;
    return cat("[", i, "]: got ", a, ", expected ", b, " within ", bound);
  }
  return "";
}

// Partial moments are right when what they join to is: kernels choose which elements make a part.
std::string moments_difference(const ir::Tensor& got, const ir::Tensor& expected, double width) {
  const int64_t parts = got.dim(got.rank() - 2);
  const auto joined = [&](const ir::Tensor& t, int64_t row) {
    double mean = 0, square = 0;
    for (int64_t p = 0; p < parts; ++p) mean += t.f64((row * parts + p) * 2) / double(parts);
    for (int64_t p = 0; p < parts; ++p) {
      const double d = t.f64((row * parts + p) * 2) - mean;
      square += t.f64((row * parts + p) * 2 + 1) + width * d * d;
    }
    return std::pair(mean, square / (double(parts) * width));
  };
  for (int64_t row = 0; row * parts * 2 < got.count(); ++row) {
    const auto [mean, variance] = joined(got, row);
    const auto [wanted_mean, wanted_variance] = joined(expected, row);
    const double bound = 1e-5 * (std::fabs(wanted_mean) + std::sqrt(wanted_variance));
    if (!(std::fabs(mean - wanted_mean) <= bound) || !(std::fabs(variance - wanted_variance) <= 1e-4 * wanted_variance))
      return cat("row ", row, ": got mean ", mean, " and variance ", variance, ", expected ", wanted_mean, " and ",
                 wanted_variance);
  }
  return "";
}

std::string check(HostRunner& runner, int number, const HostCase& c) {
  std::vector<Buffer> operands, results;
  for (size_t i = 0; i < c.problem.operands.size(); ++i)
    operands.push_back(c.problem.operands[i].present
                           ? to_layout((*c.operands)[i], c.problem.operands[i].type.layout)
                           : Buffer(0));
  for (size_t i = 0; i < c.problem.results.size(); ++i) {
    const ir::TensorType& type = c.problem.result_type(int(i));
    results.emplace_back(ir::bytes_of(type.dtype, ir::element_count(type.shape).value()));
  }
  Buffer packed(int64_t(c.packed.bytes.size()));
  std::copy(c.packed.bytes.begin(), c.packed.bytes.end(), packed.data());
  HostRun run;
  for (size_t i = 0; i < operands.size(); ++i) {
    const kernel::Operand& operand = c.problem.operands[i];
    run.operands.push_back({operands[i].data(), operands[i].bytes(), operand.present && !operand.constant});
  }
  for (Buffer& b : results) run.results.push_back({b.data(), b.bytes(), false});
  run.packed = packed.data();
  const Hash128 drawn = hash128(c.title);
  std::memcpy(&run.seed, &drawn, sizeof(run.seed));
  run.eager = run.seed % 8 == 0;
  if (const Status status = runner.run(number, run); !status.ok()) return status.to_string();
  for (size_t i = 0; i < results.size(); ++i) {
    if (!results[i].guards_hold()) return cat("written outside of result ", i);
    const ir::Tensor got = from_layout(results[i], c.problem.result_type(int(i)));
    const kernel::Stage& stage = c.problem.stages[size_t(c.problem.stage_of(c.problem.results[i]).first)];
    const std::string wrong =
        stage.op == "PartialMoments"
            ? moments_difference(got, (*c.expected)[i], double(std::get<int64_t>(stage.attrs.find("width")->second)))
            : difference(got, (*c.expected)[i]);
    if (!wrong.empty()) return cat("result ", i, " ", wrong);
  }
  return "";
}

}  // namespace

kernel::Problem with_layouts(kernel::Problem problem, const kernel::LayoutChoice& layouts) {
  kernel::set_layouts(problem, layouts);
  return problem;
}

Result<HostCase> host_case(const std::string& title, const EmittedKernelDef& def, kernel::Problem problem,
                           const kernel::Tactic& tactic, const kernel::DeviceInfo& device,
                           const std::vector<ir::Tensor>& operands, const std::vector<ir::Tensor>& expected) {
  HostCase out;
  out.title = cat(title, " ", def.name(), " ", tactic.to_string());
  for (int i = 0; i < int(problem.results.size()); ++i) out.title += " " + ir::to_string(problem.result_type(i).layout);
  PLANISH_ASSIGN_OR_RETURN(out.step, def.emit(problem, tactic, device));
  PLANISH_ASSIGN_OR_RETURN(out.packed, def.pack(problem, tactic, device, operands));
  out.problem = std::move(problem);
  out.operands = &operands;
  out.expected = &expected;
  return out;
}

std::vector<std::string> run_on_host(const std::vector<HostCase>& cases) {
  HostRunner runner;
  std::vector<int> numbers;
  for (const HostCase& c : cases) numbers.push_back(runner.add(c.step));
  if (const Status built = runner.build(); !built.ok()) return {built.to_string()};
  std::vector<std::string> out;
  for (size_t i = 0; i < cases.size(); ++i) {
    const std::string wrong = check(runner, numbers[i], cases[i]);
    if (wrong.empty()) continue;
    const auto& kernels = cases[i].step.kernels;
    out.push_back(cat(cases[i].title, ": ", wrong, out.size() < 3 && !kernels.empty()
                          ? cat("\n", kernels[0].source.substr(std::strlen(kPrelude))) : std::string()));
  }
  return out;
}

}  // namespace planish::cuda
