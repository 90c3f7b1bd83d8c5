// For tests: damage to a Program that keeps plan::verify(program) happy, as somebody would forge a
// plan who knows the format: attributes, dims, types, layouts, tactics, kernels, constants, packed
// weights, views. A type is changed wherever its value stands, so that the lie is consistent.
#pragma once
#include <cstdint>
#include <optional>
#include <random>
#include <string>

#include "kernel/kernel_def.h"
#include "plan/program.h"

namespace planish::plan {

class Forger {
 public:
  Forger(const kernel::KernelRegistry& kernels, uint64_t seed) : kernels_(kernels), random_(seed) {}
  // One change; says what it was. Empty: there was nothing to change.
  std::string forge(Program& program);

 private:
  size_t below(size_t n) { return size_t(random_() % n); }
  int64_t hostile();
  Step* any_step(Program& p);
  kernel::Stage* any_stage(Program& p);
  // Sets a value's type in the program and in every problem that speaks of it.
  void set_type(Program& p, int value, const ir::TensorType& type);

  std::string attribute(Program& p);
  std::string dim(Program& p);
  std::string dtype(Program& p);
  std::string layout(Program& p);
  std::string wiring(Program& p);
  std::string tactic(Program& p);
  std::string kernel(Program& p);
  std::string constant(Program& p);
  std::string blob(Program& p);
  std::string view(Program& p);
  std::string expression(Program& p);
  std::string body(Program& p);

  const kernel::KernelRegistry& kernels_;
  std::mt19937_64 random_;
};

}  // namespace planish::plan
