// Runs the contraction families on a GPU: every tile of a wide list on odd shapes against the
// reference interpreter, and the networks' shapes with their tactics against the multiply-add family,
// with times. Needs a GPU and NVRTC; not part of the test suite.
//
//   cuda_contraction_check OUT.json odd|more|pools|pooled8|gemm|resnet1|resnet8|resnet128|bert ...
//
// Kernels are compiled first, by all cores. They run in a child process that is started again behind
// a kernel that fails the device, so that one bad tile does not hide the others; waits trap instead of
// hanging. Outputs are poisoned with NaN before each run, and NaN is wrong.
#include <execinfo.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <thread>

#include "backend/cuda/device/cuda_device.h"
#include "backend/cuda/emit/launcher.h"
#include "backend/cuda/emit/nvrtc.h"
#include "backend/cuda/families/contraction/pooled.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/families/wgmma/tile.h"
#include "backend/cuda/testing/contraction_testing.h"
#include "backend/cuda/testing/network_layers.h"
#include "base/text.h"
#include "eval/reference_kernel.h"
#include "ops/register_ops.h"

namespace planish::cuda {
namespace {

using ir::DataType;
using kernel::Problem;
using kernel::Tactic;

struct Case {
  std::string name, family;
  Problem problem;
  bool timed = false, tf32 = false;
  int layout = 0;  // which of the kernel's choices
  int times = 1;  // in the network
};
struct Candidate {
  size_t of = 0;  // case
  Tactic tactic;
  Artifact artifact;
  std::string error, entry;
  double predicted_us = 0;
};

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

kernel::DeviceInfo described(const kernel::DeviceInfo& base, const Case& c) {
  kernel::DeviceInfo info = base;
  if (c.tf32) info.properties["tf32"] = "1";
  return info;
}

template <class F>
void parallel(size_t count, F run) {
  std::atomic<size_t> next{0};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i)
    threads.emplace_back([&] {
      for (size_t k; (k = next++) < count;) run(k);
    });
  for (std::thread& t : threads) t.join();
}

// ---- data: a block of random values of the type, repeated
ir::Tensor random_tensor(const ir::TensorType& type, uint32_t seed, double scale) {
  ir::Tensor out(type.dtype, ir::to_dims(type.shape));
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, float(scale));
  const int64_t block = std::min<int64_t>(out.count(), 999983);
  const bool mask = type.dtype == DataType::kBool;
  for (int64_t i = 0; i < block; ++i) out.set_f64(i, mask ? normal(generator) > 0 : normal(generator));
  const int64_t bytes = ir::bytes_of(type.dtype, 1);
  auto* data = out.mutable_data_as<std::byte>();
  for (int64_t at = block; at < out.count(); at += block)
    std::memcpy(data + at * bytes, data, size_t(std::min(block, out.count() - at) * bytes));
  return out;
}

// Row-major to the layout and back, element by element in memory order.
std::vector<std::byte> moved(const std::byte* from, const ir::TensorType& type, bool to_layout) {
  const std::vector<int64_t> dims = ir::to_dims(type.shape), strides = ir::strides_of(dims);
  const size_t size = size_t(ir::bits_of(type.dtype) / 8);
  const int64_t count = ir::element_count(std::span<const int64_t>(dims));
  std::vector<std::byte> out(size_t(count) * size);
  if (type.layout.perm.empty()) {
    std::memcpy(out.data(), from, out.size());
    return out;
  }
  std::vector<int64_t> at(dims.size(), 0);
  for (int64_t i = 0; i < count; ++i) {
    int64_t logical = 0;
    for (size_t d = 0; d < dims.size(); ++d) logical += at[d] * strides[size_t(type.layout.perm[d])];
    const size_t a = size_t(to_layout ? logical : i) * size, b = size_t(to_layout ? i : logical) * size;
    std::memcpy(out.data() + b, from + a, size);
    for (size_t d = dims.size(); d-- > 0;) {
      if (++at[d] < dims[size_t(type.layout.perm[d])]) break;
      at[d] = 0;
    }
  }
  return out;
}

struct Data {
  std::vector<ir::Tensor> operands;            // row-major
  std::vector<std::vector<std::byte>> placed;  // as the kernel's layouts want them
  ir::Tensor expected;                         // row-major; what the interpreter gives
};

double scale_of(const Problem& problem, size_t operand) {
  const kernel::Stage& root = problem.stages[0];
  if (root.inputs[1] != int(operand)) return operand == size_t(root.inputs[0]) ? 1 : 0.5;
  const std::vector<int64_t> dims = ir::to_dims(problem.operands[operand].type.shape);
  int64_t depth = 1;
  if (root.op == "Conv") for (size_t d = 1; d < dims.size(); ++d) depth *= dims[d];
  else depth = std::max(dims[dims.size() - 1], dims[dims.size() - 2]);
  return 1 / std::sqrt(double(depth));
}

Data make_data(const Problem& laid, bool with_reference) {
  Data data;
  for (size_t i = 0; i < laid.operands.size(); ++i) {
    const ir::TensorType& type = laid.operands[i].type;
    data.operands.push_back(random_tensor(type, uint32_t(i + 1), scale_of(laid, i)));
    // Large tensors are random anyway: their order in memory is anybody's.
    if (with_reference) data.placed.push_back(moved(data.operands[i].data_as<std::byte>(), type, true));
    else data.placed.emplace_back(data.operands[i].data_as<std::byte>(), data.operands[i].data_as<std::byte>() + data.operands[i].bytes());
  }
  return data;
}

Status add_reference(Data& data, const Problem& laid) {
  static const opdef::OpRegistry& ops = *[] {
    auto* made = new opdef::OpRegistry();
    ops::register_all_ops(*made);
    return made;
  }();
  Problem plain = laid;  // in f32, so that nothing is rounded on the way
  for (kernel::Operand& o : plain.operands)
    o.type = {ir::is_float(o.type.dtype) ? DataType::kF32 : o.type.dtype, o.type.shape};
  for (kernel::Stage& s : plain.stages) {
    for (ir::TensorType& t : s.outputs) t = {DataType::kF32, t.shape};
    if (s.expr)
      for (kernel::ExprNode& n : s.expr->nodes)
        if (ir::is_float(n.dtype)) n.dtype = DataType::kF32;
  }
  std::vector<ir::Tensor> wide;
  std::vector<const ir::Tensor*> operands;
  for (const ir::Tensor& t : data.operands)
    wide.push_back(ir::is_float(t.dtype()) ? ir::Tensor::from_f64(DataType::kF32, t.dims(), t.f64_values()) : t);
  for (const ir::Tensor& t : wide) operands.push_back(&t);
  PLANISH_ASSIGN_OR_RETURN(auto results, eval::evaluate_problem(ops, plain, operands, true));
  data.expected = ir::Tensor::from_f64(DataType::kF32, results[0].dims(), results[0].f64_values());
  return ok_status();
}

struct Verdict {
  int64_t wrong = 0;
  double worst = 0;
};

// `got` of the type against `want` (f32, or the same type), in the same order.
Verdict compare(const std::byte* got, const std::byte* want, DataType type, bool wide_want, int64_t count,
                double tolerance) {
  const unsigned parts = std::max(1u, std::thread::hardware_concurrency());
  std::vector<Verdict> verdicts(parts);
  const auto value = [](const std::byte* p, DataType t, int64_t i) -> float {
    if (t == DataType::kF32) { float f; std::memcpy(&f, p + 4 * i, 4); return f; }
    uint16_t h; std::memcpy(&h, p + 2 * i, 2);
    if (t == DataType::kBF16) { uint32_t b = uint32_t(h) << 16; float f; std::memcpy(&f, &b, 4); return f; }
    const uint32_t e = h >> 10 & 31, m = h & 1023;
    const float v = e == 0 ? std::ldexp(float(m), -24) : e == 31 ? (m ? NAN : INFINITY) : std::ldexp(float(m | 1024), int(e) - 25);
    return h >> 15 ? -v : v;
  };
  parallel(parts, [&](size_t part) {
    Verdict& v = verdicts[part];
    for (int64_t i = count * int64_t(part) / parts; i < count * int64_t(part + 1) / parts; ++i) {
      const float a = value(got, type, i), b = value(want, wide_want ? DataType::kF32 : type, i);
      const double diff = std::fabs(double(a) - b), bound = tolerance * (1 + std::fabs(double(b)));
      if (!(diff <= bound)) ++v.wrong;
      if (!(diff <= v.worst)) v.worst = diff;
    }
  });
  Verdict all;
  for (const Verdict& v : verdicts) {
    all.wrong += v.wrong;
    if (!(v.worst <= all.worst)) all.worst = v.worst;
  }
  return all;
}

double tolerance_of(const Case& c, DataType type, bool wide_want) {
  if (type == DataType::kF32) return c.tf32 ? 2e-3 : 2e-5;
  return (type == DataType::kBF16 ? 8e-3 : 1e-3) * (wide_want ? 1 : 1.5);
}

// ---- on the device
class Runner {
 public:
  Runner(const std::vector<Case>& cases, const kernel::KernelRegistry& registry)
      : cases_(cases), registry_(registry) {}

  Status open() {
    PLANISH_ASSIGN_OR_RETURN(gpu_, gpu(0));
    PLANISH_ASSIGN_OR_RETURN(device_, make_cuda_device(0));
    PLANISH_ASSIGN_OR_RETURN(stream_, device_->create_stream());
    return ok_status();
  }

  // A line of JSON.
  std::string run(const Candidate& candidate, bool checked = true) {
    const Case& c = cases_[candidate.of];
    std::string out = cat("{\"case\":\"", c.name, "\",\"family\":\"", c.family, "\",\"tactic\":\"",
                          candidate.tactic.to_string(), "\",\"kernel\":\"", candidate.entry, "\",\"times\":", c.times, ",\"predicted_us\":", candidate.predicted_us);
    const auto failed = [&](const Status& s) { fatal_ = true; return out + cat(",\"error\":\"", text_of(s), "\"}"); };
    if (Status s = prepare(candidate.of); !s.ok()) return failed(s);
    const auto& def = static_cast<const EmittedKernelDef&>(*registry_.find(c.family));
    auto packed = def.pack(laid_, candidate.tactic, described(device_->info(), c), data_.operands);
    if (!packed.ok()) return failed(packed.status());
    auto launcher = make_launcher(gpu_, candidate.artifact, packed->bytes, nullptr, {});
    if (!launcher.ok()) { out += cat(",\"error\":\"", text_of(launcher.status()), "\"}"); return out; }
    std::vector<kernel::BufferRef> results = {{results_[0]->data(), 0}};
    kernel::RunArgs args;
    args.operands = refs_[0];
    args.results = results;
    args.stream = stream_->handle();
    const int64_t bytes = int64_t(host_.size());
    std::fill(host_.begin(), host_.end(), std::byte{0xff});
    if (Status s = device_->copy(*stream_, results_[0]->data(), ir::MemorySpace::kDevice, host_.data(), ir::MemorySpace::kHost, bytes); !s.ok()) return failed(s);
    if (Status s = (*launcher)->run(args); !s.ok()) { out += cat(",\"error\":\"", text_of(s), "\"}"); return out; }
    if (Status s = stream_->synchronize(); !s.ok()) return failed(s);
    if (checked) {
      if (Status s = device_->copy(*stream_, host_.data(), ir::MemorySpace::kHost, results_[0]->data(), ir::MemorySpace::kDevice, bytes); !s.ok()) return failed(s);
      if (Status s = stream_->synchronize(); !s.ok()) return failed(s);
      const ir::TensorType& type = laid_.result_type(0);
      Verdict v;
      const int64_t count = bytes / (ir::bits_of(type.dtype) / 8);
      if (c.timed) {
        if (expected_.empty()) { expected_ = host_; out += ",\"reference\":true"; }
        v = compare(host_.data(), expected_.data(), type.dtype, false, count, tolerance_of(c, type.dtype, false));
      } else {
        ir::TensorType logical = type;
        const std::vector<std::byte> back = moved(host_.data(), logical, false);
        v = compare(back.data(), data_.expected.data_as<std::byte>(), type.dtype, true, count, tolerance_of(c, type.dtype, true));
      }
      out += cat(",\"wrong\":", v.wrong, ",\"count\":", count, ",\"worst\":", std::isfinite(v.worst) ? v.worst : -1.0);
    }
    if (c.timed) {
      std::vector<kernel::RunArgs> sets;
      std::vector<std::vector<kernel::BufferRef>> outputs(refs_.size());
      for (size_t i = 0; i < refs_.size(); ++i) {
        outputs[i] = {{results_[i]->data(), 0}};
        kernel::RunArgs one;
        one.operands = refs_[i];
        one.results = outputs[i];
        sets.push_back(one);
      }
      auto samples = by_wall_clock ? timed_by_wall_clock(**launcher, sets) : device_->time_us(**launcher, sets, 7);
      if (!samples.ok()) return failed(samples.status());
      std::sort(samples->begin(), samples->end());
      const double us = (*samples)[samples->size() / 2];
      out += cat(",\"us\":", us, ",\"tflops\":", flops_ / us * 1e-6);
    }
    return out + "}";
  }

  bool fatal() const { return fatal_; }
  bool by_wall_clock = false;  // where events cannot be had

 private:
  Result<std::vector<double>> timed_by_wall_clock(const kernel::Launchable& launchable,
                                                  const std::vector<kernel::RunArgs>& sets) {
    std::vector<double> samples;
    for (int round = 0; round < 4; ++round) {
      const double begin = seconds();
      for (int i = 0; i < 100; ++i) {
        kernel::RunArgs one = sets[size_t(i) % sets.size()];
        one.stream = stream_->handle();
        PLANISH_RETURN_IF_ERROR(launchable.run(one));
      }
      PLANISH_RETURN_IF_ERROR(stream_->synchronize());
      samples.push_back((seconds() - begin) * 1e4);
    }
    return samples;
  }

  static std::string text_of(const Status& s) {
    std::string out = s.to_string();
    for (char& ch : out) if (ch == '"' || ch == '\n' || ch == '\\') ch = ' ';
    return out.substr(0, 300);
  }

  Status prepare(size_t index) {
    if (current_ == int(index)) return ok_status();
    current_ = -1;
    const Case& c = cases_[index];
    const kernel::KernelDef& def = *registry_.find(c.family);
    laid_ = laid_out(def, c.problem, described(device_->info(), c), c.layout);
    const std::string key = kernel::fingerprint(laid_);
    if (key != key_) {
      refs_.clear();
      buffers_.clear();
      results_.clear();
      expected_.clear();
      data_ = make_data(laid_, !c.timed);
      if (!c.timed) PLANISH_RETURN_IF_ERROR(add_reference(data_, laid_));
      PLANISH_RETURN_IF_ERROR(upload(c.timed));
      key_ = key;
    }
    auto pooled = pooled_product_of(laid_);
    flops_ = pooled.ok() ? pooled->product.flops() : 0;
    current_ = int(index);
    return ok_status();
  }

  Status upload(bool timed) {
    int64_t footprint = 1;
    for (const auto& bytes : data_.placed) footprint += int64_t(bytes.size());
    const ir::TensorType& type = laid_.result_type(0);
    const int64_t out_bytes = ir::bytes_of(type.dtype, ir::element_count(std::span<const int64_t>(ir::to_dims(type.shape))));
    host_.resize(size_t(out_bytes));
    const int sets = timed ? int(std::clamp<int64_t>((200 << 20) / (footprint + out_bytes) + 1, 2, 24)) : 1;
    for (int s = 0; s < sets; ++s) {
      std::vector<kernel::BufferRef> refs;
      for (const auto& bytes : data_.placed) {
        PLANISH_ASSIGN_OR_RETURN(auto memory, device_->allocate(int64_t(bytes.size()), ir::MemorySpace::kDevice));
        PLANISH_RETURN_IF_ERROR(device_->copy(*stream_, memory->data(), ir::MemorySpace::kDevice, bytes.data(), ir::MemorySpace::kHost, int64_t(bytes.size())));
        refs.push_back({memory->data(), 0});
        buffers_.push_back(std::move(memory));
      }
      PLANISH_ASSIGN_OR_RETURN(auto memory, device_->allocate(out_bytes, ir::MemorySpace::kDevice));
      results_.push_back(std::move(memory));
      refs_.push_back(std::move(refs));
    }
    return stream_->synchronize();
  }

  const std::vector<Case>& cases_;
  const kernel::KernelRegistry& registry_;
  std::shared_ptr<Gpu> gpu_;
  std::shared_ptr<backend::Device> device_;
  std::unique_ptr<backend::Stream> stream_;
  int current_ = -1;
  std::string key_;
  Problem laid_;
  Data data_;
  std::vector<std::byte> host_, expected_;
  std::vector<std::unique_ptr<backend::Memory>> buffers_, results_;
  std::vector<std::vector<kernel::BufferRef>> refs_;
  double flops_ = 0;
  bool fatal_ = false;
};

// ---- what is run
constexpr std::string_view kWgmma = "cuda.contraction_wgmma", kPlain = "cuda.contraction_plain", kStem = "cuda.stem_wgmma", kWindow = "cuda.window_wgmma",
                           kAttention = "cuda.attention_wgmma";

std::vector<wgmma::Tile> every_tile() {
  using wgmma::Tile;
  std::vector<Tile> out;
  const auto add = [&](int g, int b, int w, int occ) -> Tile& {
    out.push_back({.groups = g, .blocks = b, .width = w, .residents = occ});
    return out.back();
  };
  for (auto [g, b, w, occ] : std::vector<std::array<int, 4>>{{1, 1, 64, 2}, {2, 1, 128, 1}, {2, 2, 128, 1}, {2, 1, 256, 1}, {1, 1, 32, 2},
        {3, 1, 192, 1}, {3, 1, 128, 1}, {1, 1, 16, 4}, {1, 1, 48, 2}, {2, 1, 144, 1}, {1, 2, 64, 3}, {1, 1, 8, 2}, {2, 1, 64, 2}, {1, 1, 64, 4}, {2, 1, 128, 2}})
    add(g, b, w, occ);
  for (int split : {2, 4, 8}) {
    add(1, 1, 64, 2).split = split;
    add(2, 1, 128, 1).split = split;
    add(1, 1, 32, 2).split = split;
    Tile& t = add(1, 2, 32, 2); t.split = split; t.swap = true;
    Tile& u = add(1, 1, 16, 2); u.split = split; u.swap = true;
  }
  for (auto [g, b, w] : std::vector<std::array<int, 3>>{{2, 1, 128}, {2, 2, 128}, {3, 1, 128}, {2, 1, 256}}) {
    add(g, b, w, 1).share_weights = 2;
    add(g, b, w, 1).share_rows = 2;
  }
  for (auto [b, w] : std::vector<std::array<int, 2>>{{1, 128}, {2, 192}, {2, 128}, {2, 96}})
    for (int share : {0, 1, 2}) {
      Tile& t = add(2, b, w, 1);
      t.ping_pong = true;
      if (share == 1) t.share_weights = 2;
      if (share == 2) t.share_rows = 2;
    }
  for (auto [g, b, w, occ] : std::vector<std::array<int, 4>>{{1, 1, 256, 2}, {1, 1, 8, 2}, {2, 1, 128, 2}, {1, 2, 64, 2}, {1, 1, 64, 2}, {2, 2, 64, 1}})
    add(g, b, w, occ).swap = true;
  return out;
}

void add_odd(std::vector<Case>& cases) {
  const Behind none, relu{true, false, Activation::kRelu}, both{true, true, Activation::kRelu}, gelu{true, false, Activation::kGelu}, silu{false, true, Activation::kSilu};
  const ConvCase convs[] = {{2, 64, 7, 9, 64, 3, 3, 1, 1, 1, 1, 1, relu}, {3, 256, 14, 14, 256, 3, 3, 1, 1, 1, 1, 1, both},
      {1, 40, 5, 5, 72, 3, 3, 2, 1, 1, 1, 1, both}, {2, 128, 17, 23, 96, 1, 7, 1, 0, 3, 1, 1, relu}, {2, 64, 23, 17, 96, 7, 1, 1, 3, 0, 1, 1, silu},
      {2, 64, 15, 13, 128, 3, 3, 1, 2, 2, 2, 1, relu}, {2, 96, 16, 16, 136, 5, 5, 1, 2, 2, 1, 1, relu}, {3, 128, 14, 14, 200, 1, 1, 2, 0, 0, 1, 1, none},
      {5, 512, 7, 7, 300, 1, 1, 1, 0, 0, 1, 1, both}, {1, 64, 1, 1, 64, 3, 3, 1, 1, 1, 1, 1, none}, {2, 64, 9, 9, 70, 3, 3, 1, 3, 3, 1, 1, relu},
      {2, 128, 10, 11, 128, 3, 3, 1, 1, 1, 1, 2, relu}, {2, 32, 12, 12, 33, 3, 3, 2, 1, 1, 1, 1, both}};
  const auto add = [&](const std::string& name, std::string_view family, Problem problem, bool tf32 = false) {
    Case c;
    c.name = name;
    c.family = family;
    c.problem = std::move(problem);
    c.tf32 = tf32;
    cases.push_back(std::move(c));
  };
  int i = 0;
  for (const ConvCase& c : convs) {
    add(cat("conv", i, " f16"), kWgmma, conv_problem(c, DataType::kF16));
    if (i % 3 == 0) add(cat("conv", i, " bf16"), kWgmma, conv_problem(c, DataType::kBF16));
    if (i % 3 == 1) add(cat("conv", i, " tf32"), kWgmma, conv_problem(c, DataType::kF32), true);
    for (DataType type : {DataType::kF32, DataType::kF16}) add(cat("conv", i, " plain ", ir::name_of(type)), kPlain, conv_problem(c, type));
    ++i;
  }
  add("conv c3 plain", kPlain, conv_problem({2, 3, 33, 31, 20, 7, 7, 2, 3, 3, 1, 1, relu}, DataType::kF16));
  add("conv groups plain", kPlain, conv_problem({2, 24, 9, 9, 36, 3, 3, 1, 1, 1, 1, 6, relu}, DataType::kF32));
  const ProductCase products[] = {{{}, 300, 136, 200, true, {}, both}, {{}, 1, 1000, 2048, true, {}, relu}, {{3}, 50, 64, 128, true, {}, gelu},
      {{}, 130, 72, 72, true, {}, none}, {{2, 3}, 100, 64, 136, false, {2, 3}, none}, {{2, 3}, 72, 200, 64, false, {1, 3}, silu}, {{4}, 17, 104, 40, false, {}, none}, {{}, 7, 33, 96, true, {}, relu}};
  i = 0;
  for (const ProductCase& c : products) {
    add(cat("matmul", i, " f16"), kWgmma, product_problem(c, DataType::kF16));
    add(cat("matmul", i, " bf16"), kWgmma, product_problem(c, DataType::kBF16));
    if (c.constant_right) add(cat("matmul", i, " tf32"), kWgmma, product_problem(c, DataType::kF32), true);
    for (DataType type : {DataType::kF32, DataType::kBF16}) add(cat("matmul", i, " plain ", ir::name_of(type)), kPlain, product_problem(c, type));
    ++i;
  }
  const GemmCase gemms[] = {{256, 200, 136, true, true, false, 0.5, 2, {1, 200}}, {120, 72, 64, false, true, false, 1, 1, {72}}, {64, 136, 72, true, false, false, 1, 1, {64, 1}},
      {33, 65, 48, false, true, true, 1, 0.5, {33, 65}}, {96, 65, 47, true, true, true, 1, 1, {}}};
  i = 0;
  for (const GemmCase& c : gemms) {
    if (i < 4) add(cat("gemm", i, " f16"), kWgmma, gemm_problem(c, DataType::kF16));
    for (DataType type : {DataType::kF32, DataType::kF16}) add(cat("gemm", i, " plain ", ir::name_of(type)), kPlain, gemm_problem(c, type));
    ++i;
  }
}

void add_more(std::vector<Case>& cases) {
  const auto add = [&](const std::string& name, std::string_view family, Problem problem, int layout = 0) {
    Case c;
    c.name = name;
    c.family = family;
    c.problem = std::move(problem);
    c.layout = layout;
    cases.push_back(std::move(c));
  };
  const Behind relu{true, false, Activation::kRelu}, both{true, true, Activation::kSilu};
  const ConvCase stems[] = {{2, 3, 70, 61, 64, 7, 7, 2, 3, 3, 1, 1, relu}, {2, 3, 33, 31, 20, 3, 3, 2, 1, 1, 1, 1, both}, {3, 4, 30, 21, 40, 3, 3, 2, 1, 1, 1, 1, relu},
      {2, 3, 32, 32, 64, 3, 3, 1, 1, 1, 1, 1, relu}, {1, 1, 28, 28, 32, 5, 5, 1, 2, 2, 1, 1, relu}, {2, 8, 19, 20, 128, 1, 3, 1, 0, 1, 1, 1, {}}, {40, 3, 64, 64, 33, 3, 3, 2, 0, 0, 1, 1, relu}};
  int i = 0;
  for (const ConvCase& c : stems) {
    for (int layout : {0, 1}) add(cat("stem", i, " f16 layout ", layout), kStem, conv_problem(c, DataType::kF16), layout);
    add(cat("stem", i, " bf16"), kStem, conv_problem(c, DataType::kBF16));
    ++i;
  }
  const AttentionCase attentions[] = {{2, 12, 128, 128, 64, 0, true}, {1, 3, 1, 77, 64}, {2, 4, 300, 500, 128, 2}, {2, 3, 200, 200, 64, 0, false, true},
      {1, 2, 384, 384, 128, 0, true, true}, {2, 3, 65, 129, 64, 1, true, false, {2, 1, 1, 129}}, {2, 2, 100, 260, 64, 0, false, false, {2, 2, 100, 260}, DataType::kBool}, {1, 2, 64, 640, 64, 0, false, false, {64, 640}, DataType::kF32}};
  i = 0;
  for (const AttentionCase& c : attentions) {
    add(cat("attention", i, " f16"), kAttention, attention_problem(c, DataType::kF16));
    add(cat("attention", i, " bf16"), kAttention, attention_problem(c, DataType::kBF16));
    ++i;
  }
}

void add_timed(std::vector<Case>& cases, const std::string& name, const Problem& problem, int times) {
  for (std::string_view family : {kPlain, kWgmma}) {
    Case c;
    c.name = name;
    c.family = family;
    c.problem = problem;
    c.timed = true;
    c.times = times;
    cases.push_back(std::move(c));
  }
}

// Without a second family of the same layout: times alone.
void add_alone(std::vector<Case>& cases, const std::string& name, std::string_view family, Problem problem, int times) {
  Case c;
  c.name = name;
  c.family = family;
  c.problem = std::move(problem);
  c.timed = true;
  c.times = times;
  cases.push_back(std::move(c));
}

// Convolutions with max pools behind them.
void add_pools(std::vector<Case>& cases) {
  const Behind relu{true, false, Activation::kRelu}, both{true, true, Activation::kRelu};
  struct One {
    std::string_view family;
    ConvCase conv;
    PoolCase pool;
  };
  const One odd[] = {{kStem, {3, 3, 131, 117, 64, 7, 7, 2, 3, 3, 1, 1, relu}, {3, 3, 2, 1, 1, 1, 1}},
                     {kStem, {40, 3, 64, 64, 27, 3, 3, 1, 1, 1, 1, 1, relu}, {}},
                     {kStem, {2, 2, 61, 59, 96, 3, 3, 1, 0, 1, 1, 1, {}}, {5, 4, 1, 2, 0, 0, 3}},
                     {kStem, {3, 4, 76, 63, 32, 5, 5, 2, 2, 2, 1, 1, both}, {3, 3, 2, 0, 0, 0, 0, true, true}},
                     {kStem, {5, 3, 40, 40, 128, 3, 3, 1, 1, 1, 1, 1, relu}, {1, 2, 3}},
                     {kWindow, {3, 64, 50, 70, 64, 3, 3, 1, 1, 1, 1, 1, relu}, {}},
                     {kWindow, {40, 40, 19, 13, 96, 3, 3, 1, 1, 1, 1, 1, relu}, {}},
                     {kWindow, {2, 128, 33, 31, 128, 3, 3, 1, 1, 1, 1, 1, relu}, {}},
                     {kWgmma, {3, 128, 33, 31, 128, 3, 3, 1, 1, 1, 1, 1, relu}, {}},
                     {kWgmma, {40, 64, 18, 20, 160, 3, 3, 1, 1, 1, 1, 1, relu}, {}}};
  int i = 0;
  for (const One& one : odd) {
    for (DataType type : {DataType::kF16, DataType::kBF16}) {
      Case c;
      c.name = cat("pool", i, " ", ir::name_of(type));
      c.family = one.family;
      c.problem = pooled_problem(one.conv, one.pool, type);
      c.layout = type == DataType::kBF16 && one.family == kStem;
      cases.push_back(std::move(c));
    }
    ++i;
  }
}

// The networks' convolutions with max pools behind them, and beside those the convolution alone.
void add_pooled_layers(std::vector<Case>& cases, int64_t n) {
  const Behind relu{true, false, Activation::kRelu};
  const ConvCase stem = resnet50_stem(n).conv;
  add_alone(cases, cat("resnet b", n, " stem"), kStem, conv_problem(stem, DataType::kF16), 1);
  add_alone(cases, cat("resnet b", n, " stem, pool"), kStem, pooled_problem(stem, {3, 3, 2, 1, 1, 1, 1}, DataType::kF16), 1);
  if (n > 16) return;  // VGG's tensors would take seconds to fill
  for (const auto& [name, channels, size] : {std::tuple("c1.2", 64, 224), std::tuple("c2.2", 128, 112), std::tuple("c3.4", 256, 56)})
    for (const std::string_view family : {kWindow, kWgmma}) {
      const ConvCase conv{n, channels, size, size, channels, 3, 3, 1, 1, 1, 1, 1, relu};
      add_alone(cases, cat("vgg b", n, " ", name, " ", family.substr(5)), family, conv_problem(conv, DataType::kF16), 1);
      add_alone(cases, cat("vgg b", n, " ", name, " ", family.substr(5), ", pool"), family, pooled_problem(conv, {}, DataType::kF16), 1);
    }
}

void add_resnet(std::vector<Case>& cases, int64_t n) {
  add_alone(cases, cat("resnet b", n, " stem"), kStem, conv_problem(resnet50_stem(n).conv, DataType::kF16), 1);
  for (const NetworkLayer& l : resnet50_layers(n))
    add_timed(cases, cat("resnet b", n, " ", l.name), conv_problem(l.conv, DataType::kF16), l.times);
  add_timed(cases, cat("resnet b", n, " fc"),
            conv_problem({n, 2048, 1, 1, 1000, 1, 1, 1, 0, 0, 1, 1, {true, false, Activation::kNone}}, DataType::kF16), 1);
}

void add_bert(std::vector<Case>& cases) {
  for (int64_t n : {1, 8, 128}) {
    add_alone(cases, cat("bert b", n, " attention"), kAttention, attention_problem({n, 12, 128, 128, 64, 0, true}, DataType::kF16), 12);
    add_timed(cases, cat("bert b", n, " qkv"), product_problem({{n}, 128, 2304, 768, true, {}, {true, false, Activation::kNone}}, DataType::kF16), 12);
    add_timed(cases, cat("bert b", n, " proj"), product_problem({{n}, 128, 768, 768, true, {}, {true, true, Activation::kNone}}, DataType::kF16), 12);
    add_timed(cases, cat("bert b", n, " ffn1"), product_problem({{n}, 128, 3072, 768, true, {}, {true, false, Activation::kGelu}}, DataType::kF16), 12);
    add_timed(cases, cat("bert b", n, " ffn2"), product_problem({{n}, 128, 768, 3072, true, {}, {true, true, Activation::kNone}}, DataType::kF16), 12);
  }
}

int run(int argc, char** argv) {
  std::vector<Case> cases;
  for (int i = 2; i < argc; ++i) {
    const std::string part = argv[i];
    if (part == "odd") add_odd(cases);
    if (part == "more") add_more(cases);
    if (part == "pools") add_pools(cases);
    if (part.rfind("pooled", 0) == 0) add_pooled_layers(cases, std::atoi(part.c_str() + 6));
    if (part == "gemm") for (int64_t n : {4096, 8192}) add_timed(cases, cat("gemm ", n), product_problem({{}, n, n, n}, DataType::kF16), 1);
    if (part.rfind("resnet", 0) == 0) add_resnet(cases, std::atoi(part.c_str() + 6));
    if (part == "bert") add_bert(cases);
  }
  kernel::KernelRegistry registry;
  register_families(registry);
  kernel::DeviceInfo info;
  info.kind = "cuda";
  info.isa = "sm_90a";
  info.memory_gbps = 4800;
  info.properties = {{"sm_count", "132"}};
  std::vector<Candidate> candidates;
  int refused = 0;
  for (size_t i = 0; i < cases.size(); ++i) {
    const Case& c = cases[i];
    const auto& def = static_cast<const EmittedKernelDef&>(*registry.find(c.family));
    const kernel::DeviceInfo device = described(info, c);
    if (Status s = def.supports(c.problem, device); !s.ok()) {
      std::printf("refused: %s by %s: %s\n", c.name.c_str(), c.family.c_str(), s.message().c_str());
      ++refused;
      continue;
    }
    const Problem laid = laid_out(def, c.problem, device, c.layout);
    std::vector<Tactic> tactics = def.tactics(laid, device);
    if (c.timed && c.family == kPlain) tactics.resize(1);
    if (!c.timed && c.family == kWgmma) {
      tactics.clear();
      auto product = pooled_product_of(laid);
      for (wgmma::Tile t : every_tile())
        for (const bool boxes : {false, true}) {
          t.boxes = boxes;
          if (wgmma::plan_of(*product, t).ok()) tactics.push_back(wgmma::write(t));
        }
    }
    for (const Tactic& t : tactics) {
      Candidate one;
      one.of = i;
      one.tactic = t;
      one.predicted_us = def.predict_us(laid, t, device);
      candidates.push_back(std::move(one));
    }
  }
  const double begin = seconds();
  std::atomic<int> spills{0}, failed{0};
  parallel(candidates.size(), [&](size_t i) {
    Candidate& c = candidates[i];
    const Case& of = cases[c.of];
    const auto& def = static_cast<const EmittedKernelDef&>(*registry.find(of.family));
    const kernel::DeviceInfo device = described(info, of);
    const Problem laid = laid_out(def, of.problem, device, of.layout);
    auto step = def.emit(laid, c.tactic, device);
    if (!step.ok()) { c.error = step.status().to_string(); ++failed; return; }
    c.artifact = {kGeneratorVersion, info.isa, kernel::fingerprint(laid), {}, step->workspace_bytes, {}};
    for (EmittedKernel& k : step->kernels) {
      c.entry = k.entry;
      auto compiled = compile_source("#define TRAP_ON_HANG\n" + k.source, info.isa);
      if (!compiled.ok()) { c.error = compiled.status().to_string(); ++failed; return; }
      if (compiled->log.find(" 0 bytes spill stores") == std::string::npos && compiled->log.find("spill stores") != std::string::npos) ++spills;
      k.source.clear();
      c.artifact.kernels.push_back({std::move(k), compiled->cubin});
    }
  });
  std::printf("%zu cases (%d refused), %zu kernels compiled in %.1f s, %d failed, %d spill\n", cases.size(), refused, candidates.size(), seconds() - begin, failed.load(), spills.load());
  for (const Candidate& c : candidates) if (!c.error.empty()) { std::printf("compile: %s %s\n", cases[c.of].name.c_str(), c.error.substr(0, 400).c_str()); break; }
  std::fflush(stdout);

  auto* progress = static_cast<std::atomic<size_t>*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  progress->store(0);
  std::FILE* file = std::fopen(argv[1], "w");
  std::fclose(file);
  int crashes = 0;
  while (progress->load() < candidates.size() && crashes < 40) {
    const pid_t child = fork();
    if (child == 0) {
      std::FILE* out = std::fopen(argv[1], "a");
      for (int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE})
        ::signal(signal, [](int number) {
          void* frames[40];
          backtrace_symbols_fd(frames, backtrace(frames, 40), 1);
          _exit(100 + number);
        });
      Runner runner(cases, registry);
      runner.by_wall_clock = crashes >= 2;
      if (Status s = runner.open(); !s.ok()) { std::printf("%s\n", s.to_string().c_str()); std::fflush(stdout); _exit(3); }
      for (size_t i = progress->load(); i < candidates.size(); ++i) {
        progress->store(i + 1);
        if (!candidates[i].error.empty()) continue;
        const std::string line = runner.run(candidates[i]);
        std::fprintf(out, "%s\n", line.c_str());
        std::fflush(out);
        if (runner.fatal()) { std::printf("fatal: %s\n", line.c_str()); std::fflush(stdout); _exit(2); }
      }
      std::fclose(out);
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 3) return 3;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
    ++crashes;
    std::printf("child ended: exit %d signal %d at %zu\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                WIFSIGNALED(status) ? WTERMSIG(status) : 0, progress->load());
    std::fflush(stdout);
  }
  std::printf("done in %.1f s, %d restarts\n", seconds() - begin, crashes);
  return 0;
}

}  // namespace
}  // namespace planish::cuda

int main(int argc, char** argv) { return argc < 3 ? 2 : planish::cuda::run(argc, argv); }
