#include "base/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/text.h"

namespace planish {
namespace {

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == path.npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// The file behind a chain of symbolic links; the path itself when it is none.
std::string resolved(const std::string& path) {
  struct stat info;
  if (::lstat(path.c_str(), &info) != 0 || !S_ISLNK(info.st_mode)) return path;
  char* real = ::realpath(path.c_str(), nullptr);
  if (!real) return path;  // dangling: the link is replaced
  std::string out = real;
  std::free(real);
  return out;
}

std::string temporary_name(const std::string& target) {
  static std::atomic<unsigned> counter{0};
  const size_t slash = target.rfind('/');
  const std::string name = slash == target.npos ? target : target.substr(slash + 1);
  return cat(folder_of(target), "/.", name.substr(0, 100), ".tmp-", int64_t(::getpid()), "-",
             counter.fetch_add(1));
}

}  // namespace

Status AtomicFile::failure(std::string_view what) const {
  const int error = errno;
  const std::string message = cat(path_, ": ", what, ": ", std::strerror(error));
  if (error == ENOSPC || error == EDQUOT || error == EFBIG || error == ENOMEM || error == EMFILE ||
      error == ENFILE)
    return resource_exhausted(message);
  return error == ENOENT ? not_found(message) : invalid_argument(message);
}

Result<AtomicFile> AtomicFile::create(const std::string& path) {
  AtomicFile file;
  file.path_ = path;
  if (path.empty() || path.back() == '/')
    return invalid_argument(cat("'", path, "': expected a file's path"));
  file.target_ = resolved(path);
  struct stat info;
  if (::stat(file.target_.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    if (S_ISDIR(info.st_mode))
      return invalid_argument(cat(path, ": expected a file to write, got a directory"));
    file.straight_ = true;
    file.fd_ = ::open(file.target_.c_str(), O_WRONLY | O_CLOEXEC);
    if (file.fd_ < 0) return file.failure("cannot be opened for writing");
    return file;
  }
#ifdef O_TMPFILE
  file.fd_ = ::open(folder_of(file.target_).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
#endif
  if (file.fd_ < 0) {  // not every file system has nameless files
    for (int attempt = 0; attempt < 100 && file.fd_ < 0; ++attempt) {
      file.temporary_ = temporary_name(file.target_);
      file.fd_ = ::open(file.temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (file.fd_ < 0 && errno != EEXIST && errno != EINTR) break;
    }
    if (file.fd_ < 0) {
      file.temporary_.clear();
      return file.failure("cannot be created");
    }
  }
  return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      target_(std::move(other.target_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::exchange(other.fd_, -1)),
      straight_(other.straight_),
      waiting_(other.waiting_) {}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Status AtomicFile::write(std::span<const std::byte> bytes) {
  PLANISH_CHECK(fd_ >= 0, "written after commit");
  while (!bytes.empty()) {
    const size_t piece = bytes.size() < (size_t(1) << 30) ? bytes.size() : size_t(1) << 30;
    const ssize_t written = ::write(fd_, bytes.data(), piece);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failure("cannot be written");
    bytes = bytes.subspan(size_t(written));
    waiting_ += size_t(written);
  }
#if defined(__linux__)
  // The disk works while the rest is written; commit() then waits for less.
  constexpr size_t kWorthStarting = size_t(8) << 20;
  if (waiting_ >= kWorthStarting && !straight_) {
    ::sync_file_range(fd_, 0, 0, SYNC_FILE_RANGE_WRITE);
    waiting_ = 0;
  }
#endif
  return ok_status();
}

Status AtomicFile::write(std::string_view text) {
  return write(std::as_bytes(std::span(text.data(), text.size())));
}

Status AtomicFile::give_name() {
  const std::string self = cat("/proc/self/fd/", fd_);
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::string name = temporary_name(target_);
    if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      temporary_ = std::move(name);
      return ok_status();
    }
    if (errno != EEXIST) break;
  }
  return failure("cannot be given a name");
}

Status AtomicFile::commit(bool flush) {
  PLANISH_CHECK(fd_ >= 0, "committed twice");
  if (straight_) {
    const int result = ::close(std::exchange(fd_, -1));
    return result == 0 ? ok_status() : failure("cannot be closed");
  }
  if (flush && ::fsync(fd_) != 0) return failure("cannot be flushed to disk");
  if (temporary_.empty()) PLANISH_RETURN_IF_ERROR(give_name());
  // Network file systems report a full disk at close.
  if (::close(std::exchange(fd_, -1)) != 0) return failure("cannot be closed");
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) return failure("cannot be replaced");
  temporary_.clear();
  if (!flush) return ok_status();
  const int folder = ::open(folder_of(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    ::fsync(folder);  // best effort: the file itself is whole either way
    ::close(folder);
  }
  return ok_status();
}

Status write_file_atomically(const std::string& path, std::span<const std::byte> bytes, bool flush) {
  PLANISH_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  PLANISH_RETURN_IF_ERROR(file.write(bytes));
  return file.commit(flush);
}

Status write_file_atomically(const std::string& path, std::string_view text, bool flush) {
  return write_file_atomically(path, std::as_bytes(std::span(text.data(), text.size())), flush);
}

}  // namespace planish
