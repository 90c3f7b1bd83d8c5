// A complete plugin: one operator and one kernel for it.
//
// ExamplePairDistance takes points a [n, k] and b [m, k] and gives their squared distances
// [n, m], times `scale`. The kernel computes |a|^2 + |b|^2 - 2 a.b with the squared lengths of b's
// rows in the workspace; a block size that it chose at build time comes back to it as its artifact.
// It says no to a fused epilogue, with the reason; Planish then runs the epilogue as its own step.
// Built as a module that links nothing; load it with --plugin or planish::load_plugin.
#include <cstring>

#include "planish/plugin_op.h"

namespace {

using planish::plugin::invalid;
using planish::plugin::Kernel;
using planish::plugin::NodeView;
using planish::plugin::ok;
using planish::plugin::Op;
using planish::plugin::Outcome;
using planish::plugin::Shapes;
using planish::plugin::TensorView;
using planish::plugin::unsupported;

class PairDistance : public Op {
 public:
  PairDistance()
      : Op("ExamplePairDistance", "com.example",
           "Squared distances between the rows of a and the rows of b, times scale.",
           PLANISH_PLUGIN_CONTRACTION) {
    add_input("a", kF32);
    add_input("b", kF32);
    add_output("distance", kF32);
    add_float("scale", 1.0, "Factor on every distance.");
  }

  Outcome infer(const NodeView& node, const Shapes& shapes) const override {
    const TensorView a = node.input(0), b = node.input(1);
    if (a.rank() != 2 || b.rank() != 2)
      return invalid("expected a and b of rank 2, got " + std::to_string(a.rank()) + " and " +
                     std::to_string(b.rank()));
    if (a.dim_text(1) != b.dim_text(1))
      return invalid("rows of a have " + a.dim_text(1) + " elements, rows of b " + b.dim_text(1));
    return shapes.set(0, a.dtype(), {a.dim_text(0), b.dim_text(0)});
  }

  Outcome evaluate(const NodeView& node, planish_plugin_tensor* const* outputs) const override {
    const TensorView a = node.input(0), b = node.input(1);
    const double scale = node.attribute_float("scale");
    const int64_t n = a.dim(0), m = b.dim(0), k = a.dim(1);
    float* to = TensorView(outputs[0]).data<float>();
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < m; ++j) {
        double sum = 0;
        for (int64_t c = 0; c < k; ++c) {
          const double d = double(a.data<float>()[i * k + c]) - double(b.data<float>()[j * k + c]);
          sum += d * d;
        }
        to[i * m + j] = float(scale * sum);
      }
    }
    return ok();
  }
};

class PairDistanceKernel : public Kernel {
 public:
  PairDistanceKernel() : Kernel("example.pair_distance", "ExamplePairDistance", "cpu") {}

  Outcome supports(const planish_plugin_problem& problem) const override {
    if (problem.epilogue)
      return unsupported("it writes its result itself and takes no epilogue: " +
                         std::string(problem.epilogue));
    return ok();
  }

  double predict_us(const planish_plugin_problem& problem) const override {
    const NodeView node(problem.node);
    return 1 + 1e-3 * double(node.input(0).count()) * double(node.input(1).dim(0));
  }

  int64_t workspace_bytes(const planish_plugin_problem& problem) const override {
    return NodeView(problem.node).input(1).dim(0) * int64_t(sizeof(float));
  }

  Outcome compile(const planish_plugin_problem& problem, std::string& bytes) const override {
    const int32_t block = NodeView(problem.node).input(1).dim(0) >= 64 ? 64 : 8;
    bytes.assign(reinterpret_cast<const char*>(&block), sizeof(block));
    return ok();
  }

  Outcome run(const planish_plugin_run& run) const override {
    const NodeView node(run.problem->node);
    int32_t block = 0;
    if (run.artifact_bytes != sizeof(block)) return invalid("the artifact is not this kernel's");
    std::memcpy(&block, run.artifact, sizeof(block));
    if (block < 1) return invalid("the artifact holds block size " + std::to_string(block));
    Job job{};
    job.a = static_cast<const float*>(run.inputs[0]);
    job.b = static_cast<const float*>(run.inputs[1]);
    job.to = static_cast<float*>(run.outputs[0]);
    job.lengths = static_cast<float*>(run.workspace);
    job.m = node.input(1).dim(0);
    job.k = node.input(0).dim(1);
    job.block = block;
    job.scale = float(node.attribute_float("scale"));
    for (int64_t j = 0; j < job.m; ++j)
      job.lengths[j] = dot(job.b + j * job.k, job.b + j * job.k, job.k);
    run.parallel_for(run.host, node.input(0).dim(0), compute_row, &job);
    return ok();
  }

 private:
  struct Job {
    const float *a, *b;
    float *to, *lengths;
    int64_t m, k, block;
    float scale;
  };

  static float dot(const float* x, const float* y, int64_t k) {
    float sum = 0;
    for (int64_t c = 0; c < k; ++c) sum += x[c] * y[c];
    return sum;
  }

  static void compute_row(void* context, int64_t i) {
    const Job& job = *static_cast<const Job*>(context);
    const float* a = job.a + i * job.k;
    const float length = dot(a, a, job.k);
    for (int64_t begin = 0; begin < job.m; begin += job.block) {
      const int64_t end = std::min(job.m, begin + job.block);
      for (int64_t j = begin; j < end; ++j) {
        const float d = length + job.lengths[j] - 2 * dot(a, job.b + j * job.k, job.k);
        job.to[i * job.m + j] = job.scale * (d > 0 ? d : 0);
      }
    }
  }
};

}  // namespace

extern "C" __attribute__((visibility("default"))) const planish_plugin* planish_plugin_entry(
    uint32_t host_abi) {
  if (host_abi != PLANISH_PLUGIN_ABI) return nullptr;
  static PairDistance op;
  static PairDistanceKernel kernel;
  return planish::plugin::describe("example-pair-distance", "1.0", {&op}, {&kernel});
}
