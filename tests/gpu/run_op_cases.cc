// Every kernel of a device on the operators' cases, in every layout and with every tactic it offers,
// against the interpreter.
//
// Results are compared element by element (NaN fails); before each run they hold NaN, and guard bytes
// at both ends must stay. A kernel that brings the device down ends the program with exit code 3
// behind a line that says where to go on: scripts/gpu_check starts it again there, for a device error
// stays with the process. One JSON line per problem goes to the output file.
// Usage: run_op_cases OUTPUT [--from N] [--filter TEXT] [--list]
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "backend/cuda/cuda_backend.h"
#include "base/text.h"
#include "case_problems.h"
#include "check/verify.h"
#include "layout_pack.h"
#include "ops/all_cases.h"
#include "ops/register_ops.h"
#include "tuner/compile_ahead.h"

namespace planish::gpu_tests {
namespace {

using ir::MemorySpace;

constexpr int64_t kGuard = 256;
constexpr int kDeviceLost = 3;

struct Attempt {
  const kernel::KernelDef* kernel;
  kernel::LayoutChoice layouts;
  kernel::Problem problem;
  kernel::Tactic tactic;
};

std::vector<Attempt> attempts_of(const kernel::KernelRegistry& registry,
                                 const kernel::DeviceInfo& device, const CaseProblem& c,
                                 std::vector<std::string>& refusals) {
  std::vector<Attempt> out;
  for (const auto& kernel : registry.all()) {
    if (const Status s = kernel->supports(c.problem, device); !s.ok()) {
      if (s.code() != Code::kUnimplemented) refusals.push_back(cat(kernel->name(), ": ", s.message()));
      continue;
    }
    for (const kernel::LayoutChoice& layouts : kernel->layouts(c.problem, device)) {
      kernel::Problem problem = c.problem;
      for (size_t i = 0; i < problem.operands.size(); ++i)
        problem.operands[i].type.layout = layouts.operands[i];
      for (size_t i = 0; i < problem.results.size(); ++i) {
        const int value = problem.results[i];
        if (value < int(problem.operands.size())) continue;
        const auto [stage, output] = problem.stage_of(value);
        problem.stages[size_t(stage)].outputs[size_t(output)].layout = layouts.results[i];
      }
      for (const kernel::Tactic& tactic : kernel->tactics(problem, device))
        out.push_back({kernel.get(), layouts, problem, tactic});
    }
  }
  return out;
}

int64_t physical_bytes(const ir::TensorType& type) {
  return ir::bytes_of(type.dtype,
                      ir::physical_element_count(ir::to_dims(type.shape), type.layout));
}

class Runner {
 public:
  Runner(backend::Device& device, backend::Stream& stream) : device_(device), stream_(stream) {}

  // Ok, or what is wrong. kDeviceError: the device is lost.
  Status run(const Attempt& a, const CaseProblem& c) {
    memory_.clear();
    std::vector<ir::Tensor> constants(c.operands.size());
    for (size_t i = 0; i < c.operands.size(); ++i)
      if (a.problem.operands[i].constant) constants[i] = c.operands[i];
    PLANISH_ASSIGN_OR_RETURN(const auto artifact,
                             a.kernel->compile(a.problem, a.tactic, device_.info()));
    PLANISH_ASSIGN_OR_RETURN(const auto packed,
                             a.kernel->pack(a.problem, a.tactic, device_.info(), constants));
    kernel::BindArgs bind;
    bind.problem = &a.problem;
    bind.tactic = &a.tactic;
    bind.device = &device_.info();
    bind.packed = packed.bytes;
    bind.artifact = artifact.bytes;
    bind.constants = constants;
    PLANISH_ASSIGN_OR_RETURN(const auto launchable, a.kernel->bind(bind));
    std::vector<kernel::BufferRef> operands, results;
    for (size_t i = 0; i < c.operands.size(); ++i) {
      kernel::BufferRef ref;
      if (a.problem.operands[i].present && !a.kernel->packs(a.problem, int(i))) {
        PLANISH_ASSIGN_OR_RETURN(
            ref, upload(to_layout(c.operands[i], a.problem.operands[i].type.layout)));
      }
      operands.push_back(ref);
    }
    for (size_t i = 0; i < a.problem.results.size(); ++i) {
      PLANISH_ASSIGN_OR_RETURN(auto ref, upload(std::vector<std::byte>(
          size_t(physical_bytes(a.problem.result_type(int(i)))), std::byte(0xff))));
      results.push_back(ref);
    }
    PLANISH_ASSIGN_OR_RETURN(const auto workspace,
                             upload(std::vector<std::byte>(
                                 size_t(launchable->workspace_bytes()), std::byte(0xff))));
    kernel::RunArgs args;
    args.operands = operands;
    args.results = results;
    args.workspace = static_cast<std::byte*>(workspace.data);
    args.stream = stream_.handle();
    PLANISH_RETURN_IF_ERROR(launchable->run(args));
    PLANISH_RETURN_IF_ERROR(stream_.synchronize());
    for (size_t i = 0; i < results.size(); ++i)
      PLANISH_RETURN_IF_ERROR(compare(a, c, int(i), results[i]));
    return ok_status();
  }

 private:
  // Guard, data, guard.
  Result<kernel::BufferRef> upload(const std::vector<std::byte>& data) {
    const int64_t bytes = int64_t(data.size());
    std::vector<std::byte> whole(size_t(bytes + 2 * kGuard), std::byte(0xff));
    std::memcpy(whole.data() + kGuard, data.data(), data.size());
    PLANISH_ASSIGN_OR_RETURN(auto memory, device_.allocate(bytes + 2 * kGuard, MemorySpace::kDevice));
    PLANISH_RETURN_IF_ERROR(device_.copy(stream_, memory->data(), MemorySpace::kDevice,
                                         whole.data(), MemorySpace::kHost, int64_t(whole.size())));
    PLANISH_RETURN_IF_ERROR(stream_.synchronize());
    const kernel::BufferRef ref{memory->data() + kGuard, 0};
    memory_.push_back(std::move(memory));
    return ref;
  }

  Status compare(const Attempt& a, const CaseProblem& c, int i, const kernel::BufferRef& ref) {
    const ir::TensorType& type = a.problem.result_type(i);
    const int64_t bytes = physical_bytes(type);
    std::vector<std::byte> whole(size_t(bytes + 2 * kGuard));
    PLANISH_RETURN_IF_ERROR(device_.copy(stream_, whole.data(), MemorySpace::kHost,
                                         static_cast<std::byte*>(ref.data) - kGuard,
                                         MemorySpace::kDevice, int64_t(whole.size())));
    PLANISH_RETURN_IF_ERROR(stream_.synchronize());
    for (int64_t k = 0; k < kGuard; ++k)
      if (whole[size_t(k)] != std::byte(0xff) || whole[size_t(kGuard + bytes + k)] != std::byte(0xff))
        return Status(Code::kVerificationFailed, cat("result ", i, ": a guard byte was written"));
    PLANISH_ASSIGN_OR_RETURN(
        const check::Comparison row,
        check::compare(cat("result ", i), from_layout(whole.data() + kGuard, type),
                       c.expected[size_t(i)], c.rounding[size_t(i)], {}));
    if (row.good) return ok_status();
    return Status(Code::kVerificationFailed,
                  cat("result ", i, "[", row.index, "]: got ", row.got, ", expected ", row.expected,
                      " within ", row.bound));
  }

  backend::Device& device_;
  backend::Stream& stream_;
  std::vector<std::unique_ptr<backend::Memory>> memory_;
};

struct Options {
  std::string output, filter;
  size_t from = 0;
  bool list = false;
};

int run(const Options& options) {
  opdef::OpRegistry ops;
  ops::register_all_ops(ops);
  const auto backend = cuda::make_cuda_backend();
  kernel::KernelRegistry kernels;
  backend->register_kernels(kernels);
  const auto opened = backend->device(0, 0);
  if (!opened.ok()) {
    std::fprintf(stderr, "%s\n", opened.status().to_string().c_str());
    return 2;
  }
  backend::Device& device = **opened;
  auto stream = device.create_stream();
  if (!stream.ok()) return 2;
  std::vector<CaseProblem> problems;
  for (const opdef::OpCase& c : ops::all_cases()) {
    if (!options.filter.empty() && cat(c.op, ".", c.name).find(options.filter) == std::string::npos)
      continue;
    auto made = case_problems(ops, c);
    if (!made.ok()) {
      std::fprintf(stderr, "%s.%s: %s\n", c.op.c_str(), c.name.c_str(),
                   made.status().to_string().c_str());
      return 2;
    }
    for (CaseProblem& one : *made) problems.push_back(std::move(one));
  }
  std::vector<std::vector<Attempt>> attempts(problems.size());
  std::vector<std::vector<std::string>> refusals(problems.size());
  std::vector<tuner::CompileJob> jobs;
  for (size_t i = options.from; i < problems.size(); ++i) {
    attempts[i] = attempts_of(kernels, device.info(), problems[i], refusals[i]);
    for (const Attempt& a : attempts[i]) jobs.push_back({a.kernel, &a.problem, &a.tactic});
  }
  std::printf("%zu problems, %zu kernels to compile\n", problems.size() - options.from, jobs.size());
  std::fflush(stdout);
  if (options.list) return 0;
  tuner::compile_ahead(jobs, device.info());
  std::ofstream out(options.output, std::ios::app);
  Runner runner(device, **stream);
  size_t right = 0, wrong = 0, refused = 0;
  for (size_t i = options.from; i < problems.size(); ++i) {
    nlohmann::json line{{"number", i}, {"case", problems[i].title}, {"right", 0}};
    bool lost = false;
    for (const Attempt& a : attempts[i]) {
      const Status status = runner.run(a, problems[i]);
      if (status.ok()) {
        line["right"] = line["right"].get<int>() + 1;
        ++right;
        continue;
      }
      ++wrong;
      lost = status.code() == Code::kDeviceError;
      const std::string text = cat(a.kernel->name(), " [", a.tactic.to_string(), "] ",
                                   join([&] {
                                     std::vector<std::string> names;
                                     for (const auto& l : a.layouts.operands)
                                       names.push_back(ir::to_string(l));
                                     return names;
                                   }()),
                                   ": ", status.to_string());
      line["wrong"].push_back(text);
      std::printf("WRONG %s | %s\n", problems[i].title.c_str(), text.c_str());
      std::fflush(stdout);
      if (lost) break;
    }
    if (attempts[i].empty()) {
      ++refused;
      line["refused"] = refusals[i];
    }
    out << line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
    if (lost) {
      std::printf("device lost; go on with --from %zu\n", i + 1);
      return kDeviceLost;
    }
  }
  std::printf("%zu right, %zu wrong, %zu problems no kernel takes\n", right, wrong, refused);
  return wrong ? 1 : 0;
}

}  // namespace
}  // namespace planish::gpu_tests

int main(int count, char** arguments) {
  planish::gpu_tests::Options options;
  for (int i = 1; i < count; ++i) {
    const std::string one = arguments[i];
    if (one == "--from" && i + 1 < count) options.from = size_t(std::atoll(arguments[++i]));
    else if (one == "--filter" && i + 1 < count) options.filter = arguments[++i];
    else if (one == "--list") options.list = true;
    else options.output = one;
  }
  if (options.output.empty()) {
    std::fprintf(stderr, "usage: run_op_cases OUTPUT [--from N] [--filter TEXT] [--list]\n");
    return 2;
  }
  return planish::gpu_tests::run(options);
}
