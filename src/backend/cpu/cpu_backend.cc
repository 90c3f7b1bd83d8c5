#include "backend/cpu/cpu_backend.h"

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <mutex>
#include <new>
#include <thread>

#include "backend/cpu/defs/register_kernels.h"
#include "backend/cpu/kernels/isa.h"
#include "base/text.h"
#include "base/thread_team.h"

namespace planish::cpu {
namespace {

constexpr size_t kAlignment = 64;
constexpr int64_t kHugePage = 2 << 20;

class HostMemory : public backend::Memory {
 public:
  static Result<std::unique_ptr<backend::Memory>> allocate(int64_t bytes) {
    if (bytes < 0) return invalid_argument(cat("cannot allocate ", bytes, " bytes"));
    // Large buffers on huge pages: no luck of page colouring, fewer TLB misses.
    const size_t alignment = bytes >= kHugePage / 4 ? size_t(kHugePage) : kAlignment;
    void* data = ::operator new(size_t(bytes ? bytes : 1), std::align_val_t(alignment),
                                std::nothrow);
    if (!data) return resource_exhausted(cat("no host memory for ", bytes, " bytes"));
    if (alignment > kAlignment) madvise(data, size_t(bytes), MADV_HUGEPAGE);
    return std::unique_ptr<backend::Memory>(new HostMemory(data, bytes, alignment));
  }
  ~HostMemory() override { ::operator delete(data_, std::align_val_t(alignment_)); }
  std::byte* data() const override { return static_cast<std::byte*>(data_); }
  int64_t bytes() const override { return bytes_; }

 private:
  HostMemory(void* data, int64_t bytes, size_t alignment)
      : data_(data), bytes_(bytes), alignment_(alignment) {}
  void* data_;
  int64_t bytes_;
  size_t alignment_;
};

class CpuDevice : public backend::Device {
 public:
  explicit CpuDevice(int threads) : info_(describe_machine(threads)) {}
  const kernel::DeviceInfo& info() const override { return info_; }
  Result<std::unique_ptr<backend::Memory>> allocate(int64_t bytes, ir::MemorySpace) override {
    return HostMemory::allocate(bytes);
  }
  Result<std::unique_ptr<backend::Stream>> create_stream() override {
    return std::make_unique<backend::Stream>();
  }
  Status copy(backend::Stream&, void* to, ir::MemorySpace, const void* from, ir::MemorySpace,
              int64_t bytes) override {
    __builtin_memcpy(to, from, size_t(bytes));
    return ok_status();
  }
  Result<std::vector<double>> time_us(const kernel::Launchable& launchable,
                                      std::span<const kernel::RunArgs> args, int rounds) override {
    using Clock = std::chrono::steady_clock;
    std::vector<double> samples;
    for (int round = -1; round < rounds; ++round) {
      kernel::RunArgs one = args[size_t(round + 1) % args.size()];
      if (!one.team) one.team = &timing_team();
      const auto begin = Clock::now();
      PLANISH_RETURN_IF_ERROR(launchable.run(one));
      if (round >= 0)
        samples.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
    }
    return samples;
  }

 private:
  // Runs bring their contexts' teams: threads of the device's own are started by the first timing that
  // brings none.
  ThreadTeam& timing_team() {
    std::call_once(team_made_, [&] { team_ = std::make_unique<ThreadTeam>(info_.threads); });
    return *team_;
  }

  kernel::DeviceInfo info_;
  std::once_flag team_made_;
  std::unique_ptr<ThreadTeam> team_;
};

class CpuBackend : public backend::Backend {
 public:
  std::string kind() const override { return "cpu"; }
  Status available() const override { return ok_status(); }
  void register_kernels(kernel::KernelRegistry& registry) const override {
    register_cpu_kernels(registry);
  }
  Result<std::shared_ptr<backend::Device>> device(int index, int threads) override {
    if (index != 0) return invalid_argument(cat("there is one CPU device, 0; got ", index));
    return std::shared_ptr<backend::Device>(std::make_shared<CpuDevice>(threads));
  }
};

std::string cpu_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  return "unknown CPU";
}

int usable_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
  return int(std::max(1u, std::thread::hardware_concurrency()));
}

}  // namespace

kernel::DeviceInfo describe_machine(int threads) {
  kernel::DeviceInfo info;
  info.kind = "cpu";
  info.name = cpu_name();
  const Isa isa = best_isa();
  info.isa = isa_name(isa);
  info.threads = threads > 0 ? threads : usable_cores();
  const auto cache = [](int name, int64_t fallback) {
    const long bytes = sysconf(name);
    return bytes > 0 ? int64_t(bytes) : fallback;
  };
  info.l1_bytes = cache(_SC_LEVEL1_DCACHE_SIZE, info.l1_bytes);
  info.l2_bytes = cache(_SC_LEVEL2_CACHE_SIZE, info.l2_bytes);
  info.l3_bytes = cache(_SC_LEVEL3_CACHE_SIZE, info.l3_bytes);
  const double ghz = 2.5, fma_per_cycle = isa == Isa::kPortable ? 0.5 : 2;
  info.peak_gflops = info.threads * ghz * fma_per_cycle * 2 * vector_width(isa);
  info.memory_gbps = 8.0 * std::min(info.threads, 4);
  info.properties["channel_block"] = std::to_string(vector_width(isa));
  return info;
}

std::unique_ptr<backend::Backend> make_cpu_backend() { return std::make_unique<CpuBackend>(); }

}  // namespace planish::cpu
