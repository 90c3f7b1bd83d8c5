#include "random_graph.h"

#include <map>

#include "base/text.h"
#include "eval/interpreter.h"
#include "growth.h"
#include "opdef/infer.h"
#include "operands.h"
#include "ops/all_cases.h"
#include "ops/case_inputs.h"
#include "triggers.h"

namespace planish::tests {
namespace {

constexpr int kFewestNodes = 8, kMostNodes = 40;
constexpr int64_t kMostCaseElements = 4096, kMostCaseWork = 200000;

// Operands and results of a case, and the multiply-adds of its sums.
bool is_small(const opdef::OpRegistry& registry, const opdef::OpCase& c) {
  ir::Graph graph;
  std::vector<ir::Value*> operands;
  int64_t elements = 0;
  for (const opdef::InputCase& input : c.inputs) {
    if (input.absent) {
      operands.push_back(nullptr);
      continue;
    }
    const ir::Tensor t = ops::make_input(input, 1);
    elements += t.count();
    operands.push_back(graph.add_constant(cat("c", operands.size()), t));
  }
  if (elements > kMostCaseElements) return false;
  ir::Attributes attrs;
  for (const auto& [key, value] : c.attrs) attrs[key] = ir::clone(value);
  const opdef::OpDef& op = *registry.find(c.op);
  opdef::fill_defaults(op, attrs);
  ir::Node* node = graph.add_node(c.op, operands, attrs,
                                  std::vector<ir::TensorType>(size_t(c.output_count)));
  if (!opdef::infer_node(registry, *node).ok()) return false;
  for (const ir::Value* v : node->outputs) {
    if (!ir::is_constant(v->type.shape)) continue;
    const int64_t count = ir::element_count(std::span<const int64_t>(ir::to_dims(v->type.shape)));
    if (count > kMostCaseElements) return false;
    if (op.accumulation && count * op.accumulation(*node) > kMostCaseWork) return false;
  }
  return true;
}

class Draw {
 public:
  Draw(const opdef::OpRegistry& registry, const std::vector<CasesOfOp>& cases, uint64_t seed)
      : registry_(registry), cases_(cases), smooth_(seed % 8 == 3), random_(seed),
        writer_(registry, random_) {}

  RandomGraph run() {
    begin();
    const int target = int(random_.between(kFewestNodes, 28));
    for (int tries = 0; int(writer_.nodes().size()) < target && tries < 400; ++tries) {
      const GraphWriter::Mark mark = writer_.mark();
      step();
      if (int(writer_.nodes().size()) > kMostNodes) writer_.undo(mark);
    }
    choose_outputs();
    RandomGraph out;
    out.smooth = smooth_;
    out.feeds = writer_.feeds();
    out.graph = writer_.take();
    if (random_.chance(0.7)) make_symbolic(out);
    return out;
  }

 private:
  void step() {
    const double kind = random_.unit();
    if (smooth_) grow(writer_, random_);
    else if (kind < 0.35) case_node();
    else if (kind < 0.5) case_behind_value();
    else if (kind < 0.85) grow(writer_, random_);
    else splice(triggers()[size_t(random_.below(int64_t(triggers().size())))]);
  }

  void begin() {
    using Dims = std::vector<int64_t>;
    const int64_t c = random_.pick(Dims{3, 4, 8, 16, 20}), h = random_.between(4, 9);
    const int64_t n = random_.between(1, 2);
    const std::vector<Dims> shapes = {{n, c, h, random_.between(4, 9)},
                                      {n, h, c},
                                      {n, c},
                                      {n, c, h, h}};
    for (int64_t count = random_.between(1, 2); count > 0; --count) {
      opdef::InputCase wanted;
      wanted.dims = random_.pick(shapes);
      wanted.low = -2, wanted.high = 2;
      if (!smooth_ && random_.chance(0.15)) wanted.dtype = ir::DataType::kF16;
      batched_.push_back(writer_.input(ops::make_input(wanted, random_.next())));
    }
  }

  // A case of a random op; operands are computed values where they can be.
  bool case_node() {
    const CasesOfOp& op = random_.pick(cases_);
    if (op.cases.empty()) return false;
    const opdef::OpCase& c = random_.pick(op.cases);
    return add_case(c, [&](size_t i) {
      const opdef::InputCase& wanted = c.inputs[i];
      const bool can_vary = wanted.values.empty() && !wanted.constant;
      return can_vary && random_.chance(i == 0 ? 0.8 : 0.4)
                 ? adapted_operand(writer_, random_, wanted)
                 : nullptr;
    }) || add_case(c, [](size_t) { return nullptr; });
  }

  // A case whose first operand is replaced by a value as it is, whatever its dims.
  bool case_behind_value() {
    ir::Value* x = pick_value(writer_, random_, [](const ir::Value*) { return true; });
    if (!x) return false;
    std::vector<const opdef::OpCase*> good;
    for (const CasesOfOp& op : cases_)
      for (const opdef::OpCase& c : op.cases)
        if (!c.inputs.empty() && !c.inputs[0].absent && c.inputs[0].dtype == x->type.dtype &&
            c.inputs[0].dims.size() == writer_.dims(x).size())
          good.push_back(&c);
    if (good.empty()) return false;
    for (int tries = 0; tries < 4; ++tries)
      if (add_case(*random_.pick(good), [&](size_t i) { return i == 0 ? x : nullptr; }))
        return true;
    return false;
  }

  // `computed(i)`: an operand, or null for the case's own.
  bool add_case(const opdef::OpCase& c, const std::function<ir::Value*(size_t)>& computed) {
    const GraphWriter::Mark mark = writer_.mark();
    std::vector<ir::Value*> operands;
    for (size_t i = 0; i < c.inputs.size(); ++i) {
      ir::Value* v = nullptr;
      if (!c.inputs[i].absent) {
        v = computed(i);
        if (!v) v = fresh_operand(writer_, random_, c.inputs[i], i > 0 && random_.chance(0.5));
      }
      operands.push_back(v);
    }
    ir::Attributes attrs;
    for (const auto& [key, value] : c.attrs) attrs[key] = ir::clone(value);
    if (!writer_.add(c.op, operands, std::move(attrs), c.output_count).empty()) return true;
    writer_.undo(mark);
    return false;
  }

  void splice(const Trigger& trigger) {
    auto parsed = ir::parse(trigger.text);
    PLANISH_CHECK(parsed.ok(), cat("trigger of ", trigger.pass, ": ", parsed.status().to_string()));
    for (bool fresh : {random_.chance(0.3), true}) {
      const GraphWriter::Mark mark = writer_.mark();
      if (splice(**parsed, fresh)) return;
      writer_.undo(mark);
      if (fresh) return;
    }
  }

  bool splice(const ir::Graph& piece, bool fresh) {
    std::map<const ir::Value*, ir::Value*> twin;
    for (const ir::Value* v : piece.inputs) {
      opdef::InputCase wanted;
      wanted.dtype = v->type.dtype;
      wanted.dims = ir::to_dims(v->type.shape);
      if (!fresh) twin[v] = adapted_operand(writer_, random_, wanted);
      if (!twin[v]) twin[v] = fresh_operand(writer_, random_, wanted, false);
    }
    for (const auto& node : piece.nodes()) {
      std::vector<ir::Value*> operands;
      for (const ir::Value* v : node->inputs) {
        if (v && v->constant && !twin[v]) twin[v] = writer_.constant(*v->constant);
        operands.push_back(v ? twin[v] : nullptr);
      }
      ir::Attributes attrs;
      for (const auto& [key, value] : node->attrs) attrs[key] = ir::clone(value);
      const auto outputs =
          writer_.add(node->op, operands, std::move(attrs), int(node->outputs.size()));
      if (outputs.empty()) return false;
      for (size_t i = 0; i < outputs.size(); ++i) twin[node->outputs[i]] = outputs[i];
    }
    return true;
  }

  // What nobody reads, but for a few that stay dead, and now and then a value on the way.
  void choose_outputs() {
    ir::Graph& graph = writer_.graph();
    for (const ir::Node* node : writer_.nodes())
      for (ir::Value* v : node->outputs) {
        const bool last = v->uses.empty();
        if (last ? !random_.chance(0.05) : random_.chance(0.04)) graph.outputs.push_back(v);
        if (random_.chance(0.02)) v->keep = true;
      }
    if (graph.outputs.empty()) graph.outputs.push_back(writer_.nodes().back()->outputs[0]);
  }

  // The leading dim of the first inputs becomes N, and some others symbols of their own, where
  // inference goes along.
  void make_symbolic(RandomGraph& out) {
    std::vector<std::pair<int, int>> wanted;  // input, dim
    for (int i = 0; i < int(batched_.size()); ++i) wanted.emplace_back(i, 0);
    for (int i = int(batched_.size()); i < int(out.feeds.size()); ++i)
      if (out.feeds[size_t(i)].rank() > 0 && random_.chance(0.3))
        wanted.emplace_back(i, int(random_.below(out.feeds[size_t(i)].rank())));
    bool batch = false;
    for (const auto& [i, dim] : wanted) {
      const int64_t size = out.feeds[size_t(i)].dim(dim);
      if (size == 0) continue;
      auto trial = out.graph->clone();
      const bool leading = i < int(batched_.size());
      const std::string name = leading ? "N" : cat("D", i);
      trial->symbols.emplace(name, ir::SymbolInfo());
      trial->inputs[size_t(i)]->type.shape[size_t(dim)] = ir::Dim::symbol(name);
      if (!opdef::infer_graph(registry_, *trial).ok()) continue;
      if (!eval::interpret(registry_, *trial, out.feeds).ok()) continue;
      batch |= leading;
      out.graph = std::move(trial);
    }
    if (batch) resize(out);
  }

  void resize(RandomGraph& out) {
    std::vector<ir::Tensor> feeds = out.feeds;
    for (size_t i = 0; i < batched_.size(); ++i) {
      if (out.graph->inputs[i]->type.shape[0].is_constant()) continue;
      opdef::InputCase wanted;
      wanted.dtype = feeds[i].dtype();
      wanted.dims = feeds[i].dims();
      wanted.dims[0] += 3;
      wanted.low = -2, wanted.high = 2;
      feeds[i] = ops::make_input(wanted, random_.next());
    }
    if (eval::interpret(registry_, *out.graph, feeds).ok()) out.resized_feeds = std::move(feeds);
  }

  const opdef::OpRegistry& registry_;
  const std::vector<CasesOfOp>& cases_;
  const bool smooth_;
  Random random_;
  GraphWriter writer_;
  std::vector<ir::Value*> batched_;
};

}  // namespace

std::vector<CasesOfOp> cases_by_op(const opdef::OpRegistry& registry) {
  std::map<std::string, std::vector<opdef::OpCase>> sorted;
  for (opdef::OpCase& c : ops::all_cases())
    if (is_small(registry, c)) sorted[c.op].push_back(std::move(c));
  std::vector<CasesOfOp> out;
  for (auto& [name, cases] : sorted) out.push_back({registry.find(name), std::move(cases)});
  return out;
}

RandomGraph make_random_graph(const opdef::OpRegistry& registry,
                              const std::vector<CasesOfOp>& cases, uint64_t seed) {
  return Draw(registry, cases, seed).run();
}

}  // namespace planish::tests
