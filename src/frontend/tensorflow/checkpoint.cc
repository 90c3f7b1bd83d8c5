#include "frontend/tensorflow/checkpoint.h"

#include <algorithm>
#include <cstring>

#include "base/crc32c.h"
#include "base/quote.h"
#include "base/text.h"
#include "frontend/tensorflow/table_file.h"
#include "frontend/tensorflow/tensor_proto.h"

namespace planish::frontend::tensorflow {
namespace {

constexpr int64_t kMaxShards = 100000;
constexpr std::string_view kObjectGraph = "_CHECKPOINTABLE_OBJECT_GRAPH";

// Keys of slices are an ordered encoding that begins with a zero byte: the number 0, then the name
// and the extents. (tensorflow/core/util/saved_tensor_slice_util.cc)
void append_number(std::string& out, uint64_t value) {
  std::string bytes;
  for (; value > 0; value >>= 8) bytes.insert(bytes.begin(), char(value & 0xff));
  out += char(bytes.size());
  out += bytes;
}
void append_text(std::string& out, std::string_view text) {
  for (char c : text) {
    if (c == '\0') out += std::string_view("\0\xff", 2);
    else if (c == '\xff') out += std::string_view("\xff\0", 2);
    else out += c;
  }
  out += std::string_view("\0\1", 2);
}
// Big-endian, in as few bytes as hold the sign and 7 bits each; the leading bits of the first byte say
// how many bytes there are, inverted by exclusive or for negative numbers.
void append_signed(std::string& out, int64_t value) {
  const uint64_t magnitude = value < 0 ? ~uint64_t(value) : uint64_t(value);
  int length = 1;
  while (length < 10 && 7 * length - 1 < 64 && (magnitude >> (7 * length - 1)) != 0) ++length;
  for (int i = 0; i < length; ++i) {
    const int shift = 8 * (length - 1 - i);
    const int64_t byte = shift < 64 ? value >> shift : value >> 63;
    uint8_t header = 0;
    for (int bit = 8 * i; bit < std::min(8 * (i + 1), length); ++bit) header |= 0x80u >> (bit % 8);
    out += char(uint8_t(byte & 0xff) ^ header);
  }
}

std::string slice_key(std::string_view name, const SliceDesc& slice) {
  std::string out;
  append_number(out, 0);
  append_text(out, name);
  append_number(out, slice.extents.size());
  for (const auto& [start, length] : slice.extents) {
    append_signed(out, length < 0 ? 0 : start);
    append_signed(out, length);
  }
  return out;
}

}  // namespace

Result<Checkpoint> Checkpoint::open(const std::string& prefix, const Limits& limits) {
  Checkpoint out;
  out.prefix_ = prefix;
  out.limits_ = limits;
  const std::string index = prefix + ".index";
  auto entries = read_table(index, limits);
  if (!entries.ok()) return entries.status().at(index);
  out.entries_ = std::move(*entries);
  const auto header = out.entries_.find("");
  if (header == out.entries_.end()) return data_loss("has no header").at(index);
  auto desc = read_bundle_header(header->second);
  if (!desc.ok()) return desc.status().at(index);
  if (desc->endianness != 0) return unsupported("was written on a big-endian machine").at(index);
  if (desc->shard_count < 1 || desc->shard_count > kMaxShards)
    return data_loss(cat("is said to have ", desc->shard_count, " shards")).at(index);
  out.shard_count_ = desc->shard_count;
  out.entries_.erase(header);
  if (out.has(kObjectGraph))
    if (Status s = out.read_objects(); !s.ok()) return s.at(cat(prefix, ": ", kObjectGraph));
  return out;
}

// A single string: its length as a varint, the masked checksum of the length in 4 bytes, the text. The
// entry's checksum is over the length in 4 bytes (8 from 4 GiB on), the first checksum and the text.
Result<std::string> Checkpoint::read_text(std::string_view key) const {
  PLANISH_ASSIGN_OR_RETURN(const BundleEntryDesc entry,
                           read_bundle_entry(entries_.find(key)->second, limits_));
  PLANISH_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> file, shard(entry.shard));
  if (entry.dtype != kString || !entry.shape.dims.empty()) return data_loss("is no single text");
  if (entry.offset < 0 || entry.size < 5 || entry.offset > file->size() ||
      entry.size > file->size() - entry.offset || entry.size > limits_.max_file_bytes)
    return data_loss(cat("takes ", entry.size, " bytes at ", entry.offset, " of shard ", file->path(),
                         ", which has ", file->size()));
  std::string bytes(size_t(entry.size), '\0');
  PLANISH_RETURN_IF_ERROR(
      file->read_at(entry.offset, std::as_writable_bytes(std::span(bytes.data(), bytes.size()))));
  size_t at = 0;
  uint64_t length = 0;
  for (int shift = 0; shift < 35; shift += 7) {
    const uint8_t byte = at < bytes.size() ? uint8_t(bytes[at++]) : 0x80;
    length |= uint64_t(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) break;
  }
  if (length > UINT32_MAX || bytes.size() != at + 4 + length)
    return data_loss(cat("takes ", entry.size, " bytes, its text ", length));
  const uint32_t stored = uint32_t(length);
  const auto bytes_of_length = std::as_bytes(std::span(&stored, 1));
  uint32_t sum = 0;
  std::memcpy(&sum, bytes.data() + at, 4);
  if (crc32c(bytes_of_length) != unmasked_crc32c(sum)) return data_loss("its length does not match its CRC-32C");
  const uint32_t all = extend_crc32c(crc32c(bytes_of_length),
                                     std::as_bytes(std::span(bytes.data() + at, bytes.size() - at)));
  if (all != unmasked_crc32c(entry.crc32c))
    return data_loss(cat("does not match its CRC-32C in shard ", file->path()));
  return bytes.substr(at + 4);
}

Status Checkpoint::read_objects() {
  auto text = read_text(kObjectGraph);
  // The graph of objects only helps to find variables: without its shard, the first of them fails.
  if (!text.ok() && text.status().code() == Code::kNotFound) return ok_status();
  if (!text.ok()) return text.status();
  PLANISH_ASSIGN_OR_RETURN(const auto variables, read_object_graph(*text, limits_));
  for (const SavedVariableDesc& variable : variables) {
    keys_by_object_.emplace(variable.object, variable.key);
    if (variable.full_name.empty()) continue;
    const auto [at, is_fresh] = keys_by_name_.emplace(variable.full_name, variable.key);
    if (!is_fresh && at->second != variable.key) at->second.clear();
  }
  return ok_status();
}

std::string Checkpoint::key_of(const std::string& full_name) const {
  const auto found = keys_by_name_.find(full_name);
  return found == keys_by_name_.end() || !has(found->second) ? std::string() : found->second;
}

std::string Checkpoint::key_of_object(int64_t object) const {
  const auto found = keys_by_object_.find(object);
  return found == keys_by_object_.end() || !has(found->second) ? std::string() : found->second;
}

Result<ir::TensorType> Checkpoint::type(std::string_view key) const {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return not_found(cat(quoted(key), " is not in the checkpoint"));
  PLANISH_ASSIGN_OR_RETURN(const BundleEntryDesc entry, read_bundle_entry(found->second, limits_));
  PLANISH_ASSIGN_OR_RETURN(const ir::DataType dtype, data_type(entry.dtype));
  PLANISH_RETURN_IF_ERROR(checked_count(entry.shape, limits_).status());
  return ir::TensorType{dtype, ir::to_shape(entry.shape.dims)};
}

std::vector<std::string> Checkpoint::keys() const {
  std::vector<std::string> out;
  for (const auto& [key, value] : entries_)
    if (!key.empty() && key[0] != '\0') out.push_back(key);
  return out;
}

Result<std::shared_ptr<const MappedFile>> Checkpoint::shard(int64_t index) const {
  if (index < 0 || index >= shard_count_)
    return data_loss(cat("lies in shard ", index, ", expected 0 to ", shard_count_ - 1));
  auto& file = shards_[index];
  if (file) return file;
  const auto digits = [](int64_t number) {
    std::string text = cat(number);
    return std::string(text.size() < 5 ? 5 - text.size() : 0, '0') + text;
  };
  const std::string path = cat(prefix_, ".data-", digits(index), "-of-", digits(shard_count_));
  auto opened = MappedFile::open(path);
  if (!opened.ok()) return opened.status().at(path);
  file = std::move(*opened);
  return file;
}

Result<ir::Tensor> Checkpoint::read_whole(const BundleEntryDesc& entry) const {
  PLANISH_ASSIGN_OR_RETURN(const ir::DataType dtype, data_type(entry.dtype));
  PLANISH_ASSIGN_OR_RETURN(const int64_t count, checked_count(entry.shape, limits_));
  const int64_t bytes = bytes_of(dtype, count);
  if (entry.size != bytes)
    return data_loss(cat("takes ", entry.size, " bytes, expected ", bytes, " for ", name_of(dtype),
                         bracketed(entry.shape.dims)));
  PLANISH_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> file, shard(entry.shard));
  if (entry.offset < 0 || entry.offset > file->size() || bytes > file->size() - entry.offset)
    return data_loss(cat("lies at ", entry.offset, " to ", entry.offset + bytes, " of shard ",
                         file->path(), ", which has ", file->size(), " bytes"));
  ir::Tensor tensor(dtype, entry.shape.dims);
  const std::span<std::byte> to(tensor.mutable_data_as<std::byte>(), size_t(bytes));
  PLANISH_RETURN_IF_ERROR(file->read_at(entry.offset, to));
  if (crc32c(std::span<const std::byte>(to)) != unmasked_crc32c(entry.crc32c))
    return data_loss(cat("does not match its CRC-32C in shard ", file->path()));
  return tensor;
}

Result<ir::Tensor> Checkpoint::read_slices(std::string_view key,
                                           const BundleEntryDesc& entry) const {
  PLANISH_ASSIGN_OR_RETURN(const ir::DataType dtype, data_type(entry.dtype));
  PLANISH_ASSIGN_OR_RETURN(const int64_t count, checked_count(entry.shape, limits_));
  const std::vector<int64_t>& dims = entry.shape.dims;
  const std::vector<int64_t> strides = ir::strides_of(dims);
  const size_t size = size_t(bits_of(dtype) / 8);
  int64_t covered = 0;
  ir::Tensor whole;
  for (const SliceDesc& slice : entry.slices) {
    if (slice.extents.size() != dims.size())
      return data_loss(cat("a slice has ", slice.extents.size(), " extents, expected ", dims.size()));
    const auto found = entries_.find(slice_key(key, slice));
    if (found == entries_.end()) return data_loss("one of its slices is missing");
    PLANISH_ASSIGN_OR_RETURN(const BundleEntryDesc part_entry,
                             read_bundle_entry(found->second, limits_));
    PLANISH_ASSIGN_OR_RETURN(const ir::Tensor part, read_whole(part_entry));
    std::vector<int64_t> part_dims, starts;
    for (size_t d = 0; d < dims.size(); ++d) {
      const auto [start, length] = slice.extents[d];
      const int64_t taken = length < 0 ? dims[d] : length;
      if (start < 0 || taken < 0 || start > dims[d] || taken > dims[d] - start)
        return data_loss(cat("a slice takes ", start, " to ", start + taken, " of dim ", d, " = ",
                             dims[d]));
      starts.push_back(length < 0 ? 0 : start);
      part_dims.push_back(taken);
    }
    if (part.dims() != part_dims || part.dtype() != dtype)
      return data_loss(cat("a slice is ", ir::to_string(part.type()), ", expected ",
                           name_of(dtype), bracketed(part_dims)));
    if (covered == 0) whole = ir::Tensor(dtype, dims);
    covered += part.count();
    if (covered > count) return data_loss("its slices overlap");
    std::vector<int64_t> index(dims.size(), 0);
    for (int64_t i = 0; i < part.count(); ++i) {
      int64_t to = 0;
      for (size_t d = 0; d < dims.size(); ++d) to += (starts[d] + index[d]) * strides[d];
      std::memcpy(whole.mutable_data_as<char>() + size_t(to) * size,
                  part.data_as<char>() + size_t(i) * size, size);
      for (size_t d = dims.size(); d-- > 0;) {
        if (++index[d] < part_dims[d]) break;
        index[d] = 0;
      }
    }
  }
  if (covered != count)
    return data_loss(cat("its slices hold ", covered, " elements, expected ", count));
  return whole;
}

Result<ir::Tensor> Checkpoint::read_entry(std::string_view key) const {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return not_found("is not in the checkpoint");
  PLANISH_ASSIGN_OR_RETURN(const BundleEntryDesc entry, read_bundle_entry(found->second, limits_));
  return entry.slices.empty() ? read_whole(entry) : read_slices(key, entry);
}

Result<ir::Tensor> Checkpoint::read(std::string_view key) const {
  auto tensor = read_entry(key);
  if (!tensor.ok()) return tensor.status().at(cat(prefix_, ": variable ", quoted(key)));
  return tensor;
}

}  // namespace planish::frontend::tensorflow
