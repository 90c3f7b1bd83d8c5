#include "files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

namespace planish::cli {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

Status failure(const std::string& path, const char* what) {
  const Code code = errno == ENOENT ? Code::kNotFound
                    : errno == ENOSPC ? Code::kResourceExhausted
                                      : Code::kInvalidArgument;
  return Status(code, fmt::format("{}: {}: {}", path, what, std::strerror(errno)));
}

}  // namespace

Result<std::string> read_file(const std::string& path, int64_t max_bytes) {
  // Without waiting for a writer: a FIFO must not hang us.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return failure(path, "cannot open");
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return failure(path, "cannot look at");
  if (!S_ISREG(info.st_mode))
    return Status(Code::kInvalidArgument, fmt::format("{}: expected a regular file", path));
  if (info.st_size > max_bytes) {
    return Status(Code::kResourceExhausted, fmt::format("{}: {} bytes, expected at most {}", path,
                                                        int64_t(info.st_size), max_bytes));
  }
  std::string bytes(size_t(info.st_size), '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::read(file.get(), bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failure(path, "cannot read");
    if (got == 0) return Status(Code::kDataLoss, fmt::format("{}: the file became shorter", path));
    done += size_t(got);
  }
  return bytes;
}

Status write_file(const std::string& path, std::string_view bytes) {
  if (path == "-") {
    std::fwrite(bytes.data(), 1, bytes.size(), stdout);
    std::fflush(stdout);
    return {};
  }
  std::string temporary = path + ".XXXXXX";
  Descriptor file(::mkstemp(temporary.data()));
  if (file.get() < 0) return failure(path, "cannot write");
  const auto fail = [&](const char* what) {
    const Status status = failure(path, what);
    ::unlink(temporary.c_str());
    return status;
  };
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t put = ::write(file.get(), bytes.data() + done, bytes.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return fail("cannot write");
    done += size_t(put);
  }
  const mode_t mask = ::umask(0);
  ::umask(mask);
  ::fchmod(file.get(), 0666 & ~mask);
  if (::close(file.release()) != 0) return fail("cannot write");
  if (::rename(temporary.c_str(), path.c_str()) != 0) return fail("cannot rename into place");
  return {};
}

Status check_writable(const std::string& path) {
  if (path.empty() || path == "-") return {};
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    return Status(Code::kInvalidArgument, fmt::format("{}: is a folder, expected a file", path));
  const std::string folder = std::filesystem::path(path).parent_path().string();
  if (::access(folder.empty() ? "." : folder.c_str(), W_OK | X_OK) == 0) return {};
  return failure(path, "cannot write");
}

}  // namespace planish::cli
