#include "frontend/tensorflow/text_format.h"

#include <charconv>
#include <cstring>
#include <protozero/pbf_writer.hpp>
#include <unordered_map>

#include "base/quote.h"
#include "base/text.h"

namespace planish::frontend::tensorflow {
namespace {

constexpr int kMaxDepth = 100;

// Messages that an import looks at, and their fields.
enum Message {
  kAnything, kGraph, kNode, kAttrEntry, kAttr, kAttrList, kFunctionRef, kShape, kShapeDim, kTensor,
  kLibrary, kFunction, kSignatureOp, kArg, kReturnEntry, kVersions, kSavedModelText, kMetaGraph,
  kMetaInfo, kSignatureEntry, kSignature, kTensorInfoEntry, kTensorInfo
};
enum class Kind { kText, kInteger, kFloat, kDouble, kMessage };
struct Field {
  Message message;
  const char* name;
  int number;
  Kind kind;
  Message of = kAnything;
};
constexpr Field kFields[] = {
    {kGraph, "node", 1, Kind::kMessage, kNode},
    {kGraph, "library", 2, Kind::kMessage, kLibrary},
    {kGraph, "versions", 4, Kind::kMessage, kVersions},
    {kVersions, "producer", 1, Kind::kInteger},
    {kNode, "name", 1, Kind::kText},
    {kNode, "op", 2, Kind::kText},
    {kNode, "input", 3, Kind::kText},
    {kNode, "device", 4, Kind::kText},
    {kNode, "attr", 5, Kind::kMessage, kAttrEntry},
    {kAttrEntry, "key", 1, Kind::kText},
    {kAttrEntry, "value", 2, Kind::kMessage, kAttr},
    {kAttr, "list", 1, Kind::kMessage, kAttrList},
    {kAttr, "s", 2, Kind::kText},
    {kAttr, "i", 3, Kind::kInteger},
    {kAttr, "f", 4, Kind::kFloat},
    {kAttr, "b", 5, Kind::kInteger},
    {kAttr, "type", 6, Kind::kInteger},
    {kAttr, "shape", 7, Kind::kMessage, kShape},
    {kAttr, "tensor", 8, Kind::kMessage, kTensor},
    {kAttr, "placeholder", 9, Kind::kText},
    {kAttr, "func", 10, Kind::kMessage, kFunctionRef},
    {kAttrList, "s", 2, Kind::kText},
    {kAttrList, "i", 3, Kind::kInteger},
    {kAttrList, "f", 4, Kind::kFloat},
    {kAttrList, "b", 5, Kind::kInteger},
    {kAttrList, "type", 6, Kind::kInteger},
    {kAttrList, "shape", 7, Kind::kMessage, kShape},
    {kAttrList, "tensor", 8, Kind::kMessage, kTensor},
    {kAttrList, "func", 9, Kind::kMessage, kFunctionRef},
    {kFunctionRef, "name", 1, Kind::kText},
    {kFunctionRef, "attr", 2, Kind::kMessage, kAttrEntry},
    {kShape, "dim", 2, Kind::kMessage, kShapeDim},
    {kShape, "unknown_rank", 3, Kind::kInteger},
    {kShapeDim, "size", 1, Kind::kInteger},
    {kTensor, "dtype", 1, Kind::kInteger},
    {kTensor, "tensor_shape", 2, Kind::kMessage, kShape},
    {kTensor, "tensor_content", 4, Kind::kText},
    {kTensor, "float_val", 5, Kind::kFloat},
    {kTensor, "double_val", 6, Kind::kDouble},
    {kTensor, "int_val", 7, Kind::kInteger},
    {kTensor, "string_val", 8, Kind::kText},
    {kTensor, "int64_val", 10, Kind::kInteger},
    {kTensor, "bool_val", 11, Kind::kInteger},
    {kTensor, "half_val", 13, Kind::kInteger},
    {kTensor, "uint32_val", 16, Kind::kInteger},
    {kTensor, "uint64_val", 17, Kind::kInteger},
    {kTensor, "float8_val", 18, Kind::kText},
    {kLibrary, "function", 1, Kind::kMessage, kFunction},
    {kFunction, "signature", 1, Kind::kMessage, kSignatureOp},
    {kFunction, "node_def", 3, Kind::kMessage, kNode},
    {kFunction, "ret", 4, Kind::kMessage, kReturnEntry},
    {kReturnEntry, "key", 1, Kind::kText},
    {kReturnEntry, "value", 2, Kind::kText},
    {kSignatureOp, "name", 1, Kind::kText},
    {kSignatureOp, "input_arg", 2, Kind::kMessage, kArg},
    {kSignatureOp, "output_arg", 3, Kind::kMessage, kArg},
    {kArg, "name", 1, Kind::kText},
    {kArg, "type", 3, Kind::kInteger},
    {kArg, "number_attr", 5, Kind::kText},
    {kArg, "type_list_attr", 6, Kind::kText},
    {kSavedModelText, "saved_model_schema_version", 1, Kind::kInteger},
    {kSavedModelText, "meta_graphs", 2, Kind::kMessage, kMetaGraph},
    {kMetaGraph, "meta_info_def", 1, Kind::kMessage, kMetaInfo},
    {kMetaGraph, "graph_def", 2, Kind::kMessage, kGraph},
    {kMetaGraph, "signature_def", 5, Kind::kMessage, kSignatureEntry},
    {kMetaInfo, "tags", 4, Kind::kText},
    {kMetaInfo, "tensorflow_version", 5, Kind::kText},
    {kSignatureEntry, "key", 1, Kind::kText},
    {kSignatureEntry, "value", 2, Kind::kMessage, kSignature},
    {kSignature, "inputs", 1, Kind::kMessage, kTensorInfoEntry},
    {kSignature, "outputs", 2, Kind::kMessage, kTensorInfoEntry},
    {kSignature, "method_name", 3, Kind::kText},
    {kTensorInfoEntry, "key", 1, Kind::kText},
    {kTensorInfoEntry, "value", 2, Kind::kMessage, kTensorInfo},
    {kTensorInfo, "name", 1, Kind::kText},
    {kTensorInfo, "dtype", 2, Kind::kInteger},
    {kTensorInfo, "tensor_shape", 3, Kind::kMessage, kShape},
};

// Names of tensorflow.DataType's values that files hold.
const std::unordered_map<std::string_view, int64_t>& enum_values() {
  static const std::unordered_map<std::string_view, int64_t> kValues = {
      {"DT_FLOAT", 1}, {"DT_DOUBLE", 2}, {"DT_INT32", 3}, {"DT_UINT8", 4}, {"DT_INT16", 5},
      {"DT_INT8", 6}, {"DT_STRING", 7}, {"DT_COMPLEX64", 8}, {"DT_INT64", 9}, {"DT_BOOL", 10},
      {"DT_QINT8", 11}, {"DT_QUINT8", 12}, {"DT_QINT32", 13}, {"DT_BFLOAT16", 14},
      {"DT_QINT16", 15}, {"DT_QUINT16", 16}, {"DT_UINT16", 17}, {"DT_COMPLEX128", 18},
      {"DT_HALF", 19}, {"DT_RESOURCE", 20}, {"DT_VARIANT", 21}, {"DT_UINT32", 22},
      {"DT_UINT64", 23}, {"true", 1}, {"false", 0}, {"True", 1}, {"False", 0}, {"t", 1}, {"f", 0}};
  return kValues;
}

class Transcoder {
 public:
  explicit Transcoder(std::string_view text) : text_(text) {}

  Result<std::string> run(Message message) {
    std::string out;
    PLANISH_RETURN_IF_ERROR(fields(message, '\0', 0, &out));
    return out;
  }

 private:
  Status wrong(const std::string& what) const {
    size_t line = 1;
    for (size_t i = 0; i < at_ && i < text_.size(); ++i) line += text_[i] == '\n';
    return data_loss(cat("line ", line, ": ", what));
  }
  void skip_space() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '#') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
        ++at_;
      } else {
        return;
      }
    }
  }
  char peek() {
    skip_space();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  // A name, number or enum value.
  std::string_view word() {
    skip_space();
    const size_t begin = at_;
    while (at_ < text_.size() && (std::isalnum(uint8_t(text_[at_])) || text_[at_] == '_' ||
                                  text_[at_] == '.' || text_[at_] == '-' || text_[at_] == '+'))
      ++at_;
    return text_.substr(begin, at_ - begin);
  }

  Result<std::string> quoted_text() {
    std::string out;
    while (peek() == '"' || peek() == '\'') {
      const char quote = text_[at_++];
      while (true) {
        if (at_ >= text_.size() || text_[at_] == '\n') return wrong("a text does not end");
        char c = text_[at_++];
        if (c == quote) break;
        if (c != '\\') {
          out += c;
          continue;
        }
        if (at_ >= text_.size()) return wrong("a text does not end");
        c = text_[at_++];
        static constexpr std::string_view kNames = "nrtabfv\\'\"?";
        static constexpr std::string_view kValues = "\n\r\t\a\b\f\v\\'\"?";
        if (const size_t name = kNames.find(c); name != std::string_view::npos) {
          out += kValues[name];
        } else if (c == 'x' || c == 'X' || (c >= '0' && c <= '7')) {
          const int base = c == 'x' || c == 'X' ? 16 : 8;
          if (base == 8) --at_;
          const size_t most = std::min(text_.size() - at_, size_t(base == 16 ? 2 : 3));
          unsigned value = 0;
          const auto [end, error] =
              std::from_chars(text_.data() + at_, text_.data() + at_ + most, value, base);
          if (error != std::errc()) return wrong("a text holds an escape without digits");
          at_ = size_t(end - text_.data());
          out += char(value & 0xff);
        } else {
          return wrong(cat("a text holds the unknown escape \\", c));
        }
      }
    }
    return out;
  }

  // Everything up to the closing character goes to `out`; null: it is passed over.
  Status fields(Message message, char close, int depth, std::string* out) {
    if (depth > kMaxDepth)
      return resource_exhausted(cat("messages are nested deeper than ", kMaxDepth));
    while (true) {
      const char c = peek();
      if (c == '\0') return close == '\0' ? ok_status() : wrong("a message does not end");
      if (c == close) {
        ++at_;
        return ok_status();
      }
      if (c == '}' || c == '>') return wrong(cat("a closing ", c, " without its opening"));
      PLANISH_RETURN_IF_ERROR(one_field(message, depth, out));
      if (peek() == ',' || peek() == ';') ++at_;
    }
  }

  Status one_field(Message message, int depth, std::string* out) {
    if (take('[')) {  // an extension's name
      while (at_ < text_.size() && text_[at_] != ']') ++at_;
      if (!take(']')) return wrong("an extension's name does not end");
      take(':');
      return value(nullptr, depth, nullptr);
    }
    const std::string_view name = word();
    if (name.empty()) return wrong(cat("expected a field's name, got ", quoted(text_.substr(at_, 1))));
    const Field* field = nullptr;
    for (const Field& one : kFields)
      if (out && one.message == message && name == one.name) field = &one;
    take(':');
    if (take('[')) {
      while (peek() != ']') {
        if (peek() == '\0') return wrong("a list does not end");
        PLANISH_RETURN_IF_ERROR(value(field, depth, out));
        take(',');
      }
      ++at_;
      return ok_status();
    }
    return value(field, depth, out);
  }

  Status value(const Field* field, int depth, std::string* out) {
    const char c = peek();
    if (c == '{' || c == '<') {
      ++at_;
      std::string inner;
      const bool is_kept = field && field->kind == Kind::kMessage;
      PLANISH_RETURN_IF_ERROR(fields(is_kept ? field->of : kAnything, c == '{' ? '}' : '>',
                                     depth + 1, is_kept ? &inner : nullptr));
      if (field && !is_kept) return wrong(cat("field ", field->name, " is a message, expected a value"));
      if (is_kept) protozero::pbf_writer(*out).add_message(uint32_t(field->number), inner);
      return ok_status();
    }
    if (c == '"' || c == '\'') {
      PLANISH_ASSIGN_OR_RETURN(const std::string text, quoted_text());
      if (field && field->kind != Kind::kText)
        return wrong(cat("field ", field->name, " is a text, expected another kind"));
      if (field) protozero::pbf_writer(*out).add_string(uint32_t(field->number), text);
      return ok_status();
    }
    const std::string_view token = word();
    if (token.empty()) return wrong("expected a value");
    if (!field) return ok_status();
    protozero::pbf_writer writer(*out);
    const uint32_t number = uint32_t(field->number);
    if (field->kind == Kind::kInteger) {
      PLANISH_ASSIGN_OR_RETURN(const int64_t parsed, integer(token));
      writer.add_int64(number, parsed);
      return ok_status();
    }
    if (field->kind != Kind::kFloat && field->kind != Kind::kDouble)
      return wrong(cat("field ", field->name, " is ", quoted(token), ", expected another kind"));
    PLANISH_ASSIGN_OR_RETURN(const double parsed, real(token));
    if (field->kind == Kind::kFloat) writer.add_float(number, float(parsed));
    else writer.add_double(number, parsed);
    return ok_status();
  }

  Result<int64_t> integer(std::string_view token) {
    if (const auto found = enum_values().find(token); found != enum_values().end())
      return found->second;
    const bool is_negative = !token.empty() && token[0] == '-';
    std::string_view digits = token.substr(is_negative ? 1 : 0);
    const bool is_hex = digits.substr(0, 2) == "0x" || digits.substr(0, 2) == "0X";
    if (is_hex) digits.remove_prefix(2);
    uint64_t value = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, is_hex ? 16 : 10);
    if (error != std::errc() || end != digits.data() + digits.size() ||
        (is_negative && value > uint64_t(1) << 63))
      return wrong(cat(quoted(token), " is no integer"));
    return int64_t(is_negative ? ~value + 1 : value);
  }

  Result<double> real(std::string_view token) {
    if (token.back() == 'f' && token != "inf" && token != "-inf") token.remove_suffix(1);
    double value = 0;
    const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
    if (error == std::errc::invalid_argument || end != token.data() + token.size())
      return wrong(cat(quoted(token), " is no number"));
    return value;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

Result<std::string> binary_of_text(std::string_view text, TextMessage message,
                                   const Limits& limits) {
  if (int64_t(text.size()) > limits.max_file_bytes)
    return resource_exhausted("the text is longer than the limit max_file_bytes");
  constexpr Message kMessages[] = {kGraph, kSavedModelText, kMetaGraph};
  return Transcoder(text).run(kMessages[int(message)]);
}

}  // namespace planish::frontend::tensorflow
