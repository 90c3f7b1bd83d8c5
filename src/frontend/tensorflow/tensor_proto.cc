#include "frontend/tensorflow/tensor_proto.h"

#include <cstring>

#include "base/text.h"

namespace planish::frontend::tensorflow {
namespace {

using ir::DataType;

// One row per type of tensorflow/core/framework/types.proto: the IR's type, where there is one, and
// the field of a TensorProto that holds its elements.
struct TypeRow {
  int64_t number;
  const char* name;
  std::optional<DataType> type;
  int field;
};
const TypeRow kTypes[] = {
    {1, "DT_FLOAT", DataType::kF32, 5},      {2, "DT_DOUBLE", DataType::kF64, 6},
    {3, "DT_INT32", DataType::kI32, 7},      {4, "DT_UINT8", DataType::kU8, 7},
    {5, "DT_INT16", DataType::kI16, 7},      {6, "DT_INT8", DataType::kI8, 7},
    {7, "DT_STRING", std::nullopt, 8},       {8, "DT_COMPLEX64", std::nullopt, 9},
    {9, "DT_INT64", DataType::kI64, 10},     {10, "DT_BOOL", DataType::kBool, 11},
    {11, "DT_QINT8", DataType::kI8, 7},      {12, "DT_QUINT8", DataType::kU8, 7},
    {13, "DT_QINT32", DataType::kI32, 7},    {14, "DT_BFLOAT16", DataType::kBF16, 13},
    {15, "DT_QINT16", DataType::kI16, 7},    {16, "DT_QUINT16", DataType::kU16, 7},
    {17, "DT_UINT16", DataType::kU16, 7},    {18, "DT_COMPLEX128", std::nullopt, 12},
    {19, "DT_HALF", DataType::kF16, 13},     {20, "DT_RESOURCE", std::nullopt, 14},
    {21, "DT_VARIANT", std::nullopt, 15},    {22, "DT_UINT32", DataType::kU32, 16},
    {23, "DT_UINT64", DataType::kU64, 17},   {24, "DT_FLOAT8_E5M2", DataType::kF8E5M2, 18},
    {25, "DT_FLOAT8_E4M3FN", DataType::kF8E4M3Fn, 18},
};
constexpr int64_t kReference = 100;  // DT_FLOAT_REF is DT_FLOAT + 100

const TypeRow* row_of(int64_t dtype) {
  if (dtype > kReference) dtype -= kReference;
  for (const TypeRow& row : kTypes)
    if (row.number == dtype) return &row;
  return nullptr;
}

// Elements of a typed field, as raw bytes of the tensor's type; the last value fills the rest.
Status copy_typed(const TensorDesc& desc, int field, int64_t count, ir::Tensor& tensor) {
  const size_t size = size_t(bits_of(tensor.dtype()) / 8);
  char* to = tensor.mutable_data_as<char>();
  int64_t filled = 0;
  const auto put = [&](const void* value) {
    if (filled < count) std::memcpy(to + size_t(filled) * size, value, size);
    ++filled;
  };
  for (const ValueChunk& chunk : desc.chunks) {
    if (chunk.field != field) continue;
    if (chunk.kind == ValueChunk::Kind::kVarint) {
      PLANISH_ASSIGN_OR_RETURN(const std::vector<int64_t> values, decode_varints(chunk.bytes));
      for (int64_t value : values) {
        if (tensor.dtype() == DataType::kBool) value = value != 0;
        put(&value);  // little-endian hosts
      }
    } else {
      if (chunk.bytes.size() % size != 0)
        return data_loss(cat("a typed field of ", chunk.bytes.size(),
                             " bytes, expected a multiple of ", size));
      for (size_t at = 0; at < chunk.bytes.size(); at += size) put(chunk.bytes.data() + at);
    }
  }
  if (filled > count)
    return invalid_argument(cat("the tensor has ", filled, " elements, expected at most ", count));
  if (filled == 0) return ok_status();  // zeros
  for (int64_t i = filled; i < count; ++i)
    std::memcpy(to + size_t(i) * size, to + size_t(filled - 1) * size, size);
  return ok_status();
}

}  // namespace

std::string type_name(int64_t dtype) {
  const TypeRow* row = row_of(dtype);
  return row ? row->name : cat("DT_", dtype);
}

Result<DataType> data_type(int64_t dtype) {
  if (dtype == 0) return invalid_argument("the element type is missing (DT_INVALID)");
  const TypeRow* row = row_of(dtype);
  if (!row || !row->type) return unsupported(cat("element type ", type_name(dtype)));
  return *row->type;
}

int64_t type_number(DataType dtype) {
  for (const TypeRow& row : kTypes)
    if (row.type == dtype) return row.number;
  return 0;
}

Result<int64_t> checked_count(const ShapeDesc& shape, const Limits& limits) {
  if (shape.unknown_rank) return invalid_argument("the tensor's rank is unknown");
  for (int64_t dim : shape.dims)
    if (dim < 0) return invalid_argument(cat("the tensor's dims ", bracketed(shape.dims),
                                             " hold an unknown one"));
  const std::optional<int64_t> count = ir::checked_element_count(shape.dims);
  if (!count || *count > limits.max_tensor_elements)
    return resource_exhausted(cat("a tensor of dims ", bracketed(shape.dims),
                                  " has more elements than the limit max_tensor_elements (",
                                  limits.max_tensor_elements, ")"));
  return *count;
}

Result<ir::Tensor> to_tensor(const TensorDesc& desc, const Limits& limits) {
  PLANISH_ASSIGN_OR_RETURN(const DataType dtype, data_type(desc.dtype));
  PLANISH_ASSIGN_OR_RETURN(const int64_t count, checked_count(desc.shape, limits));
  const int64_t bytes = bytes_of(dtype, count);
  if (desc.content) {
    if (int64_t(desc.content->size()) != bytes)
      return invalid_argument(cat("the tensor has ", desc.content->size(),
                                  " bytes of content, expected ", bytes, " for ", name_of(dtype),
                                  bracketed(desc.shape.dims)));
    ir::Tensor tensor(dtype, desc.shape.dims);
    if (bytes > 0) std::memcpy(tensor.mutable_data(), desc.content->data(), size_t(bytes));
    return tensor;
  }
  // A splat can declare far more than the file holds.
  if (bytes > limits.max_folding_bytes)
    return resource_exhausted(cat("a tensor of ", bytes, " bytes that does not stand in the file is "
                                  "larger than the limit max_folding_bytes (",
                                  limits.max_folding_bytes, ")"));
  ir::Tensor tensor(dtype, desc.shape.dims);
  PLANISH_RETURN_IF_ERROR(copy_typed(desc, row_of(desc.dtype)->field, count, tensor));
  return tensor;
}

Result<std::vector<std::string>> to_strings(const TensorDesc& desc, const Limits& limits) {
  if (desc.dtype != kString)
    return invalid_argument(cat("a tensor of ", type_name(desc.dtype), ", expected DT_STRING"));
  PLANISH_ASSIGN_OR_RETURN(const int64_t count, checked_count(desc.shape, limits));
  std::vector<std::string> out;
  for (const ValueChunk& chunk : desc.chunks)
    if (chunk.kind == ValueChunk::Kind::kString) out.emplace_back(chunk.bytes);
  if (int64_t(out.size()) > count)
    return invalid_argument(cat("the tensor has ", out.size(), " strings, expected ", count));
  if (count > limits.max_nodes)
    return resource_exhausted(cat("a tensor of ", count, " strings"));
  while (int64_t(out.size()) < count) out.push_back(out.empty() ? std::string() : out.back());
  return out;
}

}  // namespace planish::frontend::tensorflow
