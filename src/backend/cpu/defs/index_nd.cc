// GatherND and ScatterND: pieces of neighbouring elements copied whole, from or to where rows of
// indices say. An index out of range ends the run in an error; nothing outside is read or written.
#include <atomic>
#include <cstring>

#include "backend/cpu/defs/refusal.h"
#include "backend/cpu/defs/register_kernels.h"
#include "base/text.h"
#include "base/thread_team.h"

namespace planish::cpu {
namespace {

using kernel::Problem;

struct NdView {
  bool scatter = false;
  int64_t batches = 1, batch_pieces = 1;  // pieces of the indexed tensor per batch
  int64_t rows = 1;                       // index rows per batch
  std::vector<int64_t> sizes, steps;      // of the indexed dims, steps in pieces
  int64_t piece_bytes = 1, total_bytes = 1;
  int data = 0, indices = 1, updates = -1;
};

int64_t product(const std::vector<int64_t>& dims, size_t begin, size_t end) {
  int64_t p = 1;
  for (size_t d = begin; d < end; ++d) p *= dims[d];
  return p;
}

Result<NdView> nd_view(const Problem& problem) {
  const std::string_view op = problem.root_op();
  if (op != "GatherND" && op != "ScatterND") return other_family();
  if (problem.stages.size() != 1) return unsupported("an epilogue");
  const kernel::Stage& stage = problem.stages[0];
  NdView v;
  v.scatter = op == "ScatterND";
  v.data = stage.inputs[0];
  v.indices = stage.inputs[1];
  if (v.scatter) v.updates = stage.inputs[2];
  const ir::TensorType& data = problem.type_of(v.data);
  if (ir::bits_of(data.dtype) < 8) return unsupported("elements of less than a byte");
  if (problem.type_of(v.indices).dtype != ir::DataType::kI64)
    return unsupported("indices are not i64");
  if (v.scatter && std::get<std::string>(stage.attrs.find("reduction")->second) != "none")
    return unsupported("a reduction");
  const std::vector<int64_t> dims = ir::to_dims(data.shape);
  const std::vector<int64_t> index = ir::to_dims(problem.type_of(v.indices).shape);
  const size_t batch =
      v.scatter ? 0 : size_t(std::get<int64_t>(stage.attrs.find("batch_dims")->second));
  const size_t depth = size_t(index.back());
  v.batches = product(dims, 0, batch);
  v.rows = product(index, batch, index.size() - 1);
  v.batch_pieces = product(dims, batch, batch + depth);
  v.sizes.assign(dims.begin() + long(batch), dims.begin() + long(batch + depth));
  for (size_t k = 0; k < depth; ++k)
    v.steps.push_back(product(dims, batch + k + 1, batch + depth));
  v.piece_bytes = ir::bytes_of(data.dtype, product(dims, batch + depth, dims.size()));
  v.total_bytes = ir::bytes_of(data.dtype, product(dims, 0, dims.size()));
  return v;
}

class NdLaunchable : public kernel::Launchable {
 public:
  explicit NdLaunchable(NdView view) : v_(std::move(view)) {}
  Status run(const kernel::RunArgs& args) const override {
    const auto* indices = static_cast<const int64_t*>(args.operands[size_t(v_.indices)].data);
    const auto* data = static_cast<const std::byte*>(args.operands[size_t(v_.data)].data);
    auto* out = static_cast<std::byte*>(args.results[0].data);
    const std::byte* from = data;
    if (v_.scatter) {
      if (out != data) std::memcpy(out, data, size_t(v_.total_bytes));
      from = static_cast<const std::byte*>(args.operands[size_t(v_.updates)].data);
    }
    std::atomic<int64_t> bad{-1};
    const auto body = [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t piece = piece_of(indices, row, bad);
        if (piece < 0) return;
        if (v_.scatter) copy(out + piece * v_.piece_bytes, from + row * v_.piece_bytes);
        else copy(out + row * v_.piece_bytes, from + piece * v_.piece_bytes);
      }
    };
    // Where rows name the same piece the last one wins: scattering keeps their order.
    const int64_t total = v_.batches * v_.rows;
    if (v_.scatter || total * v_.piece_bytes < 16384) body(0, total, 0);
    else args.team->parallel_for(total, body);
    if (const int64_t at = bad; at >= 0) {
      const int64_t size = v_.sizes[size_t(at) % v_.sizes.size()];
      return invalid_argument(cat("input 1 (indices): element ", at, " is ", indices[at],
                                  ", expected ", -size, " to ", size - 1));
    }
    return ok_status();
  }

 private:
  void copy(std::byte* to, const std::byte* from) const {
    std::memcpy(to, from, size_t(v_.piece_bytes));
  }
  int64_t piece_of(const int64_t* indices, int64_t row, std::atomic<int64_t>& bad) const {
    int64_t piece = v_.scatter ? 0 : row / v_.rows * v_.batch_pieces;
    const int64_t depth = int64_t(v_.sizes.size());
    for (int64_t k = 0; k < depth; ++k) {
      int64_t index = indices[row * depth + k];
      if (index < 0) index += v_.sizes[size_t(k)];
      if (index < 0 || index >= v_.sizes[size_t(k)]) {
        bad = row * depth + k;
        return -1;
      }
      piece += index * v_.steps[size_t(k)];
    }
    return piece;
  }
  NdView v_;
};

class NdKernel : public kernel::KernelDef {
 public:
  std::string name() const override { return "cpu.index_nd"; }
  std::string device_kind() const override { return "cpu"; }
  Status supports(const Problem& problem, const kernel::DeviceInfo&) const override {
    return nd_view(problem).status();
  }
  double predict_us(const Problem& problem, const kernel::Tactic&,
                    const kernel::DeviceInfo& device) const override {
    const auto v = nd_view(problem);
    if (!v.ok()) return 1e12;
    const double rows = double(v->batches * v->rows);
    const double bytes = 2 * rows * double(v->piece_bytes) + (v->scatter ? 2.0 * double(v->total_bytes) : 0);
    return 1 + rows * 2e-3 + bytes / (device.memory_gbps * 1e3);
  }
  bool in_place(const Problem& problem, int, int operand) const override {
    return problem.root_op() == "ScatterND" && operand == problem.stages[0].inputs[0];
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    PLANISH_ASSIGN_OR_RETURN(NdView view, nd_view(*args.problem));
    return std::unique_ptr<kernel::Launchable>(std::make_unique<NdLaunchable>(std::move(view)));
  }
};

}  // namespace

void register_index_nd_kernel(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<NdKernel>());
}

}  // namespace planish::cpu
