// The conformance check finds what it is there to find: a result one element short, a write behind
// the end, an element just outside of its bound, and padding that is not zero.
#include <gtest/gtest.h>

#include <cmath>

#include "backend/conformance/conformance.h"
#include "backend/cpu/cpu_backend.h"
#include "opdef/infer.h"
#include "ops/register_ops.h"

namespace planish::conformance {
namespace {

enum class Fault { kNone, kOneShort, kBehindTheEnd, kOffByRounding, kDirtyPadding };

// y = -x for f32[1, 3, 2], blocked by 4 when the fault is in the padding.
class Negate : public kernel::KernelDef {
 public:
  explicit Negate(Fault fault) : fault_(fault) {}
  std::string name() const override { return "planted.negate"; }
  std::string device_kind() const override { return "cpu"; }
  Status supports(const kernel::Problem&, const kernel::DeviceInfo&) const override {
    return ok_status();
  }
  std::vector<kernel::LayoutChoice> layouts(const kernel::Problem&,
                                            const kernel::DeviceInfo&) const override {
    const ir::Layout layout =
        fault_ == Fault::kDirtyPadding ? ir::Layout::blocked(1, 4) : ir::Layout{};
    return {{{layout}, {layout}}};
  }
  double predict_us(const kernel::Problem&, const kernel::Tactic&,
                    const kernel::DeviceInfo&) const override {
    return 0;
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs&) const override {
    return std::unique_ptr<kernel::Launchable>(std::make_unique<Run>(fault_));
  }

 private:
  class Run : public kernel::Launchable {
   public:
    explicit Run(Fault fault) : fault_(fault) {}
    Status run(const kernel::RunArgs& args) const override {
      const auto* x = static_cast<const float*>(args.operands[0].data);
      auto* y = static_cast<float*>(args.results[0].data);
      const int count = fault_ == Fault::kDirtyPadding ? 8 : 6;
      for (int i = 0; i < count - (fault_ == Fault::kOneShort); ++i) y[i] = -x[i];
      if (fault_ == Fault::kBehindTheEnd) y[count] = 0;
      if (fault_ == Fault::kOffByRounding) y[2] *= 1 + 0x1p-16f;
      if (fault_ == Fault::kDirtyPadding) y[7] = 1;
      return ok_status();
    }

   private:
    Fault fault_;
  };
  Fault fault_;
};

Report run(Fault fault) {
  opdef::OpRegistry registry;
  ops::register_all_ops(registry);
  ir::Graph graph;
  const std::vector<double> values = {1, -2, 3, -4, 5, -6};
  const ir::Tensor x = ir::Tensor::from_f64(ir::DataType::kF32, {1, 3, 2}, values);
  ir::Node* node = graph.add_node("Neg", {graph.add_input("x", x.type())}, {}, {x.type()});
  graph.outputs = node->outputs;
  const auto subject = subject_of(registry, *node, {x}, "Neg");
  EXPECT_TRUE(subject.ok());
  kernel::KernelRegistry kernels;
  kernels.add(std::make_unique<Negate>(fault));
  const auto device = cpu::make_cpu_backend()->device(0, 1);
  return check(registry, kernels, **device, *subject);
}

TEST(Conformance, FindsPlantedFaults) {
  EXPECT_TRUE(run(Fault::kNone).failures.empty());
  EXPECT_EQ(run(Fault::kNone).runs.at("planted.negate"), 1);
  const auto failure = [](Fault fault) {
    const Report report = run(fault);
    return report.failures.empty() ? std::string("none") : report.failures[0];
  };
  EXPECT_NE(failure(Fault::kOneShort).find("first [5]: got -nan"), std::string::npos)
      << failure(Fault::kOneShort);
  EXPECT_NE(failure(Fault::kBehindTheEnd).find("outside of it"), std::string::npos);
  EXPECT_NE(failure(Fault::kOffByRounding).find("first [2]"), std::string::npos);
  EXPECT_NE(failure(Fault::kDirtyPadding).find("padding"), std::string::npos)
      << failure(Fault::kDirtyPadding);
}

}  // namespace
}  // namespace planish::conformance
