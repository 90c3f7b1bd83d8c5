// MappedFile: a file opened once for reading, mapped for its large parts and read by copy for those
// that must not change underfoot.
//
// A mapping is the quickest way to weights of any size, but it belongs to the file: when another
// process truncates the file in place, touching the lost pages kills this process (SIGBUS). So
// whatever decides control flow is taken with read_at(), which copies and fails with a Status, and
// only bulk data is looked at through data(). Replacing a file by rename, as AtomicFile does,
// leaves open mappings whole.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"

namespace planish {

class MappedFile {
 public:
  // Regular files only: a directory, FIFO or device is refused with kInvalidArgument and without
  // blocking; kNotFound when there is none.
  static Result<std::shared_ptr<const MappedFile>> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  // Size when opened.
  int64_t size() const { return size_; }
  // The mapping of the whole file, page-aligned; empty for an empty file.
  std::span<const std::byte> data() const { return {data_, size_t(size_)}; }
  // Copies bytes; kDataLoss when the file has become too short, or ends before.
  Status read_at(int64_t offset, std::span<std::byte> to) const;
  // kDataLoss when size or modification time differ from those at open().
  Status check_unchanged() const;

 private:
  MappedFile() = default;

  std::string path_;
  int fd_ = -1;
  int64_t size_ = 0;
  int64_t modified_ns_ = 0;
  const std::byte* data_ = nullptr;
};

}  // namespace planish
