// Plan files: a Plan as bytes, and back.
//
// The same plan gives the same bytes. Reading trusts nothing: version, sizes, hashes, the
// metadata's structure and the program's rules (plan::verify) are checked before a Plan is handed
// out, and damage ends in a Status: kDataLoss, or kIncompatible for a plan of another major
// version. The format and what it promises: docs/plan_format.md.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "plan/program.h"

namespace planish::plan {

struct Encoded;

// A runtime reads every minor of its major. The minor grows when something is added that older
// runtimes may ignore, the major when they may not.
inline constexpr uint32_t kFormatMajor = 1;
inline constexpr uint32_t kFormatMinor = 2;  // 1: bodies of steps; 2: launches

struct ReadOptions {
  // Weight bytes are hashed (a gigabyte takes about 0.2 s) and compared. Without it, damaged
  // weights go unnoticed; structure is checked either way.
  bool check_weights = true;
  // Weights are copied into memory instead of mapped: the file may then be truncated in place while
  // the plan lives, which otherwise kills a process that touches the lost pages.
  bool copy_weights = false;
  // Sections are hashed by so many threads.
  int threads = 1;
  // Largest metadata taken into memory.
  int64_t max_metadata_bytes = int64_t(1) << 30;
};

// Checks the program's rules first (kInternal names the broken one).
Result<std::vector<std::byte>> serialize(const Plan& plan);
// Whole or not at all: written beside `path`, flushed and renamed.
Status write_plan(const Plan& plan, const std::string& path);

// A plan with the pieces of its file, which are views of it: nothing is copied until somebody asks for
// the bytes in memory. Immutable and thread-safe.
class EncodedPlan {
 public:
  // Checks the program's rules first (kInternal names the broken one).
  static Result<std::shared_ptr<const EncodedPlan>> create(Plan plan);
  ~EncodedPlan();
  const Plan& plan() const { return plan_; }
  uint64_t bytes() const { return bytes_; }
  // Whole or not at all, as write_plan().
  Status write(const std::string& path) const;
  std::vector<std::byte> to_memory() const;

 private:
  explicit EncodedPlan(Plan plan);
  const Plan plan_;
  std::unique_ptr<const Encoded> encoded_;
  uint64_t bytes_ = 0;
};

// Constants of the result view the mapped file (or its copy), which lives as long as one of them.
Result<Plan> read_plan(const std::string& path, const ReadOptions& options = {});
// From memory. With an owner, constants view `bytes` for as long as the owner lives; without, they
// are copied.
Result<Plan> read_plan(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                       const ReadOptions& options = {});

}  // namespace planish::plan
