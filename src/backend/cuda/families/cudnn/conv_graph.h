// ConvGraph: a convolution with its epilogue as a graph of cuDNN's, channels last, and the engine
// configurations that run it.
//
// The graph is convolution, then residual, bias and ReLU where they are there, each an operation on a
// virtual f32 tensor: the form that cuDNN's precompiled engines know. A configuration is an engine's
// number and the values of its knobs, which is what a plan keeps of it.
#pragma once
#include <map>
#include <memory>
#include <vector>

#include "backend/cuda/library/cudnn.h"
#include "backend/cuda/library/fused_product.h"

namespace planish::cuda::cudnn {

struct Configuration {
  int64_t engine = 0;
  std::map<int64_t, int64_t> knobs;  // cudnnBackendKnobType_t -> value
  bool tensor_cores = false, compiled_at_run_time = false;
  friend bool operator==(const Configuration&, const Configuration&) = default;
};

// "engine=38,k3=1", and what such a text says.
kernel::Tactic write(const Configuration& configuration);
Configuration read(const kernel::Tactic& tactic);

class ConvGraph {
 public:
  // Of a product that is a convolution. `tf32`: f32 operands may be rounded to it.
  static Result<ConvGraph> make(const Cudnn& library, Handle handle, const FusedProduct& fused, bool tf32);
  ConvGraph(ConvGraph&&) = default;

  // What cuDNN's heuristics propose, best first, and the library agrees to plan; sums in f32,
  // deterministic, without transforms that round differently. Engines that compile at run time are
  // taken only to fill a short list.
  Result<std::vector<Configuration>> proposals(Handle handle, int most);

  // A finished plan, and how much workspace it takes.
  struct Plan {
    std::vector<std::unique_ptr<CudnnDescriptor>> parts;  // what the descriptor was made of
    CudnnDescriptor descriptor;
    int64_t workspace_bytes = 0;
    bool tensor_cores = false;
  };
  Result<Plan> plan(Handle handle, const Configuration& configuration);

  // The weights are at `weights`: packed [filter][tap][depth].
  static Status run(const Cudnn& library, Handle handle, const Plan& plan, const FusedProduct& fused,
                    const kernel::RunArgs& args, const void* weights, void* workspace);

 private:
  ConvGraph(const Cudnn& library, bool tf32) : library_(&library), tf32_(tf32) {}
  Status build(Handle handle, const FusedProduct& fused);
  // `id` -1: a virtual tensor, which gets one of its own.
  CudnnDescriptor& tensor(int64_t id, int type, const int64_t (&dims)[4], const int64_t (&strides)[4]);
  CudnnDescriptor& pointwise(int mode, double high);
  void combine(const CudnnDescriptor& how, const CudnnDescriptor& x, const CudnnDescriptor* b,
               const CudnnDescriptor& y);
  Result<Configuration> describe(CudnnDescriptor& configuration);
  Status allowed(uint32_t notes) const;
  Result<Plan> finish(Handle handle, CudnnDescriptor& configuration);

  const Cudnn* library_;
  bool tf32_;
  bool f32_ = false;
  int64_t next_virtual_ = 100;
  // In the order of their making; a descriptor outlives those that name it.
  std::vector<std::unique_ptr<CudnnDescriptor>> parts_;
  std::vector<Descriptor> operations_;
  CudnnDescriptor* graph_ = nullptr;
};

}  // namespace planish::cuda::cudnn
