// Program: the compiled form of a network, as plain data. The compiler makes it, the plan file holds
// it, the runtime runs it.
//
// A program is symbolic: types carry dim expressions, and an instance binds them to concrete shapes.
// Values are numbered; steps stand in execution order, each one kernel launch or library call.
// Values whose bytes are part of another's (reshapes, members of an elided concat, slices) name
// their parent and cost no step.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/hash.h"
#include "ir/graph.h"
#include "kernel/kernel_def.h"
#include "kernel/problem.h"

namespace planish::plan {

enum class ValueKind : uint8_t { kTemporary, kInput, kConstant };

struct ProgramValue {
  std::string name;  // the source's name where there is one
  ir::TensorType type;
  ValueKind kind = ValueKind::kTemporary;
  int constant = -1;  // index into Program::constants
  // View: this value lies inside `parent`, `offset` physical elements from its start. With `strided`,
  // consecutive slices (outermost dim; pixels of channels last) are as far apart as the parent's.
  int parent = -1;
  ir::Dim offset = 0;
  bool strided = false;
};

struct Constant {
  std::string name;
  ir::Tensor tensor;  // row-major, canonical; views the plan's mapped section when loaded
  uint64_t hash = 0;  // xxh3 of type, dims and bytes; equal constants of a process are shared
};

// A candidate the compiler looked at, for the report and `inspect`.
struct Considered {
  std::string kernel;
  std::string tactic;
  double predicted_us = 0;
  double measured_us = -1;  // -1: not measured
  std::string refused;      // why not; empty: it could have been taken
};

struct Program;

// A body of a step's op (If, Loop, Scan) as a program of its own: its inputs and outputs are those of
// the graph that stands under the attribute, in order; its constants are its own.
struct Body {
  std::string attribute;
  std::shared_ptr<const Program> program;
};
inline constexpr int kMaxBodyDepth = 8;  // bodies within bodies

// How a device launches a step among others (docs/decisions/0034). Steps of one stream run in the
// program's order, streams run beside each other.
struct Launch {
  int stream = 0;            // below kMaxStreams
  std::vector<int> waits;    // steps in front, of other streams, that must have ended
  bool programmatic = true;  // may start up before the step in front on its stream has ended
  friend bool operator==(const Launch&, const Launch&) = default;
};
inline constexpr int kMaxStreams = 8;

struct Step {
  std::string kernel;  // KernelDef name
  int kernel_version = 1;
  kernel::Problem problem;  // symbolic, layouts set
  kernel::Tactic tactic;
  std::vector<int> operands;  // value numbers in operand order, -1: absent
  std::vector<int> results;   // value numbers in result order
  std::vector<std::string> sources;
  std::vector<std::byte> artifact;  // what KernelDef::compile made
  std::vector<std::byte> packed;    // only in plans built with packed weights
  bool reference = false;           // runs reference code
  bool binds_symbols = false;       // result dims are known only after it ran
  double expected_us = 0;
  std::vector<Considered> considered;
  std::vector<Body> bodies;         // one for each, by attribute, where the kernel runs bodies
  Launch launch;
};

// min/opt/max dims of one input of a profile.
struct ProfileInput {
  std::string input;
  std::vector<int64_t> min, opt, max;
};

struct Program {
  std::string device_kind;  // "cpu", "cuda"
  std::string device_name;  // the one it was tuned on
  std::string isa;
  int threads = 0;          // CPU: team size it was tuned for
  std::map<std::string, ir::SymbolInfo, std::less<>> symbols;
  std::vector<ProgramValue> values;
  std::vector<Constant> constants;
  std::vector<Step> steps;
  std::vector<int> inputs;   // value numbers in the network's order
  std::vector<int> outputs;  // likewise; several may name one value
  std::vector<std::string> output_names;
  std::vector<std::vector<ProfileInput>> profiles;
};

// Everything a plan file holds.
struct Plan {
  std::string planish_version;
  std::map<std::string, std::string> metadata;   // the model's
  std::map<std::string, std::string> options;    // the build's, for inspection
  std::string graph_text;   // ir::print of the imported graph, large constants by reference to
                            // `constants` names; empty when stripped
  std::string decisions;    // JSON lock file
  std::string report;       // JSON: passes, fusions, times
  std::vector<std::string> plugins;              // needed at run time, by name and version
  std::vector<std::string> libraries;            // library requirements with versions
  Program program;
};

// Calls fn(step) for every step, those of bodies behind the step that holds them.
template <class Fn>
void for_each_step(const Program& program, Fn&& fn) {
  for (const Step& step : program.steps) {
    fn(step);
    for (const Body& body : step.bodies) for_each_step(*body.program, fn);
  }
}

// Rules a program must satisfy whoever made it: indices in range, order, views inside parents,
// types, operand counts. kDataLoss names the broken rule. Does not look at kernels.
Status verify(const Program& program);
// The rules of one problem: value numbers, expressions, types. On a concrete problem also that
// expression inputs broadcast to their outputs.
Status verify(const kernel::Problem& problem);
// What verify(program) cannot know while dims are symbolic: under `binding` every size fits 63 bits
// and every view lies inside its parent. The runtime asks it for each instance. Values whose symbols
// the binding does not know (data decides them) are passed over.
Status verify_bound(const Program& program, const ir::Dim::Lookup& binding);

// The hash of Constant: XXH3 of type, dims and bytes.
uint64_t content_hash(const ir::Tensor& tensor);
// The same from the hash of the bytes.
uint64_t content_hash(ir::DataType dtype, std::span<const int64_t> dims, const Hash128& bytes);

}  // namespace planish::plan
