// The bytes of an opened plan file or buffer, and the sections its table names.
//
// What decides anything is copied; weights are viewed in the mapping (or copied when asked). A
// section is hashed by reading it, never through the mapping: a file that shrinks meanwhile gives a
// Status, not a signal.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/mapped_file.h"
#include "base/status.h"
#include "ir/tensor.h"
#include "plan/format.h"
#include "plan/plan_file.h"

namespace planish::plan {

// Either a file or memory.
struct Source {
  std::shared_ptr<const MappedFile> file;
  std::span<const std::byte> memory;  // without file
  std::shared_ptr<const void> owner;  // of memory; null: must not be viewed

  uint64_t size() const { return file ? uint64_t(file->size()) : memory.size(); }
  Status read_at(uint64_t offset, std::span<std::byte> to) const;
};

class Sections {
 public:
  // Checks the table: aligned, in order, apart, behind the metadata, inside the file.
  static Result<Sections> create(Source source, std::vector<SectionEntry> table,
                                 uint64_t metadata_end, const ReadOptions& options);

  size_t count() const { return table_.size(); }
  uint64_t bytes(size_t i) const { return table_[i].bytes; }
  const Hash128& hash(size_t i) const { return table_[i].hash; }
  // Compares every section's hash; loads the copies in copy mode.
  Status check();
  // A tensor over section i, whose size must be the type's.
  Result<ir::Tensor> tensor(size_t i, ir::DataType dtype, std::vector<int64_t> dims);
  Result<std::vector<std::byte>> copy(size_t i) const;

 private:
  Status load_copy(size_t i);
  Status check(size_t i);
  Status wrong_hash(size_t i) const;

  Source source_;
  std::vector<SectionEntry> table_;
  std::vector<std::shared_ptr<const std::byte>> copies_;  // null: not copied
  bool check_hashes_ = true;
  bool copy_all_ = false;
  int threads_ = 1;
};

}  // namespace planish::plan
