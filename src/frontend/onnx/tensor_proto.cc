#include "frontend/onnx/tensor_proto.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <protozero/pbf_writer.hpp>

#include "base/text.h"
#include "frontend/onnx/onnx_import.h"
#include "base/quote.h"
#include "opdef/onnx_types.h"

namespace planish::frontend::onnx {
namespace {

using ir::DataType;

std::string_view field_name(Chunk::Kind kind) {
  static constexpr std::string_view kNames[] = {"float_data", "int32_data",  "string_data",
                                                "int64_data", "double_data", "uint64_data"};
  return kNames[size_t(kind)];
}

// The typed field that holds elements of a type.
Chunk::Kind field_of(DataType dtype) {
  switch (dtype) {
    case DataType::kF32: return Chunk::Kind::kFloat;
    case DataType::kF64: return Chunk::Kind::kDouble;
    case DataType::kI64: return Chunk::Kind::kInt64;
    case DataType::kU32:
    case DataType::kU64: return Chunk::Kind::kUint64;
    default: return Chunk::Kind::kInt32;
  }
}

// Padding bits of the last byte are zero, booleans are 0 or 1: whatever the file said.
void make_canonical(ir::Tensor& tensor) {
  auto* bytes = tensor.mutable_data_as<uint8_t>();
  if (tensor.dtype() == DataType::kBool)
    for (int64_t i = 0; i < tensor.count(); ++i) bytes[i] = bytes[i] != 0;
  const int used = int(tensor.count() * bits_of(tensor.dtype()) % 8);
  if (bits_of(tensor.dtype()) < 8 && used != 0)
    bytes[tensor.bytes() - 1] &= uint8_t((1 << used) - 1);
}

// Copies stretches of fixed-size elements; the caller has checked that they fit exactly.
void copy_chunks(const std::vector<Chunk>& chunks, ir::Tensor& tensor) {
  auto* to = tensor.mutable_data_as<char>();
  for (const Chunk& chunk : chunks) {
    if (!chunk.bytes.empty()) std::memcpy(to, chunk.bytes.data(), chunk.bytes.size());
    to += chunk.bytes.size();
  }
}

Status store_ints(const std::vector<int64_t>& values, ir::Tensor& tensor) {
  const int bits = std::max(8, bits_of(tensor.dtype()));  // packed types come byte by byte
  const int bytes = bits / 8;
  const int64_t low = bits == 64 ? std::numeric_limits<int64_t>::min() : -(int64_t(1) << (bits - 1));
  const int64_t high = bits == 64 ? std::numeric_limits<int64_t>::max() : (int64_t(1) << bits) - 1;
  auto* to = tensor.mutable_data_as<char>();
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] < low || values[i] > high)
      return invalid_argument(cat("entry ", i, " is ", values[i], ", which ",
                                  name_of(tensor.dtype()), " cannot hold"));
    std::memcpy(to + i * size_t(bytes), &values[i], size_t(bytes));  // little-endian hosts
  }
  return ok_status();
}

Result<ir::Tensor> from_typed(const TensorDesc& desc, DataType dtype, int64_t count) {
  const Chunk::Kind wanted = field_of(dtype);
  size_t bytes = 0;
  for (const Chunk& chunk : desc.chunks) {
    if (chunk.kind != wanted)
      return invalid_argument(cat("a tensor of type ", name_of(dtype), " has ",
                                  field_name(chunk.kind), ", expected ", field_name(wanted)));
    bytes += chunk.bytes.size();
  }
  const int64_t entries = bits_of(dtype) < 8 ? bytes_of(dtype, count) : count;
  const auto miscounted = [&](int64_t got) {
    return invalid_argument(cat("the tensor has ", got, " entries of ", field_name(wanted),
                                ", expected ", entries, " for ", name_of(dtype),
                                bracketed(desc.dims)));
  };
  if (wanted == Chunk::Kind::kFloat || wanted == Chunk::Kind::kDouble) {
    const size_t size = wanted == Chunk::Kind::kFloat ? 4 : 8;
    for (const Chunk& chunk : desc.chunks)
      if (chunk.bytes.size() % size != 0)
        return data_loss(cat(field_name(wanted), " takes ", chunk.bytes.size(),
                             " bytes, expected a multiple of ", size));
    if (int64_t(bytes / size) != entries) return miscounted(int64_t(bytes / size));
    ir::Tensor tensor(dtype, desc.dims);
    copy_chunks(desc.chunks, tensor);
    return tensor;
  }
  // Every entry takes at least one byte: a declared size without data is refused here.
  if (int64_t(bytes) < entries || int64_t(bytes) / 10 > entries) {
    int64_t got = 0;
    for (const Chunk& chunk : desc.chunks)
      got += std::count_if(chunk.bytes.begin(), chunk.bytes.end(), [](char c) { return uint8_t(c) < 0x80; });
    return miscounted(got);
  }
  PLANISH_ASSIGN_OR_RETURN(std::vector<int64_t> values, decode_ints(desc.chunks));
  if (int64_t(values.size()) != entries) return miscounted(int64_t(values.size()));
  ir::Tensor tensor(dtype, desc.dims);
  if (dtype == DataType::kBool) {
    for (size_t i = 0; i < values.size(); ++i) tensor.mutable_data_as<uint8_t>()[i] = values[i] != 0;
  } else {
    PLANISH_RETURN_IF_ERROR(store_ints(values, tensor));
  }
  make_canonical(tensor);
  return tensor;
}

Result<ir::Tensor> convert(const TensorDesc& desc, ExternalData& external, const Limits& limits) {
  PLANISH_ASSIGN_OR_RETURN(const int64_t count, checked_count(desc.dims, limits));
  if (desc.data_type == 0) return invalid_argument("the tensor has no element type (data_type 0)");
  PLANISH_ASSIGN_OR_RETURN(const DataType dtype, opdef::data_type_from_onnx(desc.data_type));
  if (desc.has_segment) return unsupported("the tensor is a segment of a larger one");
  const int64_t bytes = bytes_of(dtype, count);
  if (desc.is_external) {
    if (desc.raw || !desc.chunks.empty())
      return invalid_argument("the tensor has both external data and data in the file");
    PLANISH_ASSIGN_OR_RETURN(const ExternalData::Range range, external.locate(desc.external, bytes));
    ir::Tensor tensor(dtype, desc.dims);
    PLANISH_RETURN_IF_ERROR(external.read(range, tensor.mutable_data()));
    make_canonical(tensor);
    return tensor;
  }
  if (!desc.external.empty())
    return invalid_argument("the tensor has external_data but its data_location is not EXTERNAL");
  if (desc.raw && !desc.chunks.empty())
    return invalid_argument(cat("the tensor has both raw_data and ", field_name(desc.chunks[0].kind)));
  if (!desc.raw) return from_typed(desc, dtype, count);
  if (int64_t(desc.raw->size()) != bytes)
    return invalid_argument(cat("the tensor has ", desc.raw->size(), " bytes of raw_data, expected ",
                                bytes, " for ", name_of(dtype), bracketed(desc.dims)));
  ir::Tensor tensor(dtype, desc.dims);
  if (bytes > 0) std::memcpy(tensor.mutable_data(), desc.raw->data(), size_t(bytes));
  make_canonical(tensor);
  return tensor;
}

// Row-major position of each entry, checked to rise strictly within `count`.
Result<std::vector<int64_t>> sparse_positions(const ir::Tensor& indices,
                                              const std::vector<int64_t>& dims, int64_t nnz) {
  const int rank = int(dims.size());
  const bool linear = indices.rank() == 1 && indices.dim(0) == nnz;
  const bool by_axis = indices.rank() == 2 && indices.dim(0) == nnz && indices.dim(1) == rank;
  if (indices.dtype() != DataType::kI64 || (!linear && !by_axis))
    return invalid_argument(cat("sparse indices are ", to_string(indices.type()), ", expected i64[",
                                nnz, "] or i64[", nnz, ", ", rank, "]"));
  const std::vector<int64_t> values = indices.i64_values();
  const int64_t count = ir::element_count(dims);
  std::vector<int64_t> positions;
  for (int64_t k = 0; k < nnz; ++k) {
    int64_t position = 0;
    if (linear) {
      position = values[size_t(k)];
      if (position < 0 || position >= count)
        return invalid_argument(cat("sparse index ", k, " is ", position, ", expected 0 to ",
                                    count - 1));
    } else {
      for (int axis = 0; axis < rank; ++axis) {
        const int64_t index = values[size_t(k * rank + axis)];
        if (index < 0 || index >= dims[size_t(axis)])
          return invalid_argument(cat("sparse index ", k, " is ", index, " on axis ", axis,
                                      ", expected 0 to ", dims[size_t(axis)] - 1));
        position = position * dims[size_t(axis)] + index;
      }
    }
    if (k > 0 && position <= positions.back())
      return invalid_argument(cat("sparse index ", k, " is not after the one before it: expected "
                                  "sorted indices without repetition"));
    positions.push_back(position);
  }
  return positions;
}

}  // namespace

Result<int64_t> checked_count(const std::vector<int64_t>& dims, const Limits& limits) {
  for (size_t i = 0; i < dims.size(); ++i)
    if (dims[i] < 0)
      return invalid_argument(cat("dims ", bracketed(dims), ": dim ", i, " is negative"));
  const std::optional<int64_t> count = ir::checked_element_count(dims);
  if (!count || *count > limits.max_tensor_elements ||
      *count > std::numeric_limits<int64_t>::max() / 128)
    return resource_exhausted(cat("a tensor of dims ", bracketed(dims),
                                  " has more elements than the limit max_tensor_elements (",
                                  limits.max_tensor_elements, ")"));
  return *count;
}

Result<ir::Tensor> to_tensor(const TensorDesc& desc, ExternalData& external, const Limits& limits) {
  return convert(desc, external, limits);
}

Result<ir::Tensor> to_tensor(const SparseTensorDesc& desc, ExternalData& external,
                             const Limits& limits) {
  if (!desc.has_values || !desc.has_indices)
    return invalid_argument("a sparse tensor needs both values and indices");
  PLANISH_ASSIGN_OR_RETURN(const int64_t count, checked_count(desc.dims, limits));
  auto values = convert(desc.values, external, limits);
  if (!values.ok()) return values.status().at("values");
  auto indices = convert(desc.indices, external, limits);
  if (!indices.ok()) return indices.status().at("indices");
  if (values->rank() != 1)
    return invalid_argument(cat("sparse values have dims ", bracketed(values->dims()),
                                ", expected one dim"));
  if (bits_of(values->dtype()) < 8) return unsupported("sparse tensors of packed types");
  if (bytes_of(values->dtype(), count) > limits.max_folding_bytes)
    return resource_exhausted(cat("the sparse tensor made dense takes ",
                                  bytes_of(values->dtype(), count),
                                  " bytes, more than the limit max_folding_bytes (",
                                  limits.max_folding_bytes, ")"));
  PLANISH_ASSIGN_OR_RETURN(const std::vector<int64_t> positions,
                           sparse_positions(*indices, desc.dims, values->count()));
  ir::Tensor dense(values->dtype(), desc.dims);
  const size_t size = size_t(bits_of(dense.dtype()) / 8);
  for (size_t k = 0; k < positions.size(); ++k)
    std::memcpy(dense.mutable_data_as<char>() + size_t(positions[k]) * size,
                values->data_as<char>() + k * size, size);
  return dense;
}

}  // namespace planish::frontend::onnx

namespace planish::frontend {

Result<NamedTensor> read_tensor_proto(std::span<const std::byte> bytes, const Limits& limits) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  PLANISH_ASSIGN_OR_RETURN(const onnx::TensorDesc desc, onnx::read_tensor(text, limits));
  onnx::ExternalData nowhere("", "", limits);
  auto tensor = onnx::to_tensor(desc, nowhere, limits);
  if (!tensor.ok()) return tensor.status().at(cat("tensor ", quoted(desc.name)));
  return NamedTensor{std::string(desc.name), std::move(tensor).value()};
}

std::string write_tensor_proto(const std::string& name, const ir::Tensor& tensor) {
  std::string out;
  protozero::pbf_writer writer(out);
  writer.add_packed_int64(1, tensor.dims().begin(), tensor.dims().end());
  writer.add_int32(2, int32_t(opdef::onnx_type_code(tensor.dtype())));
  if (!name.empty()) writer.add_string(8, name);
  writer.add_bytes(9, static_cast<const char*>(tensor.data()), size_t(tensor.bytes()));
  return out;
}

}  // namespace planish::frontend
