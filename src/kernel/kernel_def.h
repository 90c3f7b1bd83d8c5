// KernelDef: the one contract between a way of computing and everybody who asks about it.
//
// "Supported" is supports(), a question answered with a reason; there is no second table. Making a
// kernel runnable has three parts: compile (at build; artifact bytes that go into the plan, e.g. a
// cubin), pack (weights into the format the tactic names; at build or load), bind (per instance, for
// concrete shapes: a Launchable that never repacks). Library kernels and our own stand in one
// KernelRegistry and race. KernelDefs are stateless and thread-safe.
#pragma once
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/zeroed_bytes.h"
#include "kernel/problem.h"

namespace planish {
class ThreadTeam;
}

namespace planish::kernel {

struct DeviceInfo {
  std::string kind;             // "cpu", "cuda"
  std::string name;             // as the vendor writes it
  std::string isa;              // "avx512", "avx2", "portable"; "sm_90a"
  int threads = 1;              // CPU: size of the team a kernel runs on
  int64_t l1_bytes = 32 << 10, l2_bytes = 1 << 20, l3_bytes = 8 << 20;
  double peak_gflops = 100;     // fp32, all threads; for the cost model
  double memory_gbps = 10;
  std::map<std::string, std::string> properties;  // backend's own (driver, SM count, ...)
};

// A choice of parameters, readable and saved: "j=2,rows=14". Empty: the kernel's only way.
struct Tactic {
  std::map<std::string, int64_t> params;
  int64_t get(std::string_view key, int64_t fallback = 0) const;
  std::string to_string() const;
  static Result<Tactic> parse(std::string_view text);
  friend bool operator==(const Tactic&, const Tactic&) = default;
};

// The layouts a kernel takes and gives for a problem, in operand and result order.
struct LayoutChoice {
  std::vector<ir::Layout> operands;
  std::vector<ir::Layout> results;
  friend bool operator==(const LayoutChoice&, const LayoutChoice&) = default;
};

// Bytes a kernel wants kept with the plan or made at load.
struct Blob {
  ZeroedBytes bytes;
};

// One operand or result of a run. Dense in its type's layout, but for `outer_stride_bytes`: the
// distance between consecutive slices (0: dense), for members of a concat. Slices are those of the
// outermost logical dim, or pixels where channels come last (kernel/strided.h).
struct BufferRef {
  void* data = nullptr;
  int64_t outer_stride_bytes = 0;
};

struct RunArgs {
  std::span<const BufferRef> operands;  // constants that were packed away may be null
  std::span<const BufferRef> results;
  std::byte* workspace = nullptr;       // 64-byte aligned, workspace_bytes() of it
  ThreadTeam* team = nullptr;           // CPU
  void* stream = nullptr;               // CUDA
};

// A kernel ready for one set of shapes. Immutable after bind; run() is thread-safe when each call
// brings its own RunArgs.
class Launchable {
 public:
  virtual ~Launchable() = default;
  virtual int64_t workspace_bytes() const { return 0; }
  virtual Status run(const RunArgs& args) const = 0;
  // For steps whose result dims only their data decide: computes and returns the results
  // (args.results is empty).
  virtual Result<std::vector<ir::Tensor>> run_allocating(const RunArgs&) const {
    return unimplemented("this kernel does not allocate its results");
  }
};

struct BindArgs {
  const Problem* problem;           // concrete
  const Tactic* tactic;
  const DeviceInfo* device;
  std::span<const std::byte> packed;    // what pack() made; empty when it makes nothing
  std::span<const std::byte> artifact;  // what compile() made
  // Row-major host data of constant operands by position; empty tensors elsewhere. Valid during
  // bind() and, when pack() kept nothing, for the Launchable's life.
  std::span<const ir::Tensor> constants;
};

class KernelDef {
 public:
  virtual ~KernelDef() = default;
  // Op, types, layout, family; unique ("cpu.conv_direct"). Appears in profiles, caches and plans.
  virtual std::string name() const = 0;
  virtual std::string device_kind() const = 0;
  // Raised when the kernel's code changes so that saved tactics, packs or artifacts are void.
  virtual int version() const { return 1; }
  // Ok, or why not (what, got, expected). Layouts are not looked at; see layouts().
  // `problem` is concrete.
  virtual Status supports(const Problem& problem, const DeviceInfo& device) const = 0;
  // Non-empty when supported. The default is row-major everywhere.
  virtual std::vector<LayoutChoice> layouts(const Problem& problem, const DeviceInfo& device) const;
  // Legal tactics for the problem with its layouts set, best guess first; non-empty.
  virtual std::vector<Tactic> tactics(const Problem& problem, const DeviceInfo& device) const;
  virtual double predict_us(const Problem& problem, const Tactic& tactic,
                            const DeviceInfo& device) const = 0;
  // True: fp32 sums in an order or transform whose error bound is 16 times the plain one (Winograd);
  // refused by --fp32 exact.
  virtual bool rounds_differently() const { return false; }
  // True: the computation does not depend on measurement; runs the op's reference code.
  virtual bool is_reference() const { return false; }
  // May the leading dim of operand / result i have a stride of its own (BufferRef)?
  virtual bool takes_strided(const Problem&, bool /*result*/, int /*index*/) const { return false; }
  // May result i overwrite operand j (same bytes, same offsets)?
  virtual bool in_place(const Problem&, int /*result*/, int /*operand*/) const { return false; }
  // What compile() compiles with, and its version: times that were taken of another one's kernels are
  // not those of this one's. "" where kernels come compiled.
  virtual std::string compiler() const { return ""; }
  virtual Result<Blob> compile(const Problem&, const Tactic&, const DeviceInfo&) const {
    return Blob{};
  }
  virtual Result<Blob> pack(const Problem&, const Tactic&, const DeviceInfo&,
                            std::span<const ir::Tensor> /*constants*/) const {
    return Blob{};
  }
  // True for operands whose canonical bytes are not needed once pack() has run.
  virtual bool packs(const Problem&, int /*operand*/) const { return false; }
  virtual Result<std::unique_ptr<Launchable>> bind(const BindArgs& args) const = 0;
};

// Kernels by name. Filled once by explicit registration; read-only and thread-safe after.
class KernelRegistry {
 public:
  void add(std::unique_ptr<KernelDef> kernel);
  const KernelDef* find(std::string_view name) const;
  std::span<const std::unique_ptr<KernelDef>> all() const { return kernels_; }

 private:
  std::vector<std::unique_ptr<KernelDef>> kernels_;
};

}  // namespace planish::kernel
