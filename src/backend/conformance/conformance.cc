#include "backend/conformance/conformance.h"

#include <algorithm>
#include <cstring>

#include "backend/conformance/expected.h"
#include "base/text.h"
#include "base/thread_team.h"
#include "eval/interpreter.h"
#include "kernel/control_kernel.h"
#include "kernel/set_layouts.h"
#include "opdef/make_problem.h"

namespace planish::conformance {
namespace {

constexpr int64_t kGuard = 256;  // bytes before and behind a result
constexpr std::byte kGuardByte{0xA5}, kPoison{0xFF};  // 0xFF..: NaN in every floating type

using Bytes = std::vector<std::byte>;

int64_t physical_bytes(const ir::TensorType& type) {
  return ir::bytes_of(type.dtype,
                      ir::physical_element_count(ir::to_dims(type.shape), type.layout));
}

// Calls visit(logical, physical) for every element, and padding(physical) for the rest.
template <class Visit, class Padding>
void for_each_element(const ir::TensorType& type, Visit visit, Padding padding) {
  const std::vector<int64_t> dims = ir::to_dims(type.shape);
  const size_t rank = dims.size();
  const ir::Layout& layout = type.layout;
  std::vector<size_t> order(rank);
  for (size_t d = 0; d < rank; ++d)
    order[d] = layout.perm.empty() ? d : size_t(layout.perm[d]);
  std::vector<int64_t> outer = dims;
  if (layout.block_dim >= 0) {
    int64_t& blocked = outer[size_t(layout.block_dim)];
    blocked = (blocked + layout.block - 1) / layout.block;
  }
  std::vector<bool> seen(size_t(ir::physical_element_count(dims, layout)), false);
  std::vector<int64_t> index(rank, 0);
  const int64_t count = ir::element_count(std::span<const int64_t>(dims));
  for (int64_t logical = 0; logical < count; ++logical) {
    int64_t at = 0;
    for (size_t d : order) {
      const bool blocked = int(d) == layout.block_dim;
      at = at * outer[d] + (blocked ? index[d] / layout.block : index[d]);
    }
    if (layout.block_dim >= 0)
      at = at * layout.block + index[size_t(layout.block_dim)] % layout.block;
    seen[size_t(at)] = true;
    visit(logical, at);
    for (size_t d = rank; d-- > 0;) {
      if (++index[d] < dims[d]) break;
      index[d] = 0;
    }
  }
  for (size_t i = 0; i < seen.size(); ++i)
    if (!seen[i]) padding(int64_t(i));
}

Bytes laid_out(const ir::Tensor& tensor, const ir::TensorType& type) {
  Bytes out(size_t(physical_bytes(type)), std::byte(0));
  const auto* from = static_cast<const std::byte*>(tensor.data());
  if (type.layout.is_row_major()) {
    std::copy_n(from, tensor.bytes(), out.begin());
    return out;
  }
  const int64_t size = ir::bytes_of(type.dtype, 1);
  for_each_element(
      type,
      [&](int64_t logical, int64_t at) {
        std::memcpy(out.data() + at * size, from + logical * size, size_t(size));
      },
      [](int64_t) {});
  return out;
}

// Row-major elements; `unclean` counts bytes of padding that are not zero.
ir::Tensor logical(const std::byte* bytes, const ir::TensorType& type, int64_t& unclean) {
  ir::Tensor out(type.dtype, ir::to_dims(type.shape));
  auto* to = static_cast<std::byte*>(out.mutable_data());
  if (type.layout.is_row_major()) {
    std::memcpy(to, bytes, size_t(out.bytes()));
    return out;
  }
  const int64_t size = ir::bytes_of(type.dtype, 1);
  for_each_element(
      type,
      [&](int64_t i, int64_t at) { std::memcpy(to + i * size, bytes + at * size, size_t(size)); },
      [&](int64_t at) {
        for (int64_t b = 0; b < size; ++b) unclean += bytes[at * size + b] != std::byte(0);
      });
  return out;
}

bool is_sized(const kernel::Problem& problem) {
  for (int r = 0; r < int(problem.results.size()); ++r)
    if (!ir::is_constant(problem.result_type(r).shape)) return false;
  return true;
}

// One kernel in one layout with one tactic.
class Trial {
 public:
  Trial(const opdef::OpRegistry& registry, backend::Device& device,
        const kernel::KernelDef& kernel, const kernel::Problem& problem, const Subject& subject,
        const Expected& expected)
      : registry_(registry), device_(device), kernel_(kernel), problem_(problem),
        subject_(subject), expected_(expected) {}

  Status run(const kernel::Tactic& tactic) {
    const kernel::DeviceInfo& info = device_.info();
    std::vector<ir::Tensor> constants(problem_.operands.size());
    for (size_t i = 0; i < constants.size(); ++i)
      if (problem_.operands[i].present && problem_.operands[i].constant)
        constants[i] = subject_.operands[i];
    PLANISH_ASSIGN_OR_RETURN(stream_, device_.create_stream());
    PLANISH_ASSIGN_OR_RETURN(kernel::Blob artifact, kernel_.compile(problem_, tactic, info));
    PLANISH_ASSIGN_OR_RETURN(kernel::Blob packed,
                             kernel_.pack(problem_, tactic, info, constants));
    kernel::BindArgs bind;
    bind.problem = &problem_;
    bind.tactic = &tactic;
    bind.device = &info;
    bind.packed = packed.bytes;
    bind.artifact = artifact.bytes;
    bind.constants = constants;
    PLANISH_ASSIGN_OR_RETURN(auto launchable, kernel_.bind(bind));
    std::vector<kernel::BufferRef> operands, results;
    for (size_t i = 0; i < problem_.operands.size(); ++i) {
      const kernel::Operand& operand = problem_.operands[i];
      void* at = nullptr;
      if (operand.present && !(operand.constant && kernel_.packs(problem_, int(i)))) {
        PLANISH_ASSIGN_OR_RETURN(at, place(laid_out(subject_.operands[i], operand.type)));
      }
      operands.push_back({at, 0});
    }
    for (size_t r = 0; is_sized(problem_) && r < problem_.results.size(); ++r) {
      Bytes bytes(size_t(physical_bytes(problem_.result_type(int(r))) + 2 * kGuard), kPoison);
      std::fill_n(bytes.begin(), kGuard, kGuardByte);
      std::fill_n(bytes.end() - kGuard, kGuard, kGuardByte);
      PLANISH_ASSIGN_OR_RETURN(void* at, place(bytes));
      results.push_back({static_cast<std::byte*>(at) + kGuard, 0});
    }
    PLANISH_ASSIGN_OR_RETURN(
        void* workspace, place(Bytes(size_t(launchable->workspace_bytes() + 64), kPoison)));
    static ThreadTeam team(2, "conformance");
    kernel::RunArgs args;
    args.operands = operands;
    args.results = results;
    args.workspace = static_cast<std::byte*>(workspace);
    args.team = &team;
    args.stream = stream_->handle();
    if (const auto* control = dynamic_cast<const kernel::ControlLaunchable*>(launchable.get())) {
      PLANISH_RETURN_IF_ERROR(run_control(*control, args));
    } else {
      PLANISH_RETURN_IF_ERROR(launchable->run(args));
    }
    PLANISH_RETURN_IF_ERROR(stream_->synchronize());
    for (size_t r = 0; r < results.size(); ++r) PLANISH_RETURN_IF_ERROR(look_at(r, results[r].data));
    return ok_status();
  }

 private:
  // The bodies are interpreted: what is looked at is the control flow around them.
  Status run_control(const kernel::ControlLaunchable& control, const kernel::RunArgs& args) const {
    const auto interpret = [&](std::string_view key, std::span<const ir::Tensor> inputs) {
      const auto found = problem_.stages[0].attrs.find(key);
      return eval::interpret(registry_, *std::get<ir::GraphPtr>(found->second), inputs);
    };
    if (is_sized(problem_)) return control.run_bodies(args, interpret);
    PLANISH_ASSIGN_OR_RETURN(const std::vector<ir::Tensor> results,
                             control.run_bodies_allocating(args, interpret));
    for (size_t r = 0; r < results.size(); ++r) {
      const ir::Tensor& wanted = expected_.values[r];
      if (results[r].type() != wanted.type())
        return wrong(r, cat("got ", ir::to_string(results[r].type()), ", expected ",
                            ir::to_string(wanted.type())));
      if (std::string what = difference(results[r], wanted, expected_.bounds[r]); !what.empty())
        return wrong(r, std::move(what));
    }
    return ok_status();
  }

  static Status wrong(size_t r, std::string what) {
    return Status(Code::kVerificationFailed, cat("result ", r, ": ", what));
  }

  // The bytes in the device's memory.
  Result<void*> place(const Bytes& bytes) {
    PLANISH_ASSIGN_OR_RETURN(
        auto memory, device_.allocate(int64_t(std::max<size_t>(bytes.size(), 1)), device_.home()));
    PLANISH_RETURN_IF_ERROR(device_.copy(*stream_, memory->data(), device_.home(), bytes.data(),
                                         ir::MemorySpace::kHost, int64_t(bytes.size())));
    PLANISH_RETURN_IF_ERROR(stream_->synchronize());
    memory_.push_back(std::move(memory));
    return static_cast<void*>(memory_.back()->data());
  }

  Status look_at(size_t r, const void* data) {
    const ir::TensorType& type = problem_.result_type(int(r));
    Bytes bytes(size_t(physical_bytes(type) + 2 * kGuard));
    PLANISH_RETURN_IF_ERROR(device_.copy(*stream_, bytes.data(), ir::MemorySpace::kHost,
                                         static_cast<const std::byte*>(data) - kGuard,
                                         device_.home(), int64_t(bytes.size())));
    PLANISH_RETURN_IF_ERROR(stream_->synchronize());
    for (int64_t i = 0; i < kGuard; ++i)
      if (bytes[size_t(i)] != kGuardByte || bytes[bytes.size() - 1 - size_t(i)] != kGuardByte)
        return wrong(r, "bytes outside of it were written");
    int64_t unclean = 0;
    const ir::Tensor got = logical(bytes.data() + kGuard, type, unclean);
    const auto& bounds =
        kernel_.rounds_differently() ? expected_.transform_bounds[r] : expected_.bounds[r];
    if (std::string what = difference(got, expected_.values[r], bounds); !what.empty())
      return wrong(r, std::move(what));
    if (unclean) return wrong(r, cat(unclean, " bytes of the layout's padding are not zero"));
    return ok_status();
  }

  const opdef::OpRegistry& registry_;
  backend::Device& device_;
  const kernel::KernelDef& kernel_;
  const kernel::Problem& problem_;
  const Subject& subject_;
  const Expected& expected_;
  std::unique_ptr<backend::Stream> stream_;
  std::vector<std::unique_ptr<backend::Memory>> memory_;
};

std::string layouts_text(const kernel::LayoutChoice& layouts) {
  std::vector<std::string> operands, results;
  for (const ir::Layout& l : layouts.operands) operands.push_back(ir::to_string(l));
  for (const ir::Layout& l : layouts.results) results.push_back(ir::to_string(l));
  return cat("(", join(operands), ") -> (", join(results), ")");
}

}  // namespace

Result<Subject> subject_of(const opdef::OpRegistry& registry, const ir::Node& node,
                           const std::vector<ir::Tensor>& inputs, std::string name) {
  Subject subject;
  subject.name = std::move(name);
  PLANISH_ASSIGN_OR_RETURN(subject.problem, opdef::make_problem(registry, node));
  auto concrete = kernel::concrete(
      subject.problem, [](std::string_view) { return std::optional<int64_t>(); });
  if (concrete.ok()) subject.problem = std::move(*concrete);
  else if (!registry.find(node.op)->has_subgraphs) return concrete.status();
  const auto& graph_inputs = node.graph->inputs;
  for (const ir::Value* v : node.inputs) {
    ir::Tensor tensor;
    if (v && v->constant) {
      tensor = *v->constant;
    } else if (v) {
      const auto at = std::find(graph_inputs.begin(), graph_inputs.end(), v);
      if (at == graph_inputs.end())
        return invalid_argument(cat("'", v->name, "' is no input of the graph"));
      tensor = inputs[size_t(at - graph_inputs.begin())];
    }
    subject.operands.push_back(std::move(tensor));
  }
  return subject;
}

std::vector<Attempt> attempts_of(const kernel::KernelRegistry& kernels,
                                 const kernel::DeviceInfo& device, const Subject& subject,
                                 int tactics, std::map<std::string, std::string>* refusals) {
  std::vector<Attempt> out;
  for (const auto& kernel : kernels.all()) {
    if (kernel->device_kind() != device.kind || kernel->is_reference()) continue;
    if (Status s = kernel->supports(subject.problem, device); !s.ok()) {
      if (refusals) (*refusals)[kernel->name()] = s.message();
      continue;
    }
    for (const kernel::LayoutChoice& layouts : kernel->layouts(subject.problem, device)) {
      kernel::Problem problem = subject.problem;
      kernel::set_layouts(problem, layouts);
      const std::vector<kernel::Tactic> all = kernel->tactics(problem, device);
      const size_t step = tactics > 0 ? std::max<size_t>(1, all.size() / size_t(tactics)) : 1;
      for (size_t t = 0; t < all.size(); t += step)
        out.push_back({kernel.get(), layouts, problem, all[t]});
    }
  }
  return out;
}

Report check(const opdef::OpRegistry& registry, const kernel::KernelRegistry& kernels,
             backend::Device& device, const Subject& subject, int tactics) {
  Report report;
  const auto expected = expect(registry, subject);
  if (!expected.ok()) {
    report.failures.push_back(cat(subject.name, ": reference: ", expected.status().to_string()));
    return report;
  }
  for (const Attempt& a :
       attempts_of(kernels, device.info(), subject, tactics, &report.refusals)) {
    const Status status = Trial(registry, device, *a.kernel, a.problem, subject, *expected).run(a.tactic);
    if (status.code() == Code::kUnsupported) {  // a tactic that its compiler's report speaks against
      report.refusals[a.kernel->name()] = status.message();
      continue;
    }
    ++report.runs[a.kernel->name()];
    if (status.ok()) continue;
    report.failures.push_back(cat(subject.name, ": ", a.kernel->name(), " [",
                                  a.tactic.to_string(), "] ", layouts_text(a.layouts), ": ",
                                  status.to_string()));
    if ((report.device_lost = status.code() == Code::kDeviceError)) break;
  }
  return report;
}

}  // namespace planish::conformance
