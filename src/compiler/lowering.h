// The working form between the graph and the program: every node with its problem, what kind of step
// it becomes and the alternatives to choose from.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "compiler/compile.h"
#include "kernel/kernel_def.h"

namespace planish::compiler {

enum class NodeKind {
  kCompute,  // a kernel
  kView,     // the same elements in the same order, or in another layout's: no step
  kConcat,   // members lie inside the result where their producers can write there
  kSlice,    // results are parts of the operand (Slice, Split)
  kContent,  // small integer outputs whose elements are dim expressions
};

// One way to carry a node out.
struct Alternative {
  const kernel::KernelDef* kernel = nullptr;  // null for structural kinds
  kernel::LayoutChoice layouts;
  kernel::Problem problem;  // concrete at the opt shapes, layouts set
  kernel::Tactic tactic;
  double predicted_us = 0;
  double measured_us = -1;
  double us() const { return measured_us >= 0 ? measured_us : predicted_us; }
};

// An alternative that was measured.
struct Raced {
  const kernel::KernelDef* kernel = nullptr;
  kernel::LayoutChoice layouts;
  kernel::Tactic tactic;
  double us = 0;
};

// Slice and Split: where each result begins in the operand.
struct SliceInfo {
  int axis = 0;
  std::vector<ir::Dim> begins;
};

struct LoweredNode {
  ir::Node* node = nullptr;
  NodeKind kind = NodeKind::kCompute;
  bool binds_symbols = false;
  bool on_host = false;      // runs on Environment::host: no kernel of the device took it
  kernel::Problem problem;   // symbolic, row-major
  kernel::Problem concrete;  // at the opt shapes
  // The opt shapes contradict what the node needs (a slice that ends before it begins, a symbol that
  // can only be what a weight's dim is): kernels cannot be asked, and the reference takes it.
  bool impossible = false;
  std::vector<kernel::Problem> elsewhere;  // at other shapes, where symbols are free; see supports()
  std::vector<kernel::Problem> largest;  // at each profile's maximal shapes
  SliceInfo slice;
  // Bodies of If, Loop and Scan as programs, and the kernel that runs them; see compile_bodies().
  struct Body {
    std::string attribute;
    std::shared_ptr<const plan::Program> program;
    std::string decisions;
  };
  std::vector<Body> bodies;
  const kernel::KernelDef* control = nullptr;
  std::vector<Alternative> alternatives;
  int chosen = 0;
  std::vector<plan::Considered> considered;
  std::vector<Raced> raced;  // all that alternatives were chosen from by time; see select()
  const Alternative& choice() const { return alternatives[size_t(chosen)]; }
};

// Kernels' answers by problem, for as long as one compile() takes: networks repeat their blocks, and a
// region's parts are asked about several times. Thread-safe.
class KnownAlternatives {
 public:
  struct Answer {
    std::vector<Alternative> alternatives;
    std::vector<plan::Considered> considered;
    bool on_host = false;
  };
  // Null when nobody has asked.
  std::shared_ptr<const Answer> find(const std::string& question) const {
    std::lock_guard lock(mutex_);
    const auto found = answers_.find(question);
    return found == answers_.end() ? nullptr : found->second;
  }
  void put(std::string question, std::shared_ptr<const Answer> answer) {
    std::lock_guard lock(mutex_);
    answers_.emplace(std::move(question), std::move(answer));
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const Answer>> answers_;
};

// Whether problems may be asked about on several threads: a device's kernels are asked so at load too,
// those of the host may be a plugin's.
bool asks_in_parallel(const CompileOptions& options, const Environment& environment);

struct Lowered {
  std::unique_ptr<ir::Graph> graph;
  std::vector<LoweredNode> nodes;
  std::map<const ir::Node*, int> index;
  std::map<std::string, int64_t, std::less<>> opt_binding;
  std::vector<std::map<std::string, int64_t, std::less<>>> max_bindings;  // one per profile
  // What kernels said of the regions that were split, under the part that holds the first root.
  std::map<const ir::Node*, std::vector<plan::Considered>> refused_regions;
  // Outermost-dim distance needed for the value (member of an elided concat, slice view).
  ir::Dim::Lookup lookup() const;
  // The problem at the opt shapes; nullopt when dims cannot be had there or are negative.
  std::optional<kernel::Problem> at_opt(const kernel::Problem& problem) const;
  // The same under another binding of the symbols.
  std::optional<kernel::Problem> at(const kernel::Problem& problem,
                                    const std::map<std::string, int64_t, std::less<>>& binding) const;
  // The node's problem at shapes beside the opt ones, at the smallest and at each profile's largest, as
  // far as it makes sense there and gives elements; empty when nothing about it is symbolic.
  std::vector<kernel::Problem> elsewhere(const opdef::OpRegistry& ops, const ir::Node& node,
                                         const kernel::Problem& problem) const;
  // At each profile's maximal shapes; empty when nothing about it is symbolic.
  std::vector<kernel::Problem> largest(const kernel::Problem& problem) const;
};

// Whether the node's op gives the planned results for operands of the concrete dims.
bool agrees(const opdef::OpRegistry& ops, const ir::Node& node, const kernel::Problem& concrete,
            const ir::Dim::Lookup& binding);

// Whether the kernel takes the problem at the opt shapes and, where symbols are free, elsewhere: a
// kernel that takes batch 1 only must say so now and not when batch 2 comes.
Status supports(const kernel::KernelDef& kernel, const kernel::Problem& concrete,
                std::span<const kernel::Problem> elsewhere, const kernel::DeviceInfo& device);

// Values of symbols at the shapes that tuning uses: a profile's opt, else 1 for leading dims and 64
// for others, within the symbol's bounds.
std::map<std::string, int64_t, std::less<>> opt_binding(const ir::Graph& graph,
                                                        const std::vector<Profile>& profiles);

// The same at a profile's maximal shapes.
std::map<std::string, int64_t, std::less<>> max_binding(const ir::Graph& graph,
                                                        const Profile& profile);

// What was compared where a region could be had whole and in parts, by node_key() of what was chosen.
using PartitionNotes = std::map<std::string, std::vector<plan::Considered>>;

// Splits the regions whose parts are cheaper than the whole, by measured time where the options allow
// measuring; decisions that name a region's parts, or the region, are followed instead.
Result<PartitionNotes> choose_partition(ir::Graph& graph, const CompileOptions& options,
                                        const Environment& environment, double deadline_us);

// Of a chosen program: its steps, the price of each (Device::step_us()) and the conversions between them.
struct Cost {
  double us = 0, predicted_us = 0;
  bool measured = true;  // every step is
  int steps = 0, host_steps = 0;
};
Cost cost_of(const Lowered& lowered, const Environment& environment);

// A graph that the passes have been over, chosen and emitted.
struct CompiledGraph {
  plan::Program program;
  std::string decisions;
  Cost cost;
  NearTies near_ties;
};
// `depth`: of the bodies that it is inside of.
Result<CompiledGraph> compile_graph(std::unique_ptr<ir::Graph> graph, const CompileOptions& options,
                                    const Environment& environment, double deadline_us,
                                    int depth = 0);

// What a plan says of a body beside its program: the body with zeros of the same dims in place of weights.
// Its types are the body's, so a load can check the op that holds it.
ir::GraphPtr signature_of(const ir::Graph& body);

// Compiles the bodies of the nodes that a control kernel takes.
Status compile_bodies(Lowered& lowered, const CompileOptions& options,
                      const Environment& environment, double deadline_us, int depth);

// Classifies nodes, makes problems, splits regions no kernel takes, materializes known contents.
Result<Lowered> lower(std::unique_ptr<ir::Graph> graph, const CompileOptions& options,
                      const Environment& environment);

// Fills alternatives of every node: every kernel asked, refusals kept with their reasons.
Status enumerate_alternatives(Lowered& lowered, const CompileOptions& options,
                              const Environment& environment);

// Fills the alternatives of one computing node; the reference kernel stands in where none is left.
Status add_kernels(LoweredNode& entry, const CompileOptions& options,
                   const Environment& environment);
// Row-major data of a node's constant operands by position.
std::vector<ir::Tensor> constants_of(const ir::Node& node);

// Compiles on all cores what select() would measure of these programs (alternatives enumerated), so that
// it finds the kernels made. Nothing for a device that compiles none.
void compile_races(std::span<const Lowered> programs, const CompileOptions& options,
                   const Environment& environment);

// Measures or predicts, then chooses layouts and kernels over the whole graph. `every`: also measures
// nodes that have one alternative, whose time decides nothing here.
Status select(Lowered& lowered, const CompileOptions& options, const Environment& environment,
              double deadline_us, bool every = false);

// Microseconds of changing a value's layout by a step of its own, by the cost model.
double conversion_us(const ir::TensorType& concrete, const ir::Layout& from, const ir::Layout& to,
                     const backend::Device& device);
// The two layouts hold the same bytes for this shape (blocked with one pixel and no padding; dims of
// one element in another order).
bool same_bytes(const ir::Shape& shape, const ir::Layout& from, const ir::Layout& to);
// 1: a Transpose of images that takes the channels to the end, whose result is the bytes of its operand lying
// channels last; -1: the one back; 0: another node.
int moved_channels(const ir::Node& node);

// The chosen program, and the node that each step carries out; null for copies.
struct Emitted {
  plan::Program program;
  std::vector<const LoweredNode*> nodes;
};
Result<Emitted> emit(const Lowered& lowered, const CompileOptions& options,
                     const Environment& environment);

// Some dim of the problem is not known yet.
bool is_symbolic(const kernel::Problem& problem);

// Asks kernels that can for artifacts that also run at sizes that are not known yet.
Status add_any_size_kernels(plan::Program& program, const Lowered& lowered,
                            const Environment& environment);

std::string write_decisions(const Lowered& lowered);
// Applies a lock file: kernels and tactics by node name. kInvalidArgument names what does not fit.
Status apply_decisions(Lowered& lowered, const std::string& json);

// Bytes that every address of a device kernel is a multiple of; host kernels take any.
inline constexpr int64_t kDeviceAlignment = 16;

// Reads Slice (step 1, one axis) and Split nodes; nullopt when the node is no plain slice.
std::optional<SliceInfo> slice_info(const ir::Node& node);

// The clock of a build: a test's, or the steady one.
double now_us(const CompileOptions& options);

// Stable name of a node in decisions and reports.
std::string node_key(const ir::Node& node);

}  // namespace planish::compiler
