// The rules of programs: everything that the runtime takes for granted when it sizes buffers,
// places views and walks the steps. Each rule is one line of reason in a Status, so that a damaged
// or forged plan says what is wrong with it instead of reading wild memory.
#include <algorithm>
#include <cstring>
#include <set>

#include "base/text.h"
#include "plan/format.h"
#include "plan/program.h"
#include "plan/step_order.h"
#include "plan/verify_types.h"
#include "plan/views.h"

namespace planish::plan {
namespace {

constexpr int kMaxThreads = 1 << 16;

std::string named(const std::string& name) { return cat("'", name.substr(0, 80), "'"); }

class ProgramVerifier {
 public:
  ProgramVerifier(const Program& program, int depth) : p_(program), depth_(depth) {}

  Status run() {
    if (p_.device_kind.empty()) return data_loss("the program names no device kind");
    if (p_.threads < 0 || p_.threads > kMaxThreads)
      return data_loss(cat("the program wants ", p_.threads, " threads"));
    PLANISH_RETURN_IF_ERROR(symbols());
    for (size_t i = 0; i < p_.values.size(); ++i)
      if (Status s = value(p_.values[i]); !s.ok())
        return s.at(cat("value ", i, " ", named(p_.values[i].name)));
    PLANISH_RETURN_IF_ERROR(verify_views(p_));
    PLANISH_RETURN_IF_ERROR(inputs());
    written_.assign(p_.values.size(), kUnwritten);
    for (size_t i = 0; i < p_.steps.size(); ++i)
      if (Status s = step(p_.steps[i]); !s.ok())
        return s.at(cat("step ", i, " (", p_.steps[i].kernel.substr(0, 80), ")"));
    PLANISH_RETURN_IF_ERROR(outputs());
    PLANISH_RETURN_IF_ERROR(verify_launches(p_));
    for (size_t i = 0; i < p_.profiles.size(); ++i)
      if (Status s = profile(p_.profiles[i]); !s.ok()) return s.at(cat("profile ", i));
    return ok_status();
  }

 private:
  Status known_symbols(const ir::Dim& dim) const {
    if (dim.is_constant()) return ok_status();
    if (!dim.valid()) return data_loss("has an invalid dim");
    for (const std::string& name : dim.symbols())
      if (!p_.symbols.count(name))
        return data_loss(cat("uses symbol ", named(name), ", which the program does not declare"));
    return ok_status();
  }

  // Ranges make sense; upper bounds do not go in circles.
  Status symbols() const {
    std::map<std::string, int, std::less<>> waiting;  // bounds a symbol waits for
    std::multimap<std::string, std::string> waiters;
    std::vector<std::string> ready;
    for (const auto& [name, info] : p_.symbols) {
      const auto fault = [&, &n = name](std::string_view what) {
        return data_loss(cat("symbol ", named(n), " ", what));
      };
      if (ir::Dim::symbol(name).symbol_name() != name || name.empty())
        return fault("has a name that a symbol cannot have");
      if (info.low < 0) return fault(cat("has the lower bound ", info.low));
      if (info.high && *info.high < info.low)
        return fault(cat("has the range ", info.low, " to ", *info.high));
      if (!info.upper_bound) continue;
      if (!info.from_data) return fault("is bound by inputs, yet has an upper bound expression");
      if (Status s = known_symbols(*info.upper_bound); !s.ok()) return fault(s.message());
      const auto needs = info.upper_bound->symbols();
      for (const std::string& need : needs) waiters.emplace(need, name);
      if (!needs.empty()) waiting[name] = int(needs.size());
    }
    for (const auto& [name, info] : p_.symbols)
      if (!waiting.count(name)) ready.push_back(name);
    size_t done = 0;
    for (; done < ready.size(); ++done) {
      const std::string name = ready[done];
      const auto [first, last] = waiters.equal_range(name);
      for (auto it = first; it != last; ++it)
        if (--waiting[it->second] == 0) ready.push_back(it->second);
    }
    if (done != p_.symbols.size()) return data_loss("upper bounds of symbols go in a circle");
    return ok_status();
  }

  Status value(const ProgramValue& v) const {
    PLANISH_RETURN_IF_ERROR(check_type(v.type));
    for (const ir::Dim& d : v.type.shape) PLANISH_RETURN_IF_ERROR(known_symbols(d));
    PLANISH_RETURN_IF_ERROR(known_symbols(v.offset));
    if ((v.kind == ValueKind::kConstant) != (v.constant != -1))
      return data_loss("is constant without a constant, or has one without being constant");
    if (v.kind != ValueKind::kTemporary && v.parent != -1)
      return data_loss("is an input or constant, yet a view of another value");
    if (v.kind != ValueKind::kConstant) return ok_status();
    if (v.constant < 0 || size_t(v.constant) >= p_.constants.size())
      return data_loss(cat("is constant ", v.constant, ", there are ", p_.constants.size()));
    const ir::Tensor& tensor = p_.constants[size_t(v.constant)].tensor;
    if (tensor.dtype() != v.type.dtype || ir::to_shape(tensor.dims()) != v.type.shape ||
        !v.type.layout.is_row_major())
      return data_loss(cat("is ", to_string(v.type), ", its constant ", to_string(tensor.type())));
    return ok_status();
  }

  bool is_value(int number) const { return number >= 0 && size_t(number) < p_.values.size(); }
  Status no_value(int number) const {
    return data_loss(cat("value ", number, ", there are ", p_.values.size()));
  }

  Status inputs() {
    std::set<int> listed;
    std::set<std::string_view> names;
    for (int number : p_.inputs) {
      if (!is_value(number)) return no_value(number).at("an input");
      const ProgramValue& v = p_.values[size_t(number)];
      if (v.kind != ValueKind::kInput)
        return data_loss(cat("input ", named(v.name), " is not of that kind"));
      if (v.name.empty()) return data_loss("an input has no name");
      if (!v.type.layout.is_row_major())
        return data_loss(cat("input ", named(v.name), " is not row-major"));
      if (!listed.insert(number).second || !names.insert(v.name).second)
        return data_loss(cat("two inputs are named ", named(v.name)));
      input_types_[v.name] = &v.type;
    }
    for (size_t i = 0; i < p_.values.size(); ++i)
      if (p_.values[i].kind == ValueKind::kInput && !listed.count(int(i)))
        return data_loss(cat("value ", i, " is an input that is not listed"));
    return ok_status();
  }

  Status outputs() const {
    if (p_.outputs.size() != p_.output_names.size())
      return data_loss(cat("the program has ", p_.outputs.size(), " outputs and ",
                           p_.output_names.size(), " names of outputs"));
    std::set<std::string_view> names;
    for (size_t i = 0; i < p_.outputs.size(); ++i) {
      const std::string& name = p_.output_names[i];
      if (name.empty() || !names.insert(name).second)
        return data_loss(
            cat("output ", i, " has the name ", named(name), ", expected one of its own"));
      if (!is_value(p_.outputs[i])) return no_value(p_.outputs[i]).at(cat("output ", named(name)));
      if (!is_defined(p_.outputs[i]))
        return data_loss(cat("output ", named(name), " is written by no step"));
    }
    return ok_status();
  }

  // A value can be read when it, one that it lies in, or a part of either has been written.
  bool is_defined(int number) const {
    if (written_[size_t(number)] != kUnwritten) return true;
    for (int at = number; at != -1; at = p_.values[size_t(at)].parent)
      if (p_.values[size_t(at)].kind != ValueKind::kTemporary ||
          written_[size_t(at)] != kUnwritten)
        return true;
    return false;
  }

  // Equal but for the memory space, which is the value's affair.
  static Status same_type(const ir::TensorType& value, const ir::TensorType& problem) {
    if (value.dtype == problem.dtype && value.layout == problem.layout &&
        value.shape == problem.shape)
      return ok_status();
    return data_loss(
        cat("is ", to_string(problem), " for the kernel, its value ", to_string(value)));
  }

  Status operand(const kernel::Operand& o, int number) const {
    if (!o.present)
      return number == -1 ? ok_status() : data_loss("is absent for the kernel, yet has a value");
    if (!is_value(number)) return no_value(number);
    const ProgramValue& v = p_.values[size_t(number)];
    PLANISH_RETURN_IF_ERROR(same_type(v.type, o.type));
    if (!is_defined(number))
      return data_loss(cat("value ", named(v.name), " is read before it is written"));
    if (!o.constant) return ok_status();
    if (v.kind != ValueKind::kConstant)
      return data_loss(cat("is constant for the kernel, its value ", named(v.name), " is not"));
    const ir::Tensor& tensor = p_.constants[size_t(v.constant)].tensor;
    // Larger ones are not read here: they may lie in a mapping.
    if (o.value && o.value->bytes() <= kInlineBytes && o.value->bytes() > 0 &&
        std::memcmp(o.value->data(), tensor.data(), size_t(tensor.bytes())) != 0)
      return data_loss("its value differs from the constant");
    return ok_status();
  }

  Status result(int number, const ir::TensorType& type) {
    if (!is_value(number)) return no_value(number);
    const ProgramValue& v = p_.values[size_t(number)];
    PLANISH_RETURN_IF_ERROR(same_type(v.type, type));
    if (written_[size_t(number)] == kWritten)
      return data_loss(cat("value ", named(v.name), " is written twice"));
    for (int at = number; at != -1; at = p_.values[size_t(at)].parent) {
      if (p_.values[size_t(at)].kind != ValueKind::kTemporary)
        return data_loss(cat("value ", named(v.name),
                             " lies in an input or constant, which no "
                             "step may write"));
      if (at != number && written_[size_t(at)] == kUnwritten) written_[size_t(at)] = kPartly;
    }
    written_[size_t(number)] = kWritten;
    return ok_status();
  }

  // Results whose size shows when the step has run have memory of their own.
  Status owned(int number) const {
    if (!is_value(number)) return no_value(number);
    const ProgramValue& v = p_.values[size_t(number)];
    if (v.parent != -1 || !v.type.layout.is_row_major() || written_[size_t(number)] != kUnwritten)
      return data_loss(cat("value ", named(v.name),
                           " is given by a step that decides its size, and is part of another, "
                           "not row-major or written before"));
    return ok_status();
  }

  Status step(const Step& s) {
    if (s.kernel.empty()) return data_loss("names no kernel");
    PLANISH_RETURN_IF_ERROR(verify(s.problem));
    if (s.operands.size() != s.problem.operands.size())
      return data_loss(
          cat("has ", s.operands.size(), " operands, expected ", s.problem.operands.size()));
    if (s.results.size() != s.problem.results.size())
      return data_loss(
          cat("has ", s.results.size(), " results, expected ", s.problem.results.size()));
    for (size_t i = 0; i < s.operands.size(); ++i)
      if (Status st = operand(s.problem.operands[i], s.operands[i]); !st.ok())
        return st.at(cat("operand ", i));
    const auto types = result_types(s.problem);
    for (const kernel::Stage& stage : s.problem.stages)
      for (const ir::TensorType& type : stage.outputs)
        for (const ir::Dim& d : type.shape) PLANISH_RETURN_IF_ERROR(known_symbols(d));
    for (size_t i = 0; i < s.results.size(); ++i) {
      Status st = s.binds_symbols ? owned(s.results[i]) : ok_status();
      if (st.ok()) st = result(s.results[i], *types[i]);
      if (!st.ok()) return st.at(cat("result ", i));
    }
    return bodies(s);
  }

  // Each stands for a graph of the step's op and takes and gives what that does.
  Status bodies(const Step& s) const {
    if (!s.bodies.empty() && (s.problem.stages.size() != 1 || depth_ >= kMaxBodyDepth))
      return data_loss(cat("has bodies, but not one stage, or nests deeper than ", kMaxBodyDepth));
    std::set<std::string_view> names;
    for (const Body& body : s.bodies) {
      const std::string where = cat("body ", named(body.attribute));
      const auto found = s.problem.stages[0].attrs.find(body.attribute);
      const auto* graph = found == s.problem.stages[0].attrs.end()
                              ? nullptr
                              : std::get_if<ir::GraphPtr>(&found->second);
      if (!graph || !*graph || !body.program || !names.insert(body.attribute).second)
        return data_loss("stands for no graph of the op, or for one that has a body").at(where);
      if (Status st = ProgramVerifier(*body.program, depth_ + 1).run(); !st.ok())
        return st.at(where);
      PLANISH_RETURN_IF_ERROR(
          same_ends("inputs", (*graph)->inputs, *body.program, body.program->inputs).at(where));
      PLANISH_RETURN_IF_ERROR(
          same_ends("outputs", (*graph)->outputs, *body.program, body.program->outputs).at(where));
    }
    return ok_status();
  }

  // Sizes are compared when the body runs.
  static Status same_ends(std::string_view what, const std::vector<ir::Value*>& graph,
                          const Program& body, const std::vector<int>& program) {
    bool same = graph.size() == program.size();
    for (size_t i = 0; same && i < graph.size(); ++i) {
      const ir::TensorType& type = body.values[size_t(program[i])].type;
      same = type.dtype == graph[i]->type.dtype && type.rank() == graph[i]->type.rank();
    }
    return same ? ok_status() : data_loss(cat("has other ", what, " than its graph"));
  }

  // problem.result_type(i) for all i in one pass.
  static std::vector<const ir::TensorType*> result_types(const kernel::Problem& problem) {
    std::vector<const ir::TensorType*> all(problem.operands.size(), nullptr);
    for (const kernel::Stage& stage : problem.stages)
      for (const ir::TensorType& type : stage.outputs) all.push_back(&type);
    std::vector<const ir::TensorType*> out;
    for (int result : problem.results) out.push_back(all[size_t(result)]);
    return out;
  }

  Status profile(const std::vector<ProfileInput>& profile) const {
    std::set<std::string_view> names;
    for (const ProfileInput& i : profile) {
      const auto found = input_types_.find(i.input);
      if (found == input_types_.end())
        return data_loss(cat("input ", named(i.input), " is none of the program's"));
      if (!names.insert(i.input).second) return data_loss(cat("input ", named(i.input), " twice"));
      const size_t rank = size_t(found->second->rank());
      if (i.min.size() != rank || i.opt.size() != rank || i.max.size() != rank)
        return data_loss(cat("input ", named(i.input), " has ranks ", i.min.size(), ", ",
                             i.opt.size(), " and ", i.max.size(), ", expected ", rank));
      for (size_t d = 0; d < rank; ++d) {
        const ir::Dim& dim = found->second->shape[d];
        if (i.min[d] < 0 || i.min[d] > i.opt[d] || i.opt[d] > i.max[d])
          return data_loss(cat("input ", named(i.input), ", dim ", d, ": min ", i.min[d], ", opt ",
                               i.opt[d], ", max ", i.max[d], ", expected them in that order"));
        if (dim.is_constant() && (i.min[d] != dim.value() || i.max[d] != dim.value()))
          return data_loss(cat("input ", named(i.input), ", dim ", d, ": ", i.min[d], " to ",
                               i.max[d], ", expected ", dim.value()));
      }
    }
    return ok_status();
  }

  enum Written : uint8_t { kUnwritten, kPartly, kWritten };
  const Program& p_;
  const int depth_;
  std::vector<Written> written_;
  std::map<std::string_view, const ir::TensorType*> input_types_;
};

}  // namespace

Status verify(const Program& program) { return ProgramVerifier(program, 0).run(); }

uint64_t content_hash(ir::DataType dtype, std::span<const int64_t> dims, const Hash128& bytes) {
  Hasher hasher;
  hasher.add_text(name_of(dtype));
  hasher.add_number(dims.size());
  for (int64_t d : dims) hasher.add_number(uint64_t(d));
  hasher.add_number(bytes.low);
  hasher.add_number(bytes.high);
  return hasher.hash64();
}

uint64_t content_hash(const ir::Tensor& tensor) {
  return content_hash(tensor.dtype(), tensor.dims(),
                      hash128(std::span(tensor.data_as<std::byte>(), size_t(tensor.bytes()))));
}

}  // namespace planish::plan
