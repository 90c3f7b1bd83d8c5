// One function per table of plan.fbs. The first fault is kept with the place where it was met
// ("step 3: operand 1: ..."), and everything after it returns quickly without allocating.
#include "plan/decode.h"

#include <cmath>
#include <cstring>

#include "base/text.h"
#include "plan/names.h"
#include "plan/plan_generated.h"

namespace planish::plan {
namespace {

template <class T>
using List = flatbuffers::Vector<flatbuffers::Offset<T>>;

constexpr size_t kMaxRank = 64;
constexpr size_t kMaxDimText = 4096;
// Memory that metadata may become, per byte of it; what we write ourselves stays below 15.
constexpr size_t kMemoryFactor = 64;
constexpr size_t kMemoryFloor = size_t(1) << 20;
// Likewise of artifacts, which several steps may share in the file and each hold in memory.
constexpr uint64_t kArtifactFactor = 4;
constexpr uint64_t kArtifactFloor = uint64_t(256) << 20;
// A graph's text as a graph.
constexpr size_t kGraphFactor = 24;

class Decoder {
 public:
  Decoder(size_t metadata_bytes, Sections& sections)
      : memory_left_(kMemoryFloor + kMemoryFactor * metadata_bytes),
        artifacts_left_(kArtifactFloor),
        sections_(sections) {
    for (size_t i = 0; i < sections.count(); ++i)
      artifacts_left_ += kArtifactFactor * sections.bytes(i);
  }

  Result<Plan> run(const wire::Plan& from) {
    Plan plan;
    plan.planish_version = text(from.planish_version());
    dims(from.dims());
    plan.program = program(*from.program());
    plan.metadata = pairs("metadata", from.metadata());
    plan.options = pairs("options", from.options());
    plan.graph_text = text(from.graph_text());
    plan.decisions = text(from.decisions());
    plan.report = text(from.report());
    plan.plugins = texts(from.plugins());
    plan.libraries = texts(from.libraries());
    PLANISH_RETURN_IF_ERROR(status_);
    return plan;
  }

 private:
  // Where in the file we are, for messages.
  class Scope {
   public:
    Scope(Decoder& decoder, std::string_view what, size_t number) : decoder_(decoder) {
      decoder.scopes_.push_back({what, number});
    }
    ~Scope() { decoder_.scopes_.pop_back(); }

   private:
    Decoder& decoder_;
  };

  bool ok() const { return status_.ok(); }
  void fail(Status status) {
    if (!ok()) return;
    status_ = status.code() == Code::kResourceExhausted ? status : data_loss(status.message());
    for (size_t i = scopes_.size(); i-- > 0;)
      status_ = status_.at(cat(scopes_[i].first, " ", scopes_[i].second));
  }
  void fail(std::string message) { fail(data_loss(std::move(message))); }
  bool room(size_t bytes) {
    if (bytes > memory_left_) {
      fail("the metadata becomes too large: parts of it are used again and again");
      return false;
    }
    memory_left_ -= bytes;
    return true;
  }

  // Calls fn(item, index) for every entry inside a scope of that name, until something fails.
  template <class T, class Fn>
  void each(std::string_view what, const List<T>* list, size_t item_bytes, Fn&& fn) {
    if (!list) return;
    for (uint32_t i = 0; i < list->size() && ok() && room(item_bytes); ++i) {
      const Scope scope(*this, what, i);
      fn(*list->Get(i));
    }
  }

  std::string text(const flatbuffers::String* s) {
    if (!s || !ok() || !room(s->size())) return {};
    return s->str();
  }
  std::vector<std::string> texts(const List<flatbuffers::String>* list) {
    std::vector<std::string> out;
    each("text", list, sizeof(std::string),
         [&](const flatbuffers::String& s) { out.push_back(text(&s)); });
    return out;
  }
  template <class T, class From>
  std::vector<T> numbers(const flatbuffers::Vector<From>* list) {
    if (!list || !ok() || !room(list->size() * sizeof(T))) return {};
    // A damaged offset may point between the bytes of a number: the verifier asks for the length's
    // alignment only.
    std::vector<T> out(list->size());
    for (size_t i = 0; i < out.size(); ++i) {
      From number;
      std::memcpy(&number, list->Data() + i * sizeof(From), sizeof(From));
      out[i] = T(flatbuffers::EndianScalar(number));
    }
    return out;
  }
  std::map<std::string, std::string> pairs(std::string_view what,
                                           const List<wire::KeyValue>* list) {
    std::map<std::string, std::string> out;
    each(what, list, 96, [&](const wire::KeyValue& pair) {
      if (!out.emplace(text(pair.key()), text(pair.value())).second)
        fail(cat("key '", pair.key()->str(), "' stands twice"));
    });
    return out;
  }

  void dims(const List<flatbuffers::String>* list) {
    each("dim", list, 256, [&](const flatbuffers::String& s) {
      if (s.size() > kMaxDimText)
        return fail(cat("an expression of ", s.size(), " characters, at most ", kMaxDimText));
      auto dim = ir::Dim::parse(s.string_view());
      if (!dim.ok()) return fail(dim.status());
      if (!dim->valid()) return fail("is invalid");
      dims_.push_back(*std::move(dim));
    });
  }
  ir::Dim dim(uint32_t number) {
    if (number < dims_.size()) return dims_[number];
    fail(cat("dim number ", number, ", there are ", dims_.size()));
    return 0;
  }

  ir::DataType data_type(const flatbuffers::String* name) {
    if (!name) return fail("has no element type"), ir::DataType::kF32;
    const auto type = ir::parse_data_type(name->string_view());
    if (!type) fail(cat("element type '", shown(name), "' is unknown"));
    return type.value_or(ir::DataType::kF32);
  }
  static std::string shown(const flatbuffers::String* s) {
    return s ? std::string(s->string_view().substr(0, 80)) : std::string();
  }
  // The number of a name in a table of names; an absent name is the first.
  template <size_t N>
  int number_of(const std::string_view (&names)[N], const flatbuffers::String* name,
                std::string_view what) {
    if (!name) return 0;
    for (size_t i = 0; i < N; ++i)
      if (names[i] == name->string_view()) return int(i);
    fail(cat(what, " '", shown(name), "' is unknown"));
    return 0;
  }

  ir::TensorType type(const wire::TensorType& from) {
    ir::TensorType out;
    out.dtype = data_type(from.dtype());
    if (const auto* shape = from.shape()) {
      if (shape->size() > kMaxRank) {
        fail(cat("rank ", shape->size(), ", at most ", kMaxRank));
        return out;
      }
      if (!room(shape->size() * sizeof(ir::Dim))) return out;
      for (uint32_t number : *shape) out.shape.push_back(dim(number));
    }
    if (from.layout()) {
      auto layout = ir::parse_layout(from.layout()->string_view());
      if (!layout.ok())
        fail(cat("layout '", shown(from.layout()), "' is not understood"));
      else
        out.layout = *std::move(layout);
    }
    out.space = ir::MemorySpace(number_of(kSpaceNames, from.space(), "memory space"));
    return out;
  }

  // `hash`: of the bytes, where they lie in a section.
  ir::Tensor tensor(const wire::Tensor& from, Hash128* hash = nullptr) {
    const ir::DataType dtype = data_type(from.dtype());
    std::vector<int64_t> dims = numbers<int64_t>(from.dims());
    if (!ok()) return {};
    const auto count = ir::checked_element_count(dims);
    if (!count || *count > INT64_MAX / 128 || dims.size() > kMaxRank) {
      fail(cat("a tensor of dims ", dims.size() > kMaxRank ? "too many" : bracketed(dims),
               " cannot be"));
      return {};
    }
    if (from.section() != -1) {
      if (from.bytes()) fail("a tensor has both bytes and a section");
      if (!section(from.section())) return {};
      auto out = sections_.tensor(size_t(from.section()), dtype, std::move(dims));
      if (!out.ok()) return fail(out.status()), ir::Tensor();
      if (hash) *hash = sections_.hash(size_t(from.section()));
      return *std::move(out);
    }
    const size_t expected = size_t(ir::bytes_of(dtype, *count));
    const size_t got = from.bytes() ? from.bytes()->size() : 0;
    if (got != expected) {
      fail(cat("a tensor of type ", name_of(dtype), bracketed(dims), " has ", got,
               " bytes, expected ", expected));
      return {};
    }
    if (!room(expected + 128)) return {};
    ir::Tensor out(dtype, std::move(dims));
    if (got) std::memcpy(out.mutable_data(), from.bytes()->data(), got);
    if (hash) *hash = hash128(std::span(out.data_as<std::byte>(), got));
    return out;
  }
  bool section(int32_t number) {
    if (number >= 0 && size_t(number) < sections_.count()) return true;
    fail(cat("section ", number, ", there are ", sections_.count()));
    return false;
  }
  std::vector<std::byte> blob(int32_t number) {
    if (number == -1 || !ok() || !section(number)) return {};
    const uint64_t bytes = sections_.bytes(size_t(number));
    if (bytes > artifacts_left_)
      return fail("artifacts become too large in memory"), std::vector<std::byte>();
    artifacts_left_ -= bytes;
    auto out = sections_.copy(size_t(number));
    if (!out.ok()) return fail(out.status()), std::vector<std::byte>();
    return *std::move(out);
  }

  ir::Attribute attribute(const wire::Attribute& from) {
    const std::string_view kind = from.kind()->string_view();
    if (kind == attribute_kind<int64_t>()) return from.number();
    if (kind == attribute_kind<double>()) return from.real().value_or(0);
    if (kind == attribute_kind<std::string>()) return text(from.text());
    if (kind == attribute_kind<std::vector<int64_t>>()) return numbers<int64_t>(from.numbers());
    if (kind == attribute_kind<std::vector<double>>()) return numbers<double>(from.reals());
    if (kind == attribute_kind<std::vector<std::string>>()) return texts(from.texts());
    if (kind == attribute_kind<ir::DataType>()) return data_type(from.text());
    if (kind == attribute_kind<ir::Tensor>()) {
      if (from.tensor()) return tensor(*from.tensor());
      fail("a tensor attribute without a tensor");
      return int64_t(0);
    }
    if (kind == attribute_kind<ir::GraphPtr>()) return graph(from.text());
    fail(cat("attribute kind '", shown(from.kind()), "' is unknown"));
    return int64_t(0);
  }
  ir::GraphPtr graph(const flatbuffers::String* text) {
    if (!text) return fail("a graph attribute without text"), nullptr;
    if (!ok() || !room(kGraphFactor * text->size())) return nullptr;
    auto out = ir::parse(text->string_view());
    if (!out.ok()) return fail(out.status()), nullptr;
    if (Status s = ir::verify(**out); !s.ok()) return fail(s), nullptr;
    return ir::GraphPtr(*std::move(out));
  }

  kernel::Expr expression(const wire::Expr& from) {
    kernel::Expr out;
    each("expression node", from.nodes(), sizeof(kernel::ExprNode), [&](const wire::ExprNode& n) {
      kernel::ExprNode node;
      auto op = kernel::parse_scalar_op(n.op()->string_view());
      if (!op.ok()) return fail(cat("scalar operation '", shown(n.op()), "' is unknown"));
      node.op = *op;
      node.dtype = data_type(n.dtype());
      node.a = n.a(), node.b = n.b(), node.c = n.c();
      node.imm = n.imm().value_or(0);
      node.imm_int = n.imm_int();
      out.nodes.push_back(node);
    });
    out.outputs = numbers<int32_t>(from.outputs());
    out.arg_count = from.arg_count();
    return out;
  }

  kernel::Stage stage(const wire::Stage& from) {
    kernel::Stage out;
    out.op = text(from.op());
    each("attribute", from.attributes(), 160, [&](const wire::Attribute& a) {
      if (!out.attrs.emplace(text(a.key()), attribute(a)).second)
        fail(cat("attribute '", shown(a.key()), "' stands twice"));
    });
    out.inputs = numbers<int>(from.inputs());
    each("output", from.outputs(), sizeof(ir::TensorType),
         [&](const wire::TensorType& t) { out.outputs.push_back(type(t)); });
    if (from.expr()) out.expr = expression(*from.expr());
    return out;
  }

  kernel::Problem problem(const wire::Problem& from) {
    kernel::Problem out;
    each("operand", from.operands(), sizeof(kernel::Operand), [&](const wire::Operand& o) {
      kernel::Operand operand;
      operand.present = o.type() != nullptr;
      if (o.type()) operand.type = type(*o.type());
      operand.constant = o.constant();
      if (o.value()) operand.value = tensor(*o.value());
      out.operands.push_back(std::move(operand));
    });
    each("stage", from.stages(), sizeof(kernel::Stage),
         [&](const wire::Stage& s) { out.stages.push_back(stage(s)); });
    out.results = numbers<int>(from.results());
    return out;
  }

  // A time is for reports only: nonsense counts as unknown.
  static double time_us(double us, double unknown) {
    return std::isfinite(us) && us >= 0 ? us : unknown;
  }

  Step step(const wire::Step& from) {
    Step out;
    out.kernel = text(from.kernel());
    out.kernel_version = from.kernel_version();
    out.problem = problem(*from.problem());
    each("tactic parameter", from.tactic(), 96, [&](const wire::TacticParam& p) {
      if (!out.tactic.params.emplace(text(p.key()), p.value()).second)
        fail(cat("key '", shown(p.key()), "' stands twice"));
    });
    out.operands = numbers<int>(from.operands());
    out.results = numbers<int>(from.results());
    out.sources = texts(from.sources());
    out.artifact = blob(from.artifact());
    out.packed = blob(from.packed());
    out.reference = from.reference();
    out.binds_symbols = from.binds_symbols();
    out.expected_us = time_us(from.expected_us(), 0);
    each("considered kernel", from.considered(), sizeof(Considered),
         [&](const wire::Considered& c) {
           out.considered.push_back({text(c.kernel()), text(c.tactic()),
                                     time_us(c.predicted_us(), 0), time_us(c.measured_us(), -1),
                                     text(c.refused())});
         });
    each("body", from.bodies(), sizeof(Body) + sizeof(Program), [&](const wire::Body& b) {
      if (++body_depth_ > kMaxBodyDepth)
        fail(cat("bodies nest deeper than ", kMaxBodyDepth));
      else
        out.bodies.push_back(
            {text(b.attribute()), std::make_shared<Program>(program(*b.program()))});
      --body_depth_;
    });
    out.launch = {from.stream(), numbers<int>(from.waits()), from.programmatic()};
    return out;
  }

  ProgramValue value(const wire::Value& from) {
    ProgramValue out;
    out.name = text(from.name());
    out.type = type(*from.type());
    out.kind = ValueKind(number_of(kValueKindNames, from.kind(), "value kind"));
    out.constant = from.constant();
    out.parent = from.parent();
    if (from.offset() != -1) out.offset = dim(uint32_t(from.offset()));
    out.strided = from.strided();
    return out;
  }

  Constant constant(const wire::Constant& from) {
    Constant out;
    out.name = text(from.name());
    Hash128 bytes;
    out.tensor = tensor(*from.tensor(), &bytes);
    if (!ok()) return out;
    out.hash = content_hash(out.tensor.dtype(), out.tensor.dims(), bytes);
    if (out.hash != from.hash())
      fail(
          cat("its bytes ('", out.name.substr(0, 80), "') are not those this plan was saved with"));
    return out;
  }

  ir::SymbolInfo symbol(const wire::Symbol& from) {
    ir::SymbolInfo out;
    out.low = from.low();
    if (from.high().has_value()) out.high = from.high().value();
    out.from_data = from.from_data();
    if (from.upper_bound() != -1) out.upper_bound = dim(uint32_t(from.upper_bound()));
    return out;
  }

  Program program(const wire::Program& from) {
    Program out;
    out.device_kind = text(from.device_kind());
    out.device_name = text(from.device_name());
    out.isa = text(from.isa());
    out.threads = from.threads();
    each("symbol", from.symbols(), 160, [&](const wire::Symbol& s) {
      if (!out.symbols.emplace(text(s.name()), symbol(s)).second)
        fail(cat("symbol '", shown(s.name()), "' stands twice"));
    });
    each("value", from.values(), sizeof(ProgramValue),
         [&](const wire::Value& v) { out.values.push_back(value(v)); });
    each("constant", from.constants(), sizeof(Constant),
         [&](const wire::Constant& c) { out.constants.push_back(constant(c)); });
    each("step", from.steps(), sizeof(Step),
         [&](const wire::Step& s) { out.steps.push_back(step(s)); });
    out.inputs = numbers<int>(from.inputs());
    out.outputs = numbers<int>(from.outputs());
    out.output_names = texts(from.output_names());
    each("profile", from.profiles(), sizeof(out.profiles[0]), [&](const wire::Profile& p) {
      std::vector<ProfileInput> inputs;
      each("input", p.inputs(), sizeof(ProfileInput), [&](const wire::ProfileInput& i) {
        inputs.push_back({text(i.input()), numbers<int64_t>(i.min()), numbers<int64_t>(i.opt()),
                          numbers<int64_t>(i.max())});
      });
      out.profiles.push_back(std::move(inputs));
    });
    return out;
  }

  size_t memory_left_;
  uint64_t artifacts_left_;
  Sections& sections_;
  std::vector<ir::Dim> dims_;
  int body_depth_ = 0;
  std::vector<std::pair<std::string_view, size_t>> scopes_;
  Status status_;
};

}  // namespace

Result<Plan> decode(const wire::Plan& from, size_t metadata_bytes, Sections& sections) {
  return Decoder(metadata_bytes, sections).run(from);
}

}  // namespace planish::plan
