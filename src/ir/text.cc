// Printing of the text form. A graph reads like the SSA program that it is:
//
//   graph "tiny" {
//     symbol N [1, 64]
//     metadata "producer" = "planish"
//     input %x: f32[N, 3]
//     const %w: f32[2] = {1, -0.5}
//     const %big: f32[64, 64] = digest "8c2f..."          (or hex "..." with full_constants)
//     %y: f32[N, 3] keep, %n: i64[2] content [N, 3] = Op(%x, _, %w) {axis = -1} from "node_7"
//     output %y, %n
//   }
//
// Line breaks are only white space and # opens a comment. Attributes carry their type in their
// form: 1 is an int, 1.0 a float, "1" a string, f32 an element type, [] of each kind; empty lists
// say ints[], floats[] or strings[]; tensors and graphs start with their keyword. Names outside of
// letters, digits and _ . / - are quoted. The parser stands in text_parse.cc.
#include <charconv>
#include <cstring>

#include "base/hash.h"
#include "base/text.h"
#include "ir/graph.h"
#include "ir/text_form.h"

namespace planish::ir {

bool is_plain_name(std::string_view name) {
  if (name.empty()) return false;
  for (char c : name)
    if (!is_name_char(c)) return false;
  return true;
}

std::string quoted(std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out = "\"";
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
  return out;
}

uint64_t digest(const Tensor& tensor) {
  Hasher hasher;
  hasher.add_number(uint64_t(tensor.dtype()));
  hasher.add_number(uint64_t(tensor.rank()));
  for (int64_t d : tensor.dims()) hasher.add_number(uint64_t(d));
  hasher.add(std::as_bytes(std::span(tensor.data_as<char>(), size_t(tensor.bytes()))));
  return hasher.hash64();
}

namespace {

std::string name_text(std::string_view name) {
  return is_plain_name(name) ? std::string(name) : quoted(name);
}

// A double that reads back as a float attribute, never as an int.
std::string float_text(double value) {
  std::string out = to_text(value);
  if (out.find_first_of(".eni") == out.npos) out += ".0";
  return out;
}

std::string element_text(const Tensor& tensor, int64_t i) {
  char buffer[40];
  if (tensor.dtype() == DataType::kU64) return cat(tensor.data_as<uint64_t>()[i]);
  if (!is_float(tensor.dtype())) return cat(tensor.i64(i));
  if (tensor.dtype() != DataType::kF32) return to_text(tensor.f64(i));
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), tensor.data_as<float>()[i]);
  return std::string(buffer, end.ptr);
}

// Whether the printed elements give the same bytes again (not for NaN payloads, for example).
bool reads_back(const Tensor& tensor) {
  if (is_float(tensor.dtype()))
    return Tensor::from_f64(tensor.dtype(), tensor.dims(), tensor.f64_values()).same_bytes(tensor);
  return Tensor::from_i64(tensor.dtype(), tensor.dims(), tensor.i64_values()).same_bytes(tensor);
}

bool has_nan(const Tensor& tensor) {
  if (!is_float(tensor.dtype())) return false;
  for (int64_t i = 0; i < tensor.count(); ++i)
    if (tensor.f64(i) != tensor.f64(i)) return true;
  return false;
}

class Printer {
 public:
  explicit Printer(const PrintOptions& options) : options_(options) {}

  void graph(const Graph& g) {
    out_ += cat("graph ", quoted(g.name), " {\n");
    indent_ += 2;
    for (const auto& [name, info] : g.symbols) symbol(name, info);
    for (const auto& [key, value] : g.metadata)
      line(cat("metadata ", quoted(key), " = ", quoted(value)));
    for (const Value* v : g.inputs) line(cat("input ", declaration(*v)));
    for (const auto& [id, v] : g.values()) {
      if (!v->is_constant()) continue;
      begin_line();
      out_ += cat("const ", declaration(*v), " = ");
      elements(*v->constant);
      out_ += '\n';
    }
    for (const auto& n : g.nodes()) node(*n);
    if (!g.outputs.empty()) {
      begin_line();
      out_ += "output ";
      for (size_t i = 0; i < g.outputs.size(); ++i)
        out_ += cat(i ? ", " : "", reference(g.outputs[i]));
      out_ += '\n';
    }
    indent_ -= 2;
    begin_line();
    out_ += '}';
  }

  std::string take() { return std::move(out_); }

 private:
  void begin_line() { out_.append(size_t(indent_), ' '); }
  void line(const std::string& text) {
    begin_line();
    out_ += text;
    out_ += '\n';
  }
  static std::string reference(const Value* v) {
    return v ? cat("%", name_text(v->name)) : std::string("_");
  }
  static std::string declaration(const Value& v) {
    std::string out = cat(reference(&v), ": ", to_string(v.type));
    if (v.keep) out += " keep";
    if (v.content) out += cat(" content ", to_string(*v.content));
    return out;
  }
  void symbol(const std::string& name, const SymbolInfo& info) {
    std::string text = cat("symbol ", name_text(name), " [", info.low, ", ");
    text += info.high ? cat(*info.high, "]") : std::string("*]");
    if (info.from_data) text += " data";
    if (info.upper_bound) text += cat(" upper (", info.upper_bound->to_string(), ")");
    line(text);
  }
  void elements(const Tensor& t) {
    const bool few = t.count() <= options_.inline_elements;
    if (few && !has_nan(t) && reads_back(t)) {
      out_ += '{';
      for (int64_t i = 0; i < t.count(); ++i) out_ += cat(i ? ", " : "", element_text(t, i));
      out_ += '}';
    } else if (few || options_.full_constants) {
      static constexpr char kDigits[] = "0123456789abcdef";
      const auto* bytes = t.data_as<uint8_t>();
      out_ += "hex \"";
      for (int64_t i = 0; i < t.bytes(); ++i) {
        out_ += kDigits[bytes[i] >> 4];
        out_ += kDigits[bytes[i] & 15];
      }
      out_ += '"';
    } else {
      char text[17];
      std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(digest(t)));
      out_ += cat("digest \"", std::string_view(text), "\"");
    }
  }
  void node(const Node& n) {
    begin_line();
    for (size_t i = 0; i < n.outputs.size(); ++i)
      out_ += cat(i ? ", " : "", declaration(*n.outputs[i]));
    out_ += cat(n.outputs.empty() ? "()" : "", " = ", name_text(n.op), "(");
    for (size_t i = 0; i < n.inputs.size(); ++i)
      out_ += cat(i ? ", " : "", reference(n.inputs[i]));
    out_ += ')';
    bool first = true;
    for (const auto& [key, value] : n.attrs) {
      out_ += cat(first ? " {" : ", ", name_text(key), " = ");
      attribute(value);
      first = false;
    }
    if (!first) out_ += '}';
    for (size_t i = 0; i < n.sources.size(); ++i)
      out_ += cat(i ? ", " : " from ", quoted(n.sources[i]));
    out_ += '\n';
  }
  template <class T, class Text>
  void list(const std::vector<T>& items, std::string_view kind, Text&& text) {
    if (items.empty()) out_ += kind;
    out_ += '[';
    for (size_t i = 0; i < items.size(); ++i) out_ += cat(i ? ", " : "", text(items[i]));
    out_ += ']';
  }
  void attribute(const Attribute& a) {
    if (const auto* i = std::get_if<int64_t>(&a)) {
      out_ += cat(*i);
    } else if (const auto* f = std::get_if<double>(&a)) {
      out_ += float_text(*f);
    } else if (const auto* s = std::get_if<std::string>(&a)) {
      out_ += quoted(*s);
    } else if (const auto* ints = std::get_if<std::vector<int64_t>>(&a)) {
      list(*ints, "ints", [](int64_t v) { return cat(v); });
    } else if (const auto* floats = std::get_if<std::vector<double>>(&a)) {
      list(*floats, "floats", float_text);
    } else if (const auto* strings = std::get_if<std::vector<std::string>>(&a)) {
      list(*strings, "strings", [](const std::string& v) { return quoted(v); });
    } else if (const auto* type = std::get_if<DataType>(&a)) {
      out_ += name_of(*type);
    } else if (const auto* tensor = std::get_if<Tensor>(&a)) {
      out_ += cat("tensor ", to_string(tensor->type()), " ");
      elements(*tensor);
    } else if (const auto* body = std::get_if<GraphPtr>(&a)) {
      indent_ += 2;
      if (*body) graph(**body);
      else out_ += "graph none";
      indent_ -= 2;
    }
  }

  const PrintOptions& options_;
  std::string out_;
  int indent_ = 0;
};

}  // namespace

std::string print(const Graph& graph, const PrintOptions& options) {
  Printer printer(options);
  printer.graph(graph);
  std::string text = printer.take();
  text += '\n';
  return text;
}

}  // namespace planish::ir
