// AtomicFile: writes a file so that readers see the old one or the new one, whole, never a part.
//
// Bytes go to a temporary in the same folder, nameless where the file system can (O_TMPFILE, so
// that a killed process leaves nothing behind); commit() flushes it to disk and renames it over the
// target. A full disk, an error or a kill before that leaves the old file as it was. A target that
// is a symbolic link keeps the link and replaces the file behind it; a device (/dev/null,
// /dev/stdout) is written straight, for nothing can be renamed over it.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace planish {

class AtomicFile {
 public:
  static Result<AtomicFile> create(const std::string& path);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();  // without commit(): the temporary is removed

  Status write(std::span<const std::byte> bytes);
  Status write(std::string_view text);
  // Flush, rename, flush the folder. Once only. `flush` false leaves it to the system when bytes reach the
  // disk: after a power failure the file may be damaged, which suits caches that check what they read.
  Status commit(bool flush = true);

 private:
  AtomicFile() = default;
  Status failure(std::string_view what) const;
  Status give_name();

  std::string path_;       // as the caller wrote it, for messages
  std::string target_;     // links resolved
  std::string temporary_;  // empty while nameless
  int fd_ = -1;
  bool straight_ = false;
  size_t waiting_ = 0;  // bytes written since the disk was last set to work
};

// create, write, commit.
Status write_file_atomically(const std::string& path, std::span<const std::byte> bytes, bool flush = true);
Status write_file_atomically(const std::string& path, std::string_view text, bool flush = true);

}  // namespace planish
