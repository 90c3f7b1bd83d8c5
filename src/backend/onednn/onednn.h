// oneDNN behind this folder's kernels: its engine, errors as Status, and one primitive ready to run.
//
// oneDNN runs on one thread here, always: a primitive computes one piece (an image, a range of its
// channels) inside a task of our ThreadTeam, so that no second pool of threads spins beside ours
// (docs/decisions/0013). OpenMP's thread count is a property of the calling thread; OneThread sets it
// for a scope and puts the host's back.
#pragma once
#include <dnnl.hpp>
#include <functional>
#include <span>
#include <string_view>

#include "base/status.h"
#include "ir/type.h"
#include "kernel/kernel_def.h"

namespace planish::onednn {

using Desc = dnnl::memory::desc;
using Dims = dnnl::memory::dims;

class OneThread {
 public:
  OneThread();
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

// Never destroyed. Must be called inside guarded().
const dnnl::engine& engine();

// `body` on one thread; what oneDNN throws becomes kUnsupported (it takes the problem not) or
// kResourceExhausted, and names what was asked for.
Status guarded(std::string_view what, const std::function<Status()>& body);

// Ours, raised when a format or tactic of this folder changes, and oneDNN's: packed weights have the
// library's own formats.
int kernel_version();

// Dense f32 of these dims (batch, channels, spatial), row-major or with blocked channels.
Desc describe(const Dims& dims, bool blocked);
ir::Layout blocked_layout();
int64_t lanes();  // channels per block of blocked_layout()

// A primitive of one piece. Immutable; execute() is thread-safe.
struct Piece {
  dnnl::primitive primitive;
  Desc source, weights, bias, destination, scratchpad;  // empty ones are not passed
  std::string_view name;

  int64_t scratchpad_bytes() const;  // a multiple of 64
  Status execute(const float* from, const std::byte* weights_at, const float* bias_at, float* to,
                 std::byte* scratchpad_at) const;
};

// kUnsupported when oneDNN has nothing but its own reference code for the primitive.
Status not_a_reference(const char* implementation);

// Copies f32 elements at `from`, laid out as `given`, into `wanted` at `to`.
Status reorder(const Desc& given, const float* from, const Desc& wanted, std::byte* to);

// Bytes of one part's packed weights: parts stand one after another.
int64_t part_bytes(const Desc& weights);

// A primitive and the form in which the model has one part's weights.
struct Asked {
  Piece piece;
  Desc given_weights;
};
// Packs the weights of all parts, `step` elements apart, behind what the blob holds.
Status append_packed(const Asked& asked, const float* weights, int64_t step, int64_t parts,
                     kernel::Blob& blob);
// What append_packed() made is there from the beginning on.
Status check_packed(std::span<const std::byte> packed, const Asked& asked, int64_t parts);

// The largest number of equal parts of `units` that is at most `limit`.
int64_t parts_of(int64_t units, int64_t limit);

// Runs task(i, thread) for i in [0, count) on the team; the first failure is returned.
Status run_tasks(ThreadTeam& team, int64_t count,
                 const std::function<Status(int64_t, int)>& task);

}  // namespace planish::onednn
