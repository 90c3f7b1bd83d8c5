#include "frontend/tensorflow/table_file.h"

#include <leveldb/comparator.h>
#include <leveldb/env.h>
#include <leveldb/iterator.h>
#include <leveldb/options.h>
#include <leveldb/table.h>
#include <snappy.h>

#include <cstring>

#include "base/crc32c.h"
#include "base/mapped_file.h"
#include "base/text.h"

namespace planish::frontend::tensorflow {
namespace {

constexpr uint64_t kFooterBytes = 48;
constexpr size_t kTrailerBytes = 5;          // compression, CRC-32C
constexpr size_t kMaxBlockBytes = 64 << 20;  // TensorFlow writes blocks of 256 KiB

// Hands LevelDB the file's bytes and looks at each block on the way.
class CheckedFile final : public leveldb::RandomAccessFile {
 public:
  explicit CheckedFile(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {}

  leveldb::Status Read(uint64_t offset, size_t n, leveldb::Slice* result,
                       char* scratch) const override {
    const uint64_t size = uint64_t(file_->size());
    if (offset > size || n > size - offset)
      return leveldb::Status::Corruption(cat("a block of ", n, " bytes at offset ", offset,
                                             " lies outside of the file of ", size, " bytes"));
    const Status read = file_->read_at(int64_t(offset), std::as_writable_bytes(std::span(scratch, n)));
    if (!read.ok()) return leveldb::Status::Corruption(read.message());
    *result = leveldb::Slice(scratch, n);
    if (offset + n == size && n == kFooterBytes) return leveldb::Status::OK();
    return check_block(offset, {scratch, n});
  }

 private:
  static leveldb::Status check_block(uint64_t offset, std::string_view block) {
    const auto corrupt = [&](const std::string& what) {
      return leveldb::Status::Corruption(cat("the block at offset ", offset, ' ', what));
    };
    if (block.size() < kTrailerBytes) return corrupt("is shorter than its checksum");
    uint32_t stored;
    std::memcpy(&stored, block.data() + block.size() - 4, 4);
    const uint32_t got = crc32c(block.substr(0, block.size() - 4));
    if (got != unmasked_crc32c(stored)) return corrupt("does not match its CRC-32C");
    const std::string_view data = block.substr(0, block.size() - kTrailerBytes);
    if (block[data.size()] == 0) return leveldb::Status::OK();
    size_t unpacked = 0;
    if (block[data.size()] != 1 || !snappy::GetUncompressedLength(data.data(), data.size(), &unpacked))
      return corrupt("is compressed in a way that is not known");
    if (unpacked > kMaxBlockBytes)
      return corrupt(cat("unpacks to ", unpacked, " bytes, more than ", kMaxBlockBytes));
    return leveldb::Status::OK();
  }

  std::shared_ptr<const MappedFile> file_;
};

}  // namespace

uint32_t unmasked_crc32c(uint32_t masked) {
  const uint32_t rotated = masked - 0xa282ead8u;
  return (rotated >> 17) | (rotated << 15);
}

Result<std::map<std::string, std::string, std::less<>>> read_table(const std::string& path,
                                                                   const Limits& limits) {
  PLANISH_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> file, MappedFile::open(path));
  if (file->size() > limits.max_file_bytes)
    return resource_exhausted(cat("the file has ", file->size(),
                                  " bytes, more than the limit max_file_bytes (",
                                  limits.max_file_bytes, ")"));
  const CheckedFile checked(file);
  leveldb::Options options;
  options.paranoid_checks = true;
  leveldb::Table* opened = nullptr;
  const leveldb::Status status =
      leveldb::Table::Open(options, const_cast<CheckedFile*>(&checked), uint64_t(file->size()), &opened);
  if (!status.ok()) return data_loss(cat("not a checkpoint's index: ", status.ToString()));
  const std::unique_ptr<leveldb::Table> table(opened);
  leveldb::ReadOptions reading;
  reading.verify_checksums = true;
  reading.fill_cache = false;
  const std::unique_ptr<leveldb::Iterator> at(table->NewIterator(reading));
  std::map<std::string, std::string, std::less<>> out;
  int64_t bytes = 0;
  for (at->SeekToFirst(); at->Valid(); at->Next()) {
    bytes += int64_t(at->key().size() + at->value().size());
    if (int64_t(out.size()) >= limits.max_nodes || bytes > limits.max_file_bytes)
      return resource_exhausted("the index has more entries than the limits max_nodes and "
                                "max_file_bytes allow");
    out[at->key().ToString()] = at->value().ToString();
  }
  if (!at->status().ok()) return data_loss(cat("damaged index: ", at->status().ToString()));
  return out;
}

}  // namespace planish::frontend::tensorflow
