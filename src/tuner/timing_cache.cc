#include "tuner/timing_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <vector>

#include "base/atomic_file.h"
#include "base/crc32c.h"
#include "base/mapped_file.h"
#include "base/text.h"

namespace planish::tuner {
namespace {

constexpr std::string_view kHeader = "planish timings 1";
constexpr int64_t kMaxFileBytes = int64_t(256) << 20;
// About 100 bytes each; beyond, the oldest are dropped on save.
constexpr size_t kMaxEntries = size_t(1) << 20;

bool is_time(const Timing& t) {
  return std::isfinite(t.us) && t.us > 0 && std::isfinite(t.spread_us) && t.spread_us >= 0 &&
         t.date >= 0;
}

// Printable, without blanks at the ends, short.
std::string clean_label(std::string_view label) {
  std::string out;
  for (char c : label.substr(0, std::min<size_t>(label.find(" on "), 200)))
    out += c >= ' ' && c <= '~' ? c : '?';
  return out;
}

template <class T>
bool parse_number(std::string_view text, T& value) {
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && at == end;
}

bool parse_hex(std::string_view text, uint64_t& value) {
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value, 16);
  return error == std::errc() && at == end;
}

// The next blank-separated word of `rest`.
std::string_view take_word(std::string_view& rest) {
  const size_t end = std::min(rest.find(' '), rest.size());
  const std::string_view word = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return word;
}

std::string hex8(uint32_t v) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (int shift = 28; shift >= 0; shift -= 4) out += kDigits[(v >> shift) & 15];
  return out;
}

// Holds the lock file of a cache while it lives. Without one (read-only folder, odd file system)
// the worst is that one of two savers' new entries are lost.
class FileLock {
 public:
  explicit FileLock(const std::string& path)
      : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666)) {
    if (fd_ >= 0) (void)::flock(fd_, LOCK_EX);
  }
  ~FileLock() {
    if (fd_ >= 0) ::close(fd_);
  }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int fd_;
};

Result<std::string> read_whole(const std::string& path) {
  PLANISH_ASSIGN_OR_RETURN(auto file, MappedFile::open(path));
  if (file->size() > kMaxFileBytes)
    return resource_exhausted(cat(path, ": ", file->size(), " bytes, at most ", kMaxFileBytes));
  std::string text(size_t(file->size()), '\0');
  PLANISH_RETURN_IF_ERROR(
      file->read_at(0, std::as_writable_bytes(std::span(text.data(), text.size()))));
  return text;
}

}  // namespace

std::string TimingCache::default_path() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache == '/')
    return cat(cache, "/planish/timing.cache");
  if (const char* home = std::getenv("HOME"); home && *home == '/')
    return cat(home, "/.cache/planish/timing.cache");
  return {};
}

std::optional<Timing> TimingCache::find_timing(const std::string& key) const {
  const Hash128 hash = hash128(key);
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(hash);
  ++(found == entries_.end() ? misses_ : hits_);
  if (found == entries_.end()) return std::nullopt;
  return found->second.timing;
}

std::optional<double> TimingCache::find(const std::string& key) const {
  const auto timing = find_timing(key);
  return timing ? std::optional<double>(timing->us) : std::nullopt;
}

void TimingCache::put_timing(const std::string& key, const Timing& timing) {
  if (!is_time(timing)) return;
  const std::lock_guard lock(mutex_);
  entries_[hash128(key)] = {timing, clean_label(key)};
}

void TimingCache::put(const std::string& key, double us, double spread_us) {
  put_timing(key, {us, spread_us, int64_t(std::time(nullptr))});
}

size_t TimingCache::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}
int64_t TimingCache::hits() const {
  const std::lock_guard lock(mutex_);
  return hits_;
}
int64_t TimingCache::misses() const {
  const std::lock_guard lock(mutex_);
  return misses_;
}

// The outcome does not depend on the order in which files are merged.
void TimingCache::merge(const Hash128& key, Entry entry) {
  const auto [at, is_new] = entries_.try_emplace(key, entry);
  if (is_new) return;
  const auto rank = [](const Entry& e) {
    return std::tuple(-e.timing.date, e.timing.us, e.timing.spread_us, e.label);
  };
  if (rank(entry) < rank(at->second)) at->second = std::move(entry);
}

void TimingCache::read_lines(std::string_view text, const std::string& path, const Warn& warn) {
  int64_t damaged = 0, line = 0;
  bool known = false;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view rest = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (++line == 1) {
      known = rest == kHeader;
      if (!known) break;
      continue;
    }
    // checksum key us spread date label...
    const std::string_view checksum = take_word(rest);
    uint64_t crc = 0;
    if (checksum.size() != 8 || !parse_hex(checksum, crc) || crc != crc32c(rest)) {
      ++damaged;
      continue;
    }
    const std::string_view hash = take_word(rest);
    Hash128 key;
    Entry entry;
    if (hash.size() != 32 || !parse_hex(hash.substr(0, 16), key.high) ||
        !parse_hex(hash.substr(16), key.low) || !parse_number(take_word(rest), entry.timing.us) ||
        !parse_number(take_word(rest), entry.timing.spread_us) ||
        !parse_number(take_word(rest), entry.timing.date) || !is_time(entry.timing)) {
      ++damaged;
      continue;
    }
    entry.label = clean_label(rest);
    merge(key, std::move(entry));
  }
  if (!warn) return;
  if (line > 0 && !known) warn(cat(path, ": not one of this version; it is passed over"));
  if (damaged > 0) warn(cat(path, ": ", damaged, " damaged lines passed over"));
}

std::string TimingCache::to_text() const {
  std::vector<std::pair<Hash128, const Entry*>> kept;
  for (const auto& [key, entry] : entries_) kept.emplace_back(key, &entry);
  if (kept.size() > kMaxEntries) {
    std::stable_sort(kept.begin(), kept.end(), [](const auto& a, const auto& b) {
      return a.second->timing.date > b.second->timing.date;
    });
    kept.resize(kMaxEntries);
    std::sort(kept.begin(), kept.end());
  }
  std::string out = cat(kHeader, "\n");
  for (const auto& [key, entry] : kept) {
    const std::string line =
        cat(to_string(key), " ", entry->timing.us, " ", entry->timing.spread_us, " ",
            entry->timing.date, " ", entry->label);
    out += cat(hex8(crc32c(line)), " ", line, "\n");
  }
  return out;
}

Status TimingCache::load(const std::string& path) {
  auto text = read_whole(path);
  if (!text.ok())
    return text.status().code() == Code::kNotFound ? ok_status() : text.status().at("timing cache");
  const std::lock_guard lock(mutex_);
  read_lines(*text, path, warn_);
  return ok_status();
}

Status TimingCache::save(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  const FileLock lock_of_file(cat(path, ".lock"));
  auto text = read_whole(path);
  const std::lock_guard lock(mutex_);
  if (text.ok()) read_lines(*text, path, {});  // load() has warned
  if (Status s = write_file_atomically(path, to_text(), /*flush=*/false); !s.ok()) return s.at("timing cache");
  return ok_status();
}

}  // namespace planish::tuner
