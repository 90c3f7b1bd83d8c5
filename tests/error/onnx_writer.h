// A small ONNX writer for tests: builds good and bad models byte by byte, without the onnx package.
// Nothing is checked: whatever a test asks for is written.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace planish::tests {

// A protobuf message under construction.
class Message {
 public:
  Message& integer(uint32_t tag, int64_t value);
  Message& bytes(uint32_t tag, std::string_view value);
  Message& message(uint32_t tag, const Message& value) { return bytes(tag, value.text()); }
  Message& fixed32(uint32_t tag, float value);
  Message& packed_ints(uint32_t tag, const std::vector<int64_t>& values);
  Message& packed_floats(uint32_t tag, const std::vector<float>& values);
  Message& packed_doubles(uint32_t tag, const std::vector<double>& values);
  // Bytes as they are.
  Message& raw(std::string_view bytes) { return text_ += bytes, *this; }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// Element type numbers of ONNX.
enum OnnxType : int64_t {
  kFloat = 1, kUint8 = 2, kInt8 = 3, kInt32 = 6, kInt64 = 7, kString = 8, kBool = 9,
  kFloat16 = 10, kDouble = 11, kUint4 = 21, kInt4 = 22,
};

struct DimText {
  DimText(int64_t value) : value(value) {}                               // NOLINT: implicit
  DimText(int value) : value(value) {}                                   // NOLINT: implicit
  DimText(const char* param) : is_param(true), param(param) {}           // NOLINT: implicit
  int64_t value = 0;
  bool is_param = false;
  std::string param;  // "" with is_param: a dim of which nothing is said
};

Message tensor_head(std::string_view name, int64_t type, const std::vector<int64_t>& dims);
Message floats(std::string_view name, const std::vector<int64_t>& dims,
               const std::vector<float>& values);
Message ints(std::string_view name, const std::vector<int64_t>& dims,
             const std::vector<int64_t>& values);
Message raw_tensor(std::string_view name, int64_t type, const std::vector<int64_t>& dims,
                   std::string_view raw);
Message external_tensor(std::string_view name, int64_t type, const std::vector<int64_t>& dims,
                        const std::vector<std::pair<std::string, std::string>>& entries);

Message attr_int(std::string_view name, int64_t value);
Message attr_float(std::string_view name, float value);
Message attr_string(std::string_view name, std::string_view value);
Message attr_ints(std::string_view name, const std::vector<int64_t>& values);
Message attr_floats(std::string_view name, const std::vector<float>& values);
Message attr_tensor(std::string_view name, const Message& tensor);
Message attr_graph(std::string_view name, const Message& graph);
Message attr_ref(std::string_view name, std::string_view ref, int64_t type);

Message node(std::string_view op, const std::vector<std::string>& inputs,
             const std::vector<std::string>& outputs, const std::vector<Message>& attributes = {},
             std::string_view name = "", std::string_view domain = "");
Message value(std::string_view name, int64_t type, const std::vector<DimText>& dims);
// Without a shape.
Message value(std::string_view name, int64_t type);

struct GraphText {
  std::vector<Message> nodes, initializers, sparse, inputs, outputs, infos;
  Message message() const;
};

struct FunctionText {
  std::string name, domain = "local";
  std::vector<std::string> inputs, outputs, attributes;
  std::vector<Message> nodes;
  std::vector<std::pair<std::string, int64_t>> opsets = {{"", 21}, {"local", 1}};
  Message message() const;
};

struct ModelText {
  int64_t ir_version = 10;
  std::vector<std::pair<std::string, int64_t>> opsets = {{"", 21}};
  GraphText graph;
  std::vector<FunctionText> functions;
  std::string bytes() const;
};

// x: f32[N, 4] -> Relu -> y
ModelText relu_model();

}  // namespace planish::tests
