#include "frontend/onnx/external_data.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <span>

#include "base/text.h"
#include "base/quote.h"
#include "frontend/onnx/sha1.h"

namespace planish::frontend::onnx {
namespace {

constexpr int kOpenFlags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
constexpr size_t kOpenFiles = 128;

Status refused(std::string_view location, std::string_view why) {
  return invalid_argument(cat("external data location ", quoted(location), ' ', why));
}

Status check_text(std::string_view location) {
  if (location.empty()) return invalid_argument("external data has no location");
  if (!is_clean_text(location))
    return refused(location, "holds a control character or is not valid UTF-8");
  if (location.find("_ORT_MEM_ADDR_") != location.npos)
    return refused(location, "is a memory address marker, which a file must not carry");
  if (location.front() == '/') return refused(location, "is absolute, expected a relative path");
  if (location.find('\\') != location.npos || location.find(':') != location.npos)
    return refused(location, "holds '\\' or ':', expected a relative path with '/'");
  for (const std::string& part : split(location, '/')) {
    if (part == "..") return refused(location, "holds '..', which could leave the model's folder");
    if (part.size() > 255) return refused(location, "has a part of more than 255 bytes");
  }
  if (location.size() > 4096) return refused(location, "is longer than 4096 bytes");
  return ok_status();
}

// A plain decimal number, nothing before or behind it.
Result<int64_t> parse_number(std::string_view key, std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || text.front() == '-' || error != std::errc() || end != text.data() + text.size())
    return invalid_argument(cat("external data has ", key, " ", quoted(text),
                                ", expected a decimal number from 0 to 2^63 - 1"));
  return value;
}

// Opens part by part, following no symbolic link: for kernels without openat2.
int open_by_walk(int folder, const std::string& location) {
  int at = dup(folder);
  const std::vector<std::string> parts = split(location, '/');
  for (size_t i = 0; i < parts.size() && at >= 0; ++i) {
    const bool last = i + 1 == parts.size();
    if (!last && (parts[i].empty() || parts[i] == ".")) continue;
    const int next = openat(at, parts[i].c_str(), last ? kOpenFlags : kOpenFlags | O_DIRECTORY);
    const int error = errno;
    close(at);
    errno = error;
    at = next;
  }
  return at;
}

int open_beneath(int folder, const std::string& location) {
  open_how how = {};
  how.flags = uint64_t(kOpenFlags);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const long result = syscall(SYS_openat2, folder, location.c_str(), &how, sizeof how);
  if (result >= 0 || (errno != ENOSYS && errno != EPERM && errno != E2BIG)) return int(result);
  return open_by_walk(folder, location);
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

Status read_fully(int descriptor, int64_t offset, std::span<std::byte> to,
                  std::string_view location) {
  while (!to.empty()) {
    const ssize_t got = pread(descriptor, to.data(), std::min<size_t>(to.size(), 1 << 30), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return data_loss(cat("external data file ", quoted(location), ": ", std::strerror(errno)));
    if (got == 0)
      return data_loss(cat("external data file ", quoted(location), " ended at byte ", offset,
                           " while ", to.size(), " more were due"));
    to = to.subspan(size_t(got));
    offset += got;
  }
  return ok_status();
}

}  // namespace

ExternalData::ExternalData(std::string base_folder, std::string model_path, const Limits& limits)
    : base_folder_(std::move(base_folder)), model_path_(std::move(model_path)), limits_(limits) {}

ExternalData::~ExternalData() {
  for (auto& [location, file] : files_) close(file.descriptor);
  if (folder_ >= 0) close(folder_);
}

Result<ExternalData::File*> ExternalData::open(const std::string& location) {
  if (auto found = files_.find(location); found != files_.end()) return &found->second;
  if (base_folder_.empty())
    return refused(location, "is relative to the model's folder, but the model came from memory and "
                             "no base folder was given");
  if (folder_ < 0) folder_ = ::open(base_folder_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (folder_ < 0)
    return not_found(cat("folder of external data ", quoted(base_folder_), ": ",
                         std::strerror(errno)));
  const int descriptor = open_beneath(folder_, location);
  if (descriptor < 0) {
    if (errno == ELOOP) return refused(location, "is or passes through a symbolic link");
    if (errno == EXDEV) return refused(location, "leaves the model's folder");
    if (errno == ENOENT || errno == ENOTDIR)
      return not_found(cat("external data file ", quoted(location), " does not exist in ",
                           quoted(base_folder_)));
    return invalid_argument(cat("external data file ", quoted(location), ": ",
                                std::strerror(errno)));
  }
  const auto give_up = [&](std::string_view why) {
    close(descriptor);
    return refused(location, why);
  };
  struct stat info = {}, model = {};
  if (fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) return give_up("is not a regular file");
  if (!model_path_.empty() && stat(model_path_.c_str(), &model) == 0 && same_file(info, model))
    return give_up("is the model file itself");
  if (info.st_nlink > 1) return give_up("has more than one hard link");
  if (files_.size() >= kOpenFiles) {
    for (auto& [old, file] : files_) close(file.descriptor);
    files_.clear();
  }
  return &(files_[location] = File{descriptor, int64_t(info.st_size), {}});
}

Status ExternalData::check_sha1(File& file, std::string_view wanted) {
  if (file.sha1.empty()) {
    Sha1 sha1;
    std::vector<std::byte> buffer(1 << 20);
    for (int64_t at = 0; at < file.bytes;) {
      const auto part = std::span(buffer).first(
          size_t(std::min<int64_t>(int64_t(buffer.size()), file.bytes - at)));
      PLANISH_RETURN_IF_ERROR(read_fully(file.descriptor, at, part, "checksum"));
      sha1.update(part);
      at += int64_t(part.size());
    }
    file.sha1 = sha1.finish();
  }
  std::string lower(wanted);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'F' ? char(c + 32) : c; });
  if (lower != file.sha1)
    return data_loss(cat("external data has checksum ", quoted(wanted), ", but the file's SHA-1 is ",
                         file.sha1));
  return ok_status();
}

Result<ExternalData::Range> ExternalData::locate(const std::vector<StringPair>& entries,
                                                 int64_t tensor_bytes) {
  std::optional<std::string_view> location, checksum;
  std::optional<int64_t> offset, length;
  for (const auto& [key, value] : entries) {
    const bool repeated = (key == "location" && location) || (key == "offset" && offset) ||
                          (key == "length" && length) || (key == "checksum" && checksum);
    if (repeated) return invalid_argument(cat("external data gives ", quoted(key), " twice"));
    if (key == "location") {
      location = value;
    } else if (key == "checksum") {
      checksum = value;
    } else if (key == "offset") {
      PLANISH_ASSIGN_OR_RETURN(offset, parse_number(key, value));
    } else if (key == "length") {
      PLANISH_ASSIGN_OR_RETURN(length, parse_number(key, value));
    } else {
      return invalid_argument(cat("external data has the unknown key ", quoted(key),
                                  ", expected location, offset, length or checksum"));
    }
  }
  PLANISH_RETURN_IF_ERROR(check_text(location.value_or(std::string_view())));
  if (length && *length != tensor_bytes)
    return invalid_argument(cat("external data has length ", *length, ", but the tensor takes ",
                                tensor_bytes, " bytes"));
  PLANISH_ASSIGN_OR_RETURN(File * file, open(std::string(*location)));
  const int64_t start = offset.value_or(0);
  if (start > file->bytes || tensor_bytes > file->bytes - start)
    return data_loss(cat("external data takes bytes ", start, " to ", start, " + ", tensor_bytes,
                         " of ", quoted(*location), ", which has ", file->bytes));
  if (tensor_bytes > limits_.max_external_bytes - bytes_read_)
    return resource_exhausted(cat("external data takes more than the limit max_external_bytes (",
                                  limits_.max_external_bytes, ")"));
  bytes_read_ += tensor_bytes;
  if (checksum) PLANISH_RETURN_IF_ERROR(check_sha1(*file, *checksum).at(quoted(*location)));
  return Range{file->descriptor, std::string(*location), start, tensor_bytes};
}

Status ExternalData::read(const Range& range, void* to) const {
  return read_fully(range.descriptor, range.offset,
                    {static_cast<std::byte*>(to), size_t(range.bytes)}, range.location);
}

}  // namespace planish::frontend::onnx
