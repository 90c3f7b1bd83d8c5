// The parser of the text form that text.cc describes: one pass, recursive only over nested graphs
// (to kMaxDepth). It takes hostile text: every allocation is bounded by a multiple of the text's
// length, a tensor's elements are counted before it is made, and errors carry line and column.
#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/limits.h"
#include "base/text.h"
#include "ir/graph.h"
#include "ir/text_form.h"

namespace planish::ir {
namespace {

constexpr int kMaxDepth = 32;         // graphs within graphs
constexpr size_t kMaxRank = 64;
constexpr size_t kMaxDimText = 4096;  // characters of one dim expression

class Parser {
 public:
  Parser(std::string_view text, const ParseOptions& options) : text_(text), options_(options) {}

  Result<std::unique_ptr<Graph>> run() {
    PLANISH_RETURN_IF_ERROR(expect_word("graph"));
    PLANISH_ASSIGN_OR_RETURN(auto graph, graph_body());
    skip();
    if (at_ != text_.size()) return error("end of text");
    return graph;
  }

 private:
  // ---- characters and tokens
  Status error_at(size_t where, std::string_view what) const {
    const std::string_view before = text_.substr(0, std::min(where, text_.size()));
    const auto line = std::count(before.begin(), before.end(), '\n') + 1;
    const size_t line_start = before.rfind('\n') == before.npos ? 0 : before.rfind('\n') + 1;
    return invalid_argument(
        cat("graph text, line ", line, ", column ", before.size() - line_start + 1, ": ", what));
  }
  Status error(std::string_view expected) {
    skip();
    const std::string got = at_ >= text_.size()
                                ? std::string("the end")
                                : quoted(text_.substr(at_, std::min<size_t>(16, word_length())));
    return error_at(at_, cat("expected ", expected, ", got ", got));
  }
  size_t word_length() const {
    size_t end = at_;
    while (end < text_.size() && is_name_char(text_[end])) ++end;
    return std::max<size_t>(end - at_, 1);
  }
  void skip() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
        ++at_;
      } else if (c == '#') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      } else {
        return;
      }
    }
  }
  bool peek(char c) {
    skip();
    return at_ < text_.size() && text_[at_] == c;
  }
  bool take(char c) {
    if (!peek(c)) return false;
    ++at_;
    return true;
  }
  Status expect(char c) {
    if (take(c)) return ok_status();
    return error(cat("'", c, "'"));
  }
  std::string_view peek_word() {
    skip();
    if (at_ >= text_.size() || !is_name_char(text_[at_])) return {};
    return text_.substr(at_, word_length());
  }
  bool take_word(std::string_view word) {
    if (peek_word() != word) return false;
    at_ += word.size();
    return true;
  }
  Status expect_word(std::string_view word) {
    if (take_word(word)) return ok_status();
    return error(cat("'", word, "'"));
  }
  Result<std::string> string_literal() {
    PLANISH_RETURN_IF_ERROR(expect('"'));
    std::string out;
    while (at_ < text_.size() && text_[at_] != '"') {
      char c = text_[at_++];
      if (c == '\\') {
        const char escape = at_ < text_.size() ? text_[at_++] : '\0';
        if (escape == 'n') {
          c = '\n';
        } else if (escape == '"' || escape == '\\') {
          c = escape;
        } else if (escape == 'x' && at_ + 2 <= text_.size() && hex_digit(text_[at_]) >= 0 &&
                   hex_digit(text_[at_ + 1]) >= 0) {
          c = char(hex_digit(text_[at_]) * 16 + hex_digit(text_[at_ + 1]));
          at_ += 2;
        } else {
          return error_at(at_ - 1, "unknown escape in a string");
        }
      }
      out += c;
    }
    if (at_ >= text_.size()) return error_at(at_, "the string has no closing '\"'");
    ++at_;
    return out;
  }
  static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
  }
  Result<std::string> name() {
    if (peek('"')) return string_literal();
    const std::string_view word = peek_word();
    if (word.empty()) return error("a name");
    at_ += word.size();
    return std::string(word);
  }
  // The characters of a number: sign, digits, point, exponent, inf, nan.
  std::string_view number_text() {
    skip();
    size_t end = at_;
    while (end < text_.size() && (is_name_char(text_[end]) || text_[end] == '+')) ++end;
    return text_.substr(at_, end - at_);
  }
  Result<int64_t> integer() {
    const std::string_view word = number_text();
    int64_t value = 0;
    const auto end = std::from_chars(word.data(), word.data() + word.size(), value);
    if (word.empty() || end.ec != std::errc() || end.ptr != word.data() + word.size())
      return error("an integer");
    at_ += word.size();
    return value;
  }
  Result<double> real() {
    const std::string_view word = number_text();
    double value = 0;
    const auto end = std::from_chars(word.data(), word.data() + word.size(), value);
    if (word.empty() || end.ec != std::errc() || end.ptr != word.data() + word.size())
      return error("a number");
    at_ += word.size();
    return value;
  }

  // ---- types
  // A dim ends at a comma or closing bracket outside of its own parentheses and back quotes.
  Result<Dim> dim() {
    skip();
    const size_t start = at_;
    int depth = 0;
    size_t end = at_;
    for (; end < text_.size(); ++end) {
      const char c = text_[end];
      if (end - start > kMaxDimText) return error_at(start, "the dim is too long");
      if (c == '`') {
        const size_t close = text_.find('`', end + 1);
        if (close == text_.npos) return error_at(end, "the name has no closing '`'");
        end = close;
      } else if (c == '(') {
        ++depth;
      } else if (depth > 0 && c == ')') {
        --depth;
      } else if (depth == 0 && (c == ',' || c == ']' || c == ')' || c == '\n')) {
        break;
      }
    }
    if (end - start > kMaxDimText) return error_at(start, "the dim is too long");
    std::string_view text = text_.substr(start, end - start);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    auto parsed = Dim::parse(text);
    if (!parsed.ok()) return error_at(start, parsed.status().message());
    at_ = end;
    return parsed;
  }
  Result<std::vector<Dim>> dims(size_t limit) {
    PLANISH_RETURN_IF_ERROR(expect('['));
    std::vector<Dim> out;
    if (take(']')) return out;
    do {
      if (out.size() >= limit) return error(cat("at most ", limit, " dims"));
      PLANISH_ASSIGN_OR_RETURN(Dim d, dim());
      out.push_back(std::move(d));
    } while (take(','));
    PLANISH_RETURN_IF_ERROR(expect(']'));
    return out;
  }
  Result<Layout> layout() {
    const size_t start = at_;
    size_t end = start;
    int depth = 0;
    for (; end < text_.size() && end - start < kMaxDimText; ++end) {
      const char c = text_[end];
      depth += (c == '(') - (c == ')');
      if (depth == 0 && !is_name_char(c) && c != ')' && c != '+') break;
    }
    auto parsed = parse_layout(text_.substr(start, end - start));
    if (!parsed.ok()) return error_at(start, parsed.status().message());
    at_ = end;
    return parsed;
  }
  Result<TensorType> type() {
    TensorType out;
    const std::string_view word = peek_word();
    const auto dtype = parse_data_type(word);
    if (!dtype) return error("an element type");
    at_ += word.size();
    out.dtype = *dtype;
    PLANISH_ASSIGN_OR_RETURN(out.shape, dims(kMaxRank));
    for (;;) {
      const std::string_view next = peek_word();
      if (next == "perm" || next == "blocked") {
        const size_t where = at_;
        PLANISH_ASSIGN_OR_RETURN(out.layout, layout());
        const size_t rank = out.shape.size();
        if ((!out.layout.perm.empty() && out.layout.perm.size() != rank) ||
            out.layout.block_dim >= int(rank))
          return error_at(where, cat("the layout does not fit rank ", rank));
      } else if (take_word("device")) {
        out.space = MemorySpace::kDevice;
      } else if (take_word("pinned")) {
        out.space = MemorySpace::kPinned;
      } else {
        return out;
      }
    }
  }

  // ---- constants
  Result<std::vector<int64_t>> constant_dims(const TensorType& type, size_t where) {
    std::vector<int64_t> out;
    for (const Dim& d : type.shape) {
      if (!d.is_constant() || d.value() < 0)
        return error_at(where, "a constant needs dims that are numbers and not negative");
      out.push_back(d.value());
    }
    const auto count = checked_element_count(out);
    if (!count || *count > kDefaultLimits.max_tensor_elements)
      return error_at(where, cat("a constant of type ", to_string(type),
                                 " exceeds max_tensor_elements = ",
                                 kDefaultLimits.max_tensor_elements));
    return out;
  }
  Result<Tensor> elements(const TensorType& type, std::string_view name) {
    skip();
    const size_t where = at_;
    PLANISH_ASSIGN_OR_RETURN(const std::vector<int64_t> shape, constant_dims(type, where));
    if (take_word("hex")) return hex_elements(type.dtype, shape, where);
    if (take_word("digest")) return referenced(type, shape, name, where);
    return listed_elements(type.dtype, shape, where);
  }
  Result<Tensor> hex_elements(DataType dtype, const std::vector<int64_t>& shape, size_t where) {
    PLANISH_RETURN_IF_ERROR(expect('"'));
    const size_t close = text_.find('"', at_);
    if (close == text_.npos) return error_at(at_, "the string has no closing '\"'");
    const std::string_view digits = text_.substr(at_, close - at_);
    const int64_t bytes = bytes_of(dtype, element_count(shape));
    if (int64_t(digits.size()) != bytes * 2)
      return error_at(where, cat("got ", digits.size(), " hex digits, expected ", bytes * 2));
    Tensor t(dtype, shape);
    auto* out = t.mutable_data_as<uint8_t>();
    for (int64_t i = 0; i < bytes; ++i) {
      const int high = hex_digit(digits[size_t(2 * i)]), low = hex_digit(digits[size_t(2 * i + 1)]);
      if (high < 0 || low < 0) return error_at(at_ + size_t(2 * i), "expected hex digits");
      out[i] = uint8_t(high * 16 + low);
    }
    at_ = close + 1;
    return t;
  }
  Result<Tensor> referenced(const TensorType& type, const std::vector<int64_t>& shape,
                            std::string_view name, size_t where) {
    PLANISH_ASSIGN_OR_RETURN(const std::string word, string_literal());
    uint64_t wanted = 0;
    const auto end = std::from_chars(word.data(), word.data() + word.size(), wanted, 16);
    if (word.size() != 16 || end.ptr != word.data() + word.size())
      return error_at(where, "a digest has 16 hex digits");
    if (!options_.constants)
      return error_at(where, cat("constant '", name, "' is given by its digest; print the graph "
                                 "with full_constants to be able to read it back"));
    std::optional<Tensor> found = options_.constants(name, wanted);
    if (!found) return error_at(where, cat("constant '", name, "' was not found by its digest"));
    if (found->dtype() != type.dtype || found->dims() != shape)
      return error_at(where, cat("constant '", name, "': got ", to_string(found->type()),
                                 ", expected ", to_string(type)));
    return std::move(*found);
  }
  Result<Tensor> listed_elements(DataType dtype, const std::vector<int64_t>& shape, size_t where) {
    PLANISH_RETURN_IF_ERROR(expect('{'));
    std::vector<double> floats;
    std::vector<int64_t> ints;
    const bool is_real = is_float(dtype);
    if (!peek('}')) {
      do {
        if (is_real) {
          PLANISH_ASSIGN_OR_RETURN(double v, real());
          floats.push_back(v);
        } else {
          PLANISH_ASSIGN_OR_RETURN(int64_t v, element_integer());
          ints.push_back(v);
        }
      } while (take(','));
    }
    PLANISH_RETURN_IF_ERROR(expect('}'));
    const int64_t got = int64_t(is_real ? floats.size() : ints.size());
    if (got != element_count(shape))
      return error_at(where, cat("got ", got, " elements, expected ", element_count(shape)));
    return is_real ? Tensor::from_f64(dtype, shape, floats) : Tensor::from_i64(dtype, shape, ints);
  }
  // Also takes what only uint64 holds.
  Result<int64_t> element_integer() {
    const std::string_view word = number_text();
    uint64_t value = 0;
    const auto end = std::from_chars(word.data(), word.data() + word.size(), value);
    if (word.empty() || end.ec != std::errc() || end.ptr != word.data() + word.size())
      return integer();
    at_ += word.size();
    return int64_t(value);
  }

  // ---- attributes
  Result<Attribute> attribute() {
    skip();
    if (at_ >= text_.size()) return error("an attribute's value");
    if (text_[at_] == '"') {
      PLANISH_ASSIGN_OR_RETURN(std::string s, string_literal());
      return Attribute(std::move(s));
    }
    if (text_[at_] == '[') return list();
    const std::string_view word = peek_word();
    if (word == "ints" || word == "floats" || word == "strings") {
      at_ += word.size();
      PLANISH_RETURN_IF_ERROR(expect('['));
      PLANISH_RETURN_IF_ERROR(expect(']'));
      if (word == "ints") return Attribute(std::vector<int64_t>{});
      if (word == "floats") return Attribute(std::vector<double>{});
      return Attribute(std::vector<std::string>{});
    }
    if (take_word("tensor")) {
      PLANISH_ASSIGN_OR_RETURN(const TensorType t, type());
      PLANISH_ASSIGN_OR_RETURN(Tensor tensor, elements(t, ""));
      return Attribute(std::move(tensor));
    }
    if (take_word("graph")) {
      if (take_word("none")) return Attribute(GraphPtr());
      PLANISH_ASSIGN_OR_RETURN(auto body, graph_body());
      return Attribute(GraphPtr(std::move(body)));
    }
    if (auto dtype = parse_data_type(word)) {
      at_ += word.size();
      return Attribute(*dtype);
    }
    return number();
  }
  static bool looks_real(std::string_view word) {
    return word.find_first_of(".eni") != word.npos;
  }
  Result<Attribute> number() {
    if (looks_real(number_text())) {
      PLANISH_ASSIGN_OR_RETURN(double v, real());
      return Attribute(v);
    }
    PLANISH_ASSIGN_OR_RETURN(int64_t v, integer());
    return Attribute(v);
  }
  Result<Attribute> list() {
    PLANISH_RETURN_IF_ERROR(expect('['));
    if (peek('"')) {
      std::vector<std::string> out;
      do {
        PLANISH_ASSIGN_OR_RETURN(std::string s, string_literal());
        out.push_back(std::move(s));
      } while (take(','));
      PLANISH_RETURN_IF_ERROR(expect(']'));
      return Attribute(std::move(out));
    }
    if (looks_real(number_text())) {
      std::vector<double> out;
      do {
        PLANISH_ASSIGN_OR_RETURN(double v, real());
        out.push_back(v);
      } while (take(','));
      PLANISH_RETURN_IF_ERROR(expect(']'));
      return Attribute(std::move(out));
    }
    std::vector<int64_t> out;
    do {
      PLANISH_ASSIGN_OR_RETURN(int64_t v, integer());
      out.push_back(v);
    } while (take(','));
    PLANISH_RETURN_IF_ERROR(expect(']'));
    return Attribute(std::move(out));
  }

  // ---- values, nodes, graphs
  struct Declaration {
    std::string name;
    size_t where = 0;
    TensorType type;
    bool keep = false;
    std::optional<std::vector<Dim>> content;
  };
  Result<Declaration> declaration(const Graph& graph) {
    Declaration d;
    skip();
    d.where = at_;
    PLANISH_RETURN_IF_ERROR(expect('%'));
    PLANISH_ASSIGN_OR_RETURN(d.name, name());
    if (d.name.empty()) return error_at(d.where, "a value needs a name");
    if (graph.find(d.name))
      return error_at(d.where, cat("value ", quoted(d.name), " is defined twice"));
    PLANISH_RETURN_IF_ERROR(expect(':'));
    PLANISH_ASSIGN_OR_RETURN(d.type, type());
    d.keep = take_word("keep");
    if (take_word("content")) {
      PLANISH_ASSIGN_OR_RETURN(d.content, dims(text_.size()));
    }
    return d;
  }
  static void apply(Declaration& d, Value* value) {
    value->type = std::move(d.type);
    value->keep = d.keep;
    value->content = std::move(d.content);
  }
  // A defined value, or null for "_".
  Result<Value*> reference(const Graph& graph) {
    skip();
    const size_t where = at_;
    if (take_word("_")) return static_cast<Value*>(nullptr);
    PLANISH_RETURN_IF_ERROR(expect('%'));
    PLANISH_ASSIGN_OR_RETURN(const std::string wanted, name());
    Value* value = graph.find(wanted);
    if (!value) return error_at(where, cat("value ", quoted(wanted), " is not defined before"));
    return value;
  }
  Status node(Graph& graph) {
    std::vector<Declaration> outputs;
    if (take('(')) {
      PLANISH_RETURN_IF_ERROR(expect(')'));
    } else {
      do {
        PLANISH_ASSIGN_OR_RETURN(Declaration d, declaration(graph));
        for (const Declaration& other : outputs)
          if (other.name == d.name)
            return error_at(d.where, cat("value ", quoted(d.name), " is defined twice"));
        outputs.push_back(std::move(d));
        if (outputs.size() > 4096) return error("at most 4096 outputs");
      } while (take(','));
    }
    PLANISH_RETURN_IF_ERROR(expect('='));
    PLANISH_ASSIGN_OR_RETURN(std::string op, name());
    if (op.empty()) return error("an operator's name");
    PLANISH_RETURN_IF_ERROR(expect('('));
    std::vector<Value*> inputs;
    if (!take(')')) {
      do {
        PLANISH_ASSIGN_OR_RETURN(Value * v, reference(graph));
        inputs.push_back(v);
      } while (take(','));
      PLANISH_RETURN_IF_ERROR(expect(')'));
    }
    Attributes attrs;
    if (take('{') && !take('}')) {
      do {
        skip();
        const size_t where = at_;
        PLANISH_ASSIGN_OR_RETURN(std::string key, name());
        PLANISH_RETURN_IF_ERROR(expect('='));
        PLANISH_ASSIGN_OR_RETURN(Attribute value, attribute());
        if (!attrs.emplace(key, std::move(value)).second)
          return error_at(where, cat("attribute ", quoted(key), " is given twice"));
      } while (take(','));
      PLANISH_RETURN_IF_ERROR(expect('}'));
    }
    std::vector<std::string> sources;
    if (take_word("from")) {
      do {
        PLANISH_ASSIGN_OR_RETURN(std::string s, string_literal());
        sources.push_back(std::move(s));
      } while (take(','));
    }
    Node* added = graph.add_node(std::move(op), std::move(inputs), std::move(attrs),
                                 std::vector<TensorType>(outputs.size()));
    added->sources = std::move(sources);
    // Fresh names first step aside: one of them may be what another output is to be called.
    for (Value* v : added->outputs) graph.rename(v, cat("\n", v->id));
    for (size_t i = 0; i < outputs.size(); ++i) {
      graph.rename(added->outputs[i], outputs[i].name);
      apply(outputs[i], added->outputs[i]);
    }
    return ok_status();
  }
  Status symbol(Graph& graph) {
    skip();
    const size_t where = at_;
    PLANISH_ASSIGN_OR_RETURN(const std::string symbol_name, name());
    SymbolInfo info;
    PLANISH_RETURN_IF_ERROR(expect('['));
    PLANISH_ASSIGN_OR_RETURN(info.low, integer());
    PLANISH_RETURN_IF_ERROR(expect(','));
    if (!take('*')) {
      PLANISH_ASSIGN_OR_RETURN(info.high, integer());
    }
    PLANISH_RETURN_IF_ERROR(expect(']'));
    info.from_data = take_word("data");
    if (take_word("upper")) {
      PLANISH_RETURN_IF_ERROR(expect('('));
      PLANISH_ASSIGN_OR_RETURN(info.upper_bound, dim());
      PLANISH_RETURN_IF_ERROR(expect(')'));
    }
    if (!graph.symbols.emplace(symbol_name, std::move(info)).second)
      return error_at(where, cat("symbol ", quoted(symbol_name), " is declared twice"));
    return ok_status();
  }
  Status metadata(Graph& graph) {
    PLANISH_ASSIGN_OR_RETURN(const std::string key, string_literal());
    PLANISH_RETURN_IF_ERROR(expect('='));
    PLANISH_ASSIGN_OR_RETURN(graph.metadata[key], string_literal());
    return ok_status();
  }
  Status statement(Graph& graph) {
    if (take_word("symbol")) return symbol(graph);
    if (take_word("metadata")) return metadata(graph);
    if (take_word("input")) {
      PLANISH_ASSIGN_OR_RETURN(Declaration d, declaration(graph));
      apply(d, graph.add_input(d.name, {}));
      return ok_status();
    }
    if (take_word("const")) {
      PLANISH_ASSIGN_OR_RETURN(Declaration d, declaration(graph));
      PLANISH_RETURN_IF_ERROR(expect('='));
      PLANISH_ASSIGN_OR_RETURN(Tensor t, elements(d.type, d.name));
      apply(d, graph.add_constant(d.name, std::move(t)));
      return ok_status();
    }
    if (take_word("output")) {
      do {
        skip();
        const size_t where = at_;
        PLANISH_ASSIGN_OR_RETURN(Value * v, reference(graph));
        if (!v) return error_at(where, "an output has to be a value");
        graph.outputs.push_back(v);
      } while (take(','));
      return ok_status();
    }
    if (peek('%') || peek('(')) return node(graph);
    return error("a statement");
  }
  // What follows the word "graph".
  Result<std::unique_ptr<Graph>> graph_body() {
    if (++depth_ > kMaxDepth) return error(cat("at most ", kMaxDepth, " nested graphs"));
    auto graph = std::make_unique<Graph>();
    PLANISH_ASSIGN_OR_RETURN(graph->name, string_literal());
    PLANISH_RETURN_IF_ERROR(expect('{'));
    while (!take('}')) PLANISH_RETURN_IF_ERROR(statement(*graph));
    --depth_;
    return graph;
  }

  std::string_view text_;
  const ParseOptions& options_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

Result<std::unique_ptr<Graph>> parse(std::string_view text, const ParseOptions& options) {
  return Parser(text, options).run();
}

}  // namespace planish::ir
