#include "npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "zip.h"

namespace planish::cli {
namespace {

constexpr std::string_view kMagic{"\x93NUMPY", 6};

Status bad(std::string message) {
  return Status(Code::kInvalidArgument, "npy: " + std::move(message));
}

struct Code2Type {
  std::string_view code;
  DataType type;
};
constexpr Code2Type kTypes[] = {{"f2", DataType::kF16}, {"f4", DataType::kF32},
                                {"f8", DataType::kF64}, {"i1", DataType::kI8},
                                {"i2", DataType::kI16}, {"i4", DataType::kI32},
                                {"i8", DataType::kI64}, {"u1", DataType::kU8},
                                {"u2", DataType::kU16}, {"u4", DataType::kU32},
                                {"u8", DataType::kU64}, {"b1", DataType::kBool}};

struct Header {
  DataType dtype = DataType::kF32;
  bool big_endian = false;
  bool fortran_order = false;
  std::vector<int64_t> dims;
};

// The value behind 'key' in the header's Python dict, up to the ',' or '}' that ends it.
std::optional<std::string_view> dict_value(std::string_view dict, std::string_view key) {
  const size_t at = dict.find(fmt::format("'{}'", key));
  if (at == std::string_view::npos) return std::nullopt;
  size_t begin = dict.find(':', at);
  if (begin == std::string_view::npos) return std::nullopt;
  begin = dict.find_first_not_of(' ', begin + 1);
  if (begin == std::string_view::npos) return std::nullopt;
  const char closing = dict[begin] == '(' ? ')' : dict[begin] == '\'' ? '\'' : ',';
  const size_t end = dict.find(closing, begin + 1);
  if (end == std::string_view::npos) return std::nullopt;
  return dict.substr(begin, end - begin + (closing == ',' ? 0 : 1));
}

Result<Header> parse_header(std::string_view dict) {
  Header header;
  const auto descr = dict_value(dict, "descr");
  const auto order = dict_value(dict, "fortran_order");
  const auto shape = dict_value(dict, "shape");
  if (!descr || !order || !shape || shape->front() != '(')
    return bad("the header lacks descr, fortran_order or shape");
  if (descr->size() < 4 || descr->front() != '\'')
    return bad(fmt::format("element type {} is not supported", *descr));
  const std::string_view code = descr->substr(2, descr->size() - 3);
  const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                  [&](const Code2Type& one) { return one.code == code; });
  if (type == std::end(kTypes) || std::string_view("<>|=").find((*descr)[1]) == std::string_view::npos)
    return bad(fmt::format("element type {} is not supported", *descr));
  header.dtype = type->type;
  header.big_endian = (*descr)[1] == '>';
  header.fortran_order = order->starts_with("True");
  const char* at = shape->data() + 1;
  const char* const end = shape->data() + shape->size() - 1;
  while (at != end) {
    if (*at == ' ' || *at == ',') {
      ++at;
      continue;
    }
    int64_t dim = 0;
    const auto parsed = std::from_chars(at, end, dim);
    if (parsed.ec != std::errc() || dim < 0 || header.dims.size() >= 64)
      return bad(fmt::format("shape {} is broken", *shape));
    header.dims.push_back(dim);
    at = parsed.ptr;
  }
  return header;
}

void swap_bytes(char* data, size_t element_bytes, int64_t count) {
  for (int64_t i = 0; i < count; ++i, data += element_bytes)
    std::reverse(data, data + element_bytes);
}

// Column-major elements into row-major ones.
void reorder(const char* from, char* to, size_t element_bytes, const std::vector<int64_t>& dims) {
  const size_t rank = dims.size();
  std::vector<int64_t> index(rank, 0), strides(rank, 1);
  int64_t count = 1;
  for (size_t i = 0; i < rank; ++i) {
    strides[i] = count;
    count *= dims[i];
  }
  for (int64_t i = 0; i < count; ++i, to += element_bytes) {
    int64_t at = 0;
    for (size_t d = 0; d < rank; ++d) at += index[d] * strides[d];
    std::memcpy(to, from + size_t(at) * element_bytes, element_bytes);
    for (size_t d = rank; d-- > 0;) {
      if (++index[d] < dims[d]) break;
      index[d] = 0;
    }
  }
}

// The type that stands for `type` in a file, and its code.
std::pair<DataType, std::string_view> file_type(DataType type) {
  for (const Code2Type& one : kTypes)
    if (one.type == type) return {type, one.code};
  switch (type) {
    case DataType::kI4:
    case DataType::kI2:
      return {DataType::kI8, "i1"};
    case DataType::kU4:
    case DataType::kU2:
      return {DataType::kU8, "u1"};
    default:
      return {DataType::kF32, "f4"};
  }
}

}  // namespace

Result<Tensor> parse_npy(std::string_view bytes) {
  if (bytes.size() < 10 || bytes.substr(0, 6) != kMagic) return bad("it does not begin as one");
  const int version = static_cast<unsigned char>(bytes[6]);
  if (version < 1 || version > 3) return bad(fmt::format("version {} is unknown", version));
  const size_t length_bytes = version == 1 ? 2 : 4;
  if (bytes.size() < 8 + length_bytes) return bad("the header is cut off");
  size_t header_bytes = 0;
  for (size_t i = 0; i < length_bytes; ++i)
    header_bytes |= size_t(static_cast<unsigned char>(bytes[8 + i])) << (8 * i);
  const size_t data_at = 8 + length_bytes + header_bytes;
  if (header_bytes > (1 << 20) || data_at > bytes.size()) return bad("the header is cut off");
  auto header = parse_header(bytes.substr(8 + length_bytes, header_bytes));
  if (!header.ok()) return header.status();

  const size_t element_bytes = size_t(bits_of(header->dtype)) / 8;
  int64_t count = 1;
  for (const int64_t dim : header->dims) {
    if (__builtin_mul_overflow(count, dim, &count) || count > (int64_t(1) << 56))
      return bad(fmt::format("shape ({}) overflows", fmt::join(header->dims, ", ")));
  }
  const size_t have = bytes.size() - data_at;
  if (have != size_t(count) * element_bytes) {
    return bad(fmt::format("shape ({}) takes {} bytes of data, got {}",
                           fmt::join(header->dims, ", "), size_t(count) * element_bytes, have));
  }
  auto tensor = Tensor::create(header->dtype, header->dims);
  if (!tensor.ok()) return tensor;
  if (count == 0) return tensor;
  char* to = static_cast<char*>(tensor->mutable_data());
  if (header->fortran_order && header->dims.size() > 1) {
    reorder(bytes.data() + data_at, to, element_bytes, header->dims);
  } else {
    std::memcpy(to, bytes.data() + data_at, have);
  }
  if (header->big_endian) swap_bytes(to, element_bytes, count);
  if (header->dtype == DataType::kBool) {
    for (int64_t i = 0; i < count; ++i) to[i] = to[i] != 0;
  }
  return tensor;
}

std::string to_npy(const Tensor& tensor) {
  const auto [type, code] = file_type(tensor.dtype());
  std::string shape;
  for (const int64_t dim : tensor.dims()) shape += fmt::format("{}, ", dim);
  if (tensor.dims().size() > 1) shape.resize(shape.size() - 2);
  if (tensor.dims().size() == 1) shape.pop_back();
  std::string header = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}), }}",
                                   code.ends_with('1') ? '|' : '<', code, shape);
  // Data begins at a multiple of 64.
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  std::string out(kMagic);
  out += '\x01';
  out += '\0';
  out += char(header.size() & 0xff);
  out += char(header.size() >> 8);
  out += header;
  if (type == tensor.dtype()) {
    out.append(static_cast<const char*>(tensor.data()), size_t(tensor.bytes()));
    return out;
  }
  for (int64_t i = 0; i < tensor.count(); ++i) {
    const double value = tensor.as_double(i);
    if (type == DataType::kF32) {
      const float narrow = float(value);
      out.append(reinterpret_cast<const char*>(&narrow), sizeof(narrow));
    } else {
      out += char(int(value));
    }
  }
  return out;
}

Result<std::vector<NamedTensor>> parse_npz(std::string_view bytes) {
  auto members = read_zip(bytes);
  if (!members.ok()) return members.status();
  std::vector<NamedTensor> out;
  for (ZipMember& member : *members) {
    if (!member.name.ends_with(".npy")) continue;
    auto tensor = parse_npy(member.bytes);
    if (!tensor.ok()) return tensor.status().at("member '" + member.name + "'");
    out.push_back({member.name.substr(0, member.name.size() - 4), std::move(*tensor)});
  }
  return out;
}

}  // namespace planish::cli
