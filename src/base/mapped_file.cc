#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/text.h"

namespace planish {
namespace {

int64_t modification_ns(const struct stat& info) {
  return int64_t(info.st_mtim.tv_sec) * 1000000000 + info.st_mtim.tv_nsec;
}

}  // namespace

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::string& path) {
  const std::shared_ptr<MappedFile> file(new MappedFile);
  file->path_ = path;
  // O_NONBLOCK: opening a FIFO without a writer must not hang. It means nothing to regular files.
  do {
    file->fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  } while (file->fd_ < 0 && errno == EINTR);
  if (file->fd_ < 0) {
    const std::string message = cat(path, ": cannot be opened: ", std::strerror(errno));
    return errno == ENOENT || errno == ENOTDIR ? not_found(message) : invalid_argument(message);
  }
  struct stat info;
  if (::fstat(file->fd_, &info) != 0)
    return invalid_argument(cat(path, ": cannot be examined: ", std::strerror(errno)));
  if (!S_ISREG(info.st_mode))
    return invalid_argument(cat(path, ": expected a regular file, got a ",
                                S_ISDIR(info.st_mode) ? "directory" : "device, pipe or socket"));
  file->size_ = info.st_size;
  file->modified_ns_ = modification_ns(info);
  if (file->size_ > 0) {
    void* data = ::mmap(nullptr, size_t(file->size_), PROT_READ, MAP_PRIVATE, file->fd_, 0);
    if (data == MAP_FAILED)
      return resource_exhausted(
          cat(path, ": ", file->size_, " bytes cannot be mapped: ", std::strerror(errno)));
    file->data_ = static_cast<const std::byte*>(data);
  }
  return std::shared_ptr<const MappedFile>(file);
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_t(size_));
  if (fd_ >= 0) ::close(fd_);
}

Status MappedFile::read_at(int64_t offset, std::span<std::byte> to) const {
  size_t done = 0;
  while (done < to.size()) {
    const ssize_t got = ::pread(fd_, to.data() + done, to.size() - done, offset + off_t(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return data_loss(cat(path_, ": cannot be read at byte ", offset + int64_t(done), ": ",
                           std::strerror(errno)));
    if (got == 0)
      return data_loss(cat(path_, ": ends at byte ", offset + int64_t(done), ", expected ",
                           to.size() - done, " bytes more"));
    done += size_t(got);
  }
  return ok_status();
}

Status MappedFile::check_unchanged() const {
  struct stat info;
  if (::fstat(fd_, &info) != 0)
    return data_loss(cat(path_, ": cannot be examined: ", std::strerror(errno)));
  if (info.st_size != size_ || modification_ns(info) != modified_ns_)
    return data_loss(cat(path_, ": was changed while it was read (", size_, " bytes at first, ",
                         int64_t(info.st_size), " now)"));
  return ok_status();
}

}  // namespace planish
