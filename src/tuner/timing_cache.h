// TimingCache: what was measured once is not measured again.
//
// An entry's key is the content of everything that decides a time (kernel, its version, tactic,
// problem with its shapes, device, instruction set, threads: see Tuner), kept as its hash. So an
// entry is never out of date, only unused, and caches of several models and machines mix freely. A
// tampered or damaged cache can only cost time: it chooses among tactics that are all right.
//
// The file is text, one line an entry with a checksum of its own; lines that do not read are passed
// over with one warning. save() merges with what other processes have saved meanwhile, under a lock
// file, and replaces by rename. All members are thread-safe.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/status.h"
#include "tuner/tuner.h"

namespace planish::tuner {

struct Timing {
  double us = 0;         // median
  double spread_us = 0;  // half the interquartile range
  int64_t date = 0;      // seconds since 1970, when it was measured
  friend bool operator==(const Timing&, const Timing&) = default;
};

class TimingCache : public TimeStore {
 public:
  // Told about damaged entries and files; nothing is fatal.
  using Warn = std::function<void(const std::string&)>;
  explicit TimingCache(Warn warn = {}) : warn_(std::move(warn)) {}

  // $XDG_CACHE_HOME/planish/timing.cache, else ~/.cache/planish/timing.cache; empty when neither
  // variable holds an absolute path.
  static std::string default_path();

  std::optional<double> find(const std::string& key) const override;
  void put(const std::string& key, double us, double spread_us) override;

  std::optional<Timing> find_timing(const std::string& key) const;
  // A time that is no time (NaN, zero, negative, infinite) is not kept.
  void put_timing(const std::string& key, const Timing& timing);
  size_t size() const;
  // Look-ups answered and not, since construction.
  int64_t hits() const;
  int64_t misses() const;

  // Adds the file's entries; the newer of two wins, then the smaller time. A missing file is an
  // empty one. Fails only when the file is there and cannot be opened.
  Status load(const std::string& path);
  // Merges with the file and writes it, making its folder if need be.
  Status save(const std::string& path);

 private:
  struct Entry {
    Timing timing;
    std::string label;  // the beginning of the key, for people who read the file
  };
  void merge(const Hash128& key, Entry entry);
  void read_lines(std::string_view text, const std::string& path, const Warn& warn);
  std::string to_text() const;

  Warn warn_;
  mutable std::mutex mutex_;
  std::map<Hash128, Entry> entries_;
  mutable int64_t hits_ = 0, misses_ = 0;
};

}  // namespace planish::tuner
