// One function per table of plan.fbs, bottom up. The builder gets strings and children in one fixed
// order, so that equal plans give equal bytes.
#include "plan/encode.h"

#include <cmath>
#include <map>

#include "base/text.h"
#include "plan/format.h"
#include "plan/names.h"
#include "plan/plan_generated.h"

namespace planish::plan {
namespace {

template <class T>
using Offset = flatbuffers::Offset<T>;
template <class T>
using VectorOffset = Offset<flatbuffers::Vector<T>>;
using String = Offset<flatbuffers::String>;

constexpr size_t kMaxMetadata = size_t(1) << 30;
// Longer strings are rarely equal, and shared ones count against the reader's memory factor.
constexpr size_t kMaxSharedString = 32;

class Encoder {
 public:
  Result<Encoded> run(const Plan& plan) {
    auto program = encode_program(plan.program);
    auto metadata = pairs(plan.metadata), options = pairs(plan.options);
    auto graph = optional_text(plan.graph_text), decisions = optional_text(plan.decisions),
         report = optional_text(plan.report), version = optional_text(plan.planish_version);
    auto plugins = texts(plan.plugins), libraries = texts(plan.libraries);
    auto dims = texts(dims_);
    PLANISH_RETURN_IF_ERROR(status_);
    builder_.Finish(wire::CreatePlan(builder_, version, dims, program, metadata, options, graph,
                                     decisions, report, plugins, libraries),
                    wire::PlanIdentifier());
    return Encoded{builder_.Release(), std::move(sections_)};
  }

 private:
  // FlatBuffers asserts at 2 GiB; stop well before, whatever is being written.
  bool room(size_t bytes) {
    written_ += bytes + 16;
    if (written_ > kMaxMetadata && status_.ok())
      status_ =
          resource_exhausted(cat("the plan's metadata is larger than ", kMaxMetadata, " bytes"));
    return status_.ok();
  }
  void fail(Status status) {
    if (status_.ok()) status_ = std::move(status);
  }

  String text(std::string_view s) {
    if (!room(s.size())) s = {};
    return s.size() <= kMaxSharedString ? builder_.CreateSharedString(s.data(), s.size())
                                        : builder_.CreateString(s.data(), s.size());
  }
  String optional_text(std::string_view s) { return s.empty() ? String() : text(s); }
  template <class T>
  VectorOffset<T> numbers(std::span<const T> v) {
    if (v.empty() || !room(v.size_bytes())) return 0;
    return builder_.CreateVector(v.data(), v.size());
  }
  VectorOffset<int32_t> indices(std::span<const int> v) { return numbers<int32_t>(v); }
  VectorOffset<String> texts(std::span<const std::string> v) {
    std::vector<String> out;
    for (const std::string& s : v) out.push_back(text(s));
    return list(out);
  }
  template <class T>
  VectorOffset<Offset<T>> list(const std::vector<Offset<T>>& v) {
    if (v.empty() || !room(v.size() * 24)) return 0;
    return builder_.CreateVector(v);
  }
  VectorOffset<Offset<wire::KeyValue>> pairs(const std::map<std::string, std::string>& map) {
    std::vector<Offset<wire::KeyValue>> out;
    for (const auto& [key, value] : map) {
      auto k = text(key), v = optional_text(value);
      out.push_back(wire::CreateKeyValue(builder_, k, v));
    }
    return list(out);
  }

  uint32_t dim(const ir::Dim& d) {
    std::string form = d.to_string();
    if (auto known = dim_numbers_.find(form); known != dim_numbers_.end()) return known->second;
    const auto back = ir::Dim::parse(form);
    if (!back.ok() || !(*back == d))
      fail(internal_error(cat("dim '", form, "' does not read back as itself")));
    const uint32_t number = uint32_t(dims_.size());
    dims_.push_back(form);
    dim_numbers_.emplace(std::move(form), number);
    return number;
  }

  int32_t section(std::span<const std::byte> bytes) {
    if (bytes.empty()) return -1;
    const Hash128 hash = planish::hash128(bytes);
    const auto [first, last] = by_hash_.equal_range(hash);
    for (auto it = first; it != last; ++it) {
      const auto known = sections_[size_t(it->second)].bytes;
      if (known.size() == bytes.size() &&
          (known.data() == bytes.data() || !std::memcmp(known.data(), bytes.data(), bytes.size())))
        return it->second;
    }
    sections_.push_back({bytes, hash});
    return by_hash_.emplace(hash, int32_t(sections_.size()) - 1)->second;
  }

  Offset<wire::Tensor> tensor(const ir::Tensor& t) {
    const std::span bytes(t.data_as<std::byte>(), size_t(t.bytes()));
    auto dtype = text(name_of(t.dtype()));
    auto dims = numbers<int64_t>(t.dims());
    VectorOffset<uint8_t> inlined = 0;
    int32_t at = -1;
    if (t.bytes() <= kInlineBytes)
      inlined = numbers<uint8_t>({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
    else
      at = section(bytes);
    return wire::CreateTensor(builder_, dtype, dims, inlined, at);
  }

  Offset<wire::TensorType> type(const ir::TensorType& t) {
    std::vector<uint32_t> shape;
    for (const ir::Dim& d : t.shape) shape.push_back(dim(d));
    auto dtype = text(name_of(t.dtype));
    auto dims = numbers<uint32_t>(shape);
    auto layout = t.layout.is_row_major() ? String() : text(ir::to_string(t.layout));
    auto space = t.space == ir::MemorySpace::kHost ? String() : text(kSpaceNames[int(t.space)]);
    return wire::CreateTensorType(builder_, dtype, dims, layout, space);
  }
  VectorOffset<Offset<wire::TensorType>> types(std::span<const ir::TensorType> v) {
    std::vector<Offset<wire::TensorType>> out;
    for (const auto& t : v) out.push_back(type(t));
    return list(out);
  }

  Offset<wire::Attribute> attribute(const std::string& key, const ir::Attribute& value) {
    struct {
      std::string_view kind;
      int64_t number = 0;
      flatbuffers::Optional<double> real = flatbuffers::nullopt;
      String text;
      VectorOffset<int64_t> numbers;
      VectorOffset<double> reals;
      VectorOffset<String> texts;
      Offset<wire::Tensor> tensor;
    } f;
    std::visit(
        [&](const auto& v) {
          using T = std::decay_t<decltype(v)>;
          f.kind = attribute_kind<T>();
          if constexpr (std::is_same_v<T, int64_t>)
            f.number = v;
          else if constexpr (std::is_same_v<T, double>)
            f.real = v;
          else if constexpr (std::is_same_v<T, std::string>)
            f.text = optional_text(v);
          else if constexpr (std::is_same_v<T, std::vector<int64_t>>)
            f.numbers = numbers<int64_t>(v);
          else if constexpr (std::is_same_v<T, std::vector<double>>)
            f.reals = numbers<double>(v);
          else if constexpr (std::is_same_v<T, std::vector<std::string>>)
            f.texts = texts(v);
          else if constexpr (std::is_same_v<T, ir::DataType>)
            f.text = text(name_of(v));
          else if constexpr (std::is_same_v<T, ir::Tensor>)
            f.tensor = tensor(v);
          else
            f.text = text(graph_text(key, v));
        },
        value);
    auto name = text(key), kind = text(f.kind);
    return wire::CreateAttribute(builder_, name, kind, f.number, f.real, f.text, f.numbers, f.reals,
                                 f.texts, f.tensor);
  }
  std::string graph_text(const std::string& key, const ir::GraphPtr& graph) {
    if (graph) return ir::print(*graph, {.full_constants = true});
    fail(internal_error(cat("attribute '", key, "' holds no graph")));
    return {};
  }

  Offset<wire::Expr> expression(const kernel::Expr& expr) {
    std::vector<Offset<wire::ExprNode>> nodes;
    for (const kernel::ExprNode& n : expr.nodes) {
      auto op = text(kernel::info(n.op).name), dtype = text(name_of(n.dtype));
      // Absent means +0; -0 and NaN are kept to the bit.
      flatbuffers::Optional<double> imm = flatbuffers::nullopt;
      if (std::bit_cast<uint64_t>(n.imm) != 0) imm = n.imm;
      nodes.push_back(wire::CreateExprNode(builder_, op, dtype, n.a, n.b, n.c, imm, n.imm_int));
    }
    auto list_of_nodes = list(nodes);
    auto outputs = numbers<int32_t>(expr.outputs);
    return wire::CreateExpr(builder_, list_of_nodes, outputs, expr.arg_count);
  }

  Offset<wire::Problem> problem(const kernel::Problem& p) {
    std::vector<Offset<wire::Operand>> operands;
    for (const kernel::Operand& o : p.operands) {
      auto t = o.present ? type(o.type) : Offset<wire::TensorType>();
      auto value = o.value ? tensor(*o.value) : Offset<wire::Tensor>();
      operands.push_back(wire::CreateOperand(builder_, t, o.constant, value));
    }
    std::vector<Offset<wire::Stage>> stages;
    for (const kernel::Stage& s : p.stages) {
      std::vector<Offset<wire::Attribute>> attributes;
      for (const auto& [key, value] : s.attrs) attributes.push_back(attribute(key, value));
      auto op = text(s.op);
      auto attrs = list(attributes);
      auto inputs = indices(s.inputs);
      auto outputs = types(s.outputs);
      auto expr = s.expr ? expression(*s.expr) : Offset<wire::Expr>();
      stages.push_back(wire::CreateStage(builder_, op, attrs, inputs, outputs, expr));
    }
    auto operand_list = list(operands);
    auto stage_list = list(stages);
    auto results = indices(p.results);
    return wire::CreateProblem(builder_, operand_list, stage_list, results);
  }

  Offset<wire::Step> step(const Step& s) {
    auto kernel = text(s.kernel);
    auto what = problem(s.problem);
    std::vector<Offset<wire::TacticParam>> params;
    for (const auto& [key, value] : s.tactic.params) {
      auto k = text(key);
      params.push_back(wire::CreateTacticParam(builder_, k, value));
    }
    auto tactic = list(params);
    auto operands = indices(s.operands), results = indices(s.results);
    auto sources = texts(s.sources);
    std::vector<Offset<wire::Considered>> considered;
    for (const Considered& c : s.considered) {
      auto k = text(c.kernel), t = optional_text(c.tactic), why = optional_text(c.refused);
      considered.push_back(
          wire::CreateConsidered(builder_, k, t, c.predicted_us, c.measured_us, why));
    }
    auto seen = list(considered);
    std::vector<Offset<wire::Body>> bodies;
    for (const Body& body : s.bodies) {
      auto attribute = text(body.attribute);
      auto inner = encode_program(*body.program);
      bodies.push_back(wire::CreateBody(builder_, attribute, inner));
    }
    auto body_list = list(bodies);
    auto waits = indices(s.launch.waits);
    const int32_t artifact = section(s.artifact), packed = section(s.packed);
    return wire::CreateStep(builder_, kernel, s.kernel_version, what, tactic, operands, results,
                            sources, artifact, packed, s.reference, s.binds_symbols, s.expected_us,
                            seen, body_list, s.launch.stream, waits, s.launch.programmatic);
  }

  Offset<wire::Value> value(const ProgramValue& v) {
    auto name = optional_text(v.name), kind = text(kValueKindNames[int(v.kind)]);
    auto t = type(v.type);
    const int32_t offset = v.offset == ir::Dim(0) ? -1 : int32_t(dim(v.offset));
    return wire::CreateValue(builder_, name, t, kind, v.constant, v.parent, offset, v.strided);
  }

  Offset<wire::Symbol> symbol(const std::string& name, const ir::SymbolInfo& info) {
    auto n = text(name);
    flatbuffers::Optional<int64_t> high = flatbuffers::nullopt;
    if (info.high) high = *info.high;
    const int32_t bound = info.upper_bound ? int32_t(dim(*info.upper_bound)) : -1;
    return wire::CreateSymbol(builder_, n, info.low, high, info.from_data, bound);
  }

  Offset<wire::Program> encode_program(const Program& p) {
    std::vector<Offset<wire::Symbol>> symbols;
    for (const auto& [name, info] : p.symbols) symbols.push_back(symbol(name, info));
    std::vector<Offset<wire::Value>> values;
    for (const ProgramValue& v : p.values) values.push_back(value(v));
    std::vector<Offset<wire::Constant>> constants;
    for (const Constant& c : p.constants) {
      auto name = optional_text(c.name);
      auto t = tensor(c.tensor);
      constants.push_back(wire::CreateConstant(builder_, name, t, c.hash));
    }
    std::vector<Offset<wire::Step>> steps;
    for (const Step& s : p.steps) steps.push_back(step(s));
    std::vector<Offset<wire::Profile>> profiles;
    for (const auto& profile : p.profiles) {
      std::vector<Offset<wire::ProfileInput>> inputs;
      for (const ProfileInput& i : profile) {
        auto name = text(i.input);
        auto low = numbers<int64_t>(i.min), opt = numbers<int64_t>(i.opt),
             high = numbers<int64_t>(i.max);
        inputs.push_back(wire::CreateProfileInput(builder_, name, low, opt, high));
      }
      auto inputs_list = list(inputs);
      profiles.push_back(wire::CreateProfile(builder_, inputs_list));
    }
    auto kind = text(p.device_kind), name = optional_text(p.device_name),
         isa = optional_text(p.isa);
    auto symbol_list = list(symbols);
    auto value_list = list(values);
    auto constant_list = list(constants);
    auto step_list = list(steps);
    auto inputs = indices(p.inputs), outputs = indices(p.outputs);
    auto names = texts(p.output_names);
    auto profile_list = list(profiles);
    return wire::CreateProgram(builder_, kind, name, isa, p.threads, symbol_list, value_list,
                               constant_list, step_list, inputs, outputs, names, profile_list);
  }

  flatbuffers::FlatBufferBuilder builder_{1 << 16};
  std::vector<std::string> dims_;
  std::map<std::string, uint32_t> dim_numbers_;
  std::vector<Encoded::Section> sections_;
  std::multimap<Hash128, int32_t> by_hash_;
  size_t written_ = 0;
  Status status_;
};

}  // namespace

Result<Encoded> encode(const Plan& plan) { return Encoder().run(plan); }

}  // namespace planish::plan
