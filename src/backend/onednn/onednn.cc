#include "backend/onednn/onednn.h"

#include <mutex>
#include <new>

#include "backend/cpu/kernels/isa.h"
#include "base/text.h"
#include "base/thread_team.h"

// OpenMP's own header is missing beside clang; these two are part of its specification.
extern "C" int omp_get_max_threads(void);
extern "C" void omp_set_num_threads(int count);

namespace planish::onednn {
namespace {

constexpr int kOwnVersion = 1;
constexpr int64_t kAlignment = 64;

int64_t aligned(size_t bytes) {
  return (int64_t(bytes) + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

OneThread::OneThread() : before_(omp_get_max_threads()) {
  if (before_ != 1) omp_set_num_threads(1);
}
OneThread::~OneThread() {
  if (before_ != 1) omp_set_num_threads(before_);
}

const dnnl::engine& engine() {
  static const dnnl::engine& the_engine = *[] {
    // PLANISH_ISA caps oneDNN too; too late when the host has used it before, and then it is as is.
    using cpu::Isa;
    const Isa isa = cpu::best_isa();
    if (isa == Isa::kAvx2) (void)dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx2);
    if (isa == Isa::kPortable) (void)dnnl_set_max_cpu_isa(dnnl_cpu_isa_sse41);
    return new dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return the_engine;
}

Status guarded(std::string_view what, const std::function<Status()>& body) {
  const OneThread one_thread;
  try {
    return body();
  } catch (const dnnl::error& e) {
    if (e.status == dnnl_out_of_memory)
      return resource_exhausted(cat("oneDNN: no memory for ", what));
    return unsupported(cat("oneDNN: ", what, ": ", e.what()));
  } catch (const std::bad_alloc&) {
    return resource_exhausted(cat("no memory for ", what));
  }
}

int kernel_version() {
  const dnnl_version_t* v = dnnl_version();
  return kOwnVersion * 1000000 + v->major * 10000 + v->minor * 100 + v->patch;
}

int64_t lanes() { return cpu::vector_width(cpu::best_isa()); }
ir::Layout blocked_layout() { return ir::Layout::blocked(1, int(lanes())); }

Desc describe(const Dims& dims, bool blocked) {
  using Tag = dnnl::memory::format_tag;
  static constexpr Tag kTags[3][3] = {{Tag::ncw, Tag::nCw8c, Tag::nCw16c},
                                      {Tag::nchw, Tag::nChw8c, Tag::nChw16c},
                                      {Tag::ncdhw, Tag::nCdhw8c, Tag::nCdhw16c}};
  const Tag tag = kTags[dims.size() - 3][!blocked ? 0 : lanes() == 8 ? 1 : 2];
  return Desc(dims, dnnl::memory::data_type::f32, tag);
}

int64_t Piece::scratchpad_bytes() const { return aligned(scratchpad.get_size()); }

Status Piece::execute(const float* from, const std::byte* weights_at, const float* bias_at, float* to,
                      std::byte* scratchpad_at) const {
  return guarded(name, [&] {
    thread_local dnnl::stream stream(engine());
    std::unordered_map<int, dnnl::memory> args;
    const auto pass = [&](int which, const Desc& desc, const void* at) {
      if (!desc.is_zero()) args.emplace(which, dnnl::memory(desc, engine(), const_cast<void*>(at)));
    };
    pass(DNNL_ARG_SRC, source, from);
    pass(DNNL_ARG_WEIGHTS, weights, weights_at);
    pass(DNNL_ARG_BIAS, bias, bias_at);
    pass(DNNL_ARG_DST, destination, to);
    pass(DNNL_ARG_SCRATCHPAD, scratchpad, scratchpad_at);
    primitive.execute(stream, args);
    stream.wait();
    return ok_status();
  });
}

Status not_a_reference(const char* implementation) {
  if (std::string_view(implementation).rfind("ref", 0) != 0) return ok_status();
  return unsupported("oneDNN has only its reference code for it");
}

Status reorder(const Desc& given, const float* from, const Desc& wanted, std::byte* to) {
  return guarded("packing weights", [&] {
    dnnl::stream stream(engine());
    dnnl::memory source(given, engine(), const_cast<float*>(from)), target(wanted, engine(), to);
    dnnl::reorder(source, target).execute(stream, source, target);
    stream.wait();
    return ok_status();
  });
}

int64_t part_bytes(const Desc& weights) { return aligned(weights.get_size()); }

Status append_packed(const Asked& asked, const float* weights, int64_t step, int64_t parts,
                     kernel::Blob& blob) {
  const int64_t bytes = part_bytes(asked.piece.weights);
  const size_t begin = blob.bytes.size();
  blob.bytes.resize(begin + size_t(parts * bytes));
  for (int64_t i = 0; i < parts; ++i)
    PLANISH_RETURN_IF_ERROR(reorder(asked.given_weights, weights + i * step, asked.piece.weights,
                                    blob.bytes.data() + begin + size_t(i * bytes)));
  return ok_status();
}

Status check_packed(std::span<const std::byte> packed, const Asked& asked, int64_t parts) {
  const int64_t expected = parts * part_bytes(asked.piece.weights);
  if (int64_t(packed.size()) >= expected) return ok_status();
  return data_loss(cat("packed weights have ", packed.size(), " bytes, expected ", expected));
}

int64_t parts_of(int64_t units, int64_t limit) {
  for (int64_t parts = std::min(units, limit); parts > 1; --parts)
    if (units % parts == 0) return parts;
  return 1;
}

Status run_tasks(ThreadTeam& team, int64_t count,
                 const std::function<Status(int64_t, int)>& task) {
  std::mutex mutex;
  Status first;
  team.parallel_for(
      count,
      [&](int64_t begin, int64_t end, int thread) {
        for (int64_t i = begin; i < end; ++i) {
          Status status = task(i, thread);
          if (status.ok()) continue;
          std::lock_guard lock(mutex);
          if (first.ok()) first = std::move(status);
        }
      },
      1);
  return first;
}

}  // namespace planish::onednn
