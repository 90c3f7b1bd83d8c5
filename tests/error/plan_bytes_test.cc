// Group H, the bytes of plan files: damaged, cut, forged with right hashes, changed while loading.
// Every case ends in a typed error or in a plan that keeps all rules; none may crash, and the
// sanitizer builds run them too.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <random>

#include "base/atomic_file.h"
#include "base/mapped_file.h"
#include "plan/format.h"
#include "plan/plan_file.h"
#include "plan/plan_generated.h"
#include "plan/reseal_testing.h"
#include "plan/sample_testing.h"

namespace planish::plan {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::byte>;

Bytes bytes_of(const Plan& plan) {
  auto bytes = serialize(plan);
  EXPECT_TRUE(bytes.ok()) << bytes.status().to_string();
  return bytes.ok() ? *bytes : Bytes();
}

FileHeader header_of(const Bytes& bytes) {
  FileHeader header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  return header;
}
void set_header(Bytes& bytes, const FileHeader& header) {
  std::memcpy(bytes.data(), &header, sizeof(header));
}
SectionEntry entry_of(const Bytes& bytes, size_t i) {
  SectionEntry entry;
  std::memcpy(&entry, bytes.data() + header_of(bytes).table_offset + i * sizeof(entry),
              sizeof(entry));
  return entry;
}
void set_entry(Bytes& bytes, size_t i, const SectionEntry& entry) {
  std::memcpy(bytes.data() + header_of(bytes).table_offset + i * sizeof(entry), &entry,
              sizeof(entry));
}

void expect_typed(const Status& status) {
  EXPECT_TRUE(status.code() == Code::kDataLoss || status.code() == Code::kIncompatible ||
              status.code() == Code::kResourceExhausted)
      << status.to_string();
  EXPECT_FALSE(status.message().empty());
}

// A typed error, or a plan that can be written again.
void expect_survives(const Bytes& bytes) {
  auto plan = read_plan(bytes, nullptr);
  if (!plan.ok()) return expect_typed(plan.status());
  EXPECT_TRUE(verify(plan->program).ok());
  EXPECT_TRUE(serialize(*plan).ok());
}

Status refused(const Bytes& bytes) {
  auto plan = read_plan(bytes, nullptr);
  EXPECT_FALSE(plan.ok());
  if (plan.ok()) return ok_status();
  expect_typed(plan.status());
  return plan.status();
}

void expect_refused(const Bytes& bytes) { EXPECT_FALSE(refused(bytes).ok()); }

#define EXPECT_REFUSED(bytes, part)                                                    \
  do {                                                                                 \
    const Status status_ = refused(bytes);                                             \
    EXPECT_NE(status_.message().find(part), std::string::npos) << status_.to_string(); \
  } while (false)

class PlanBytes : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "planish_bytes_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = (folder_ / "model.plan").string();
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_;
  std::string path_;
};

TEST_F(PlanBytes, H130_WrongMagic) {
  Bytes bytes = bytes_of(small_plan());
  bytes[0] = std::byte{'P'};
  EXPECT_REFUSED(bytes, "is no plan");
  EXPECT_REFUSED(Bytes(5000, std::byte{0}), "is no plan");
  EXPECT_REFUSED(Bytes(), "is no plan");
}

TEST_F(PlanBytes, H130_OtherMajorNamesBothVersions) {
  for (uint32_t major : {0u, 2u, 4000000000u}) {
    Bytes bytes = bytes_of(small_plan());
    FileHeader header = header_of(bytes);
    header.major = major;
    header.minor = 7;
    set_header(bytes, header);
    const Status status = refused(bytes);
    EXPECT_EQ(status.code(), Code::kIncompatible) << status.to_string();
    EXPECT_NE(status.message().find(std::to_string(major) + ".7"), std::string::npos);
    EXPECT_NE(status.message().find("expected 1.x"), std::string::npos);
    // The rest of the file may mean anything then: cut right behind the version, too.
    bytes.resize(16);
    EXPECT_EQ(refused(bytes).code(), Code::kIncompatible);
  }
}

// A plan with right hashes whose steps would run beside what they read.
TEST_F(PlanBytes, LaunchesThatDoNotWaitAreRefused) {
  Plan plan = rich_plan();
  plan.program.steps[1].launch.stream = 1;
  plan.program.steps[2].launch.waits = {1};
  Bytes bytes = bytes_of(plan);
  EXPECT_TRUE(read_plan(bytes, nullptr).ok());
  wire::Plan* wire = wire::GetMutablePlan(bytes.data() + header_of(bytes).metadata_offset);
  ASSERT_TRUE(wire->mutable_program()->mutable_steps()->GetMutableObject(1)->mutate_stream(2));
  reseal(bytes);
  EXPECT_TRUE(read_plan(bytes, nullptr).ok());  // another stream is as good
  wire->mutable_program()->mutable_steps()->GetMutableObject(2)->mutable_waits()->Mutate(0, 0);
  reseal(bytes);
  const Status status = refused(bytes);
  EXPECT_EQ(status.code(), Code::kDataLoss) << status.to_string();
  EXPECT_NE(status.message().find("step 2 (cpu.pointwise) waits for step 0"), std::string::npos)
      << status.to_string();
}

TEST_F(PlanBytes, H130_EveryMinorOfTheMajorIsRead) {
  Bytes bytes = bytes_of(small_plan());
  FileHeader header = header_of(bytes);
  header.minor = 99;
  set_header(bytes, header);
  reseal(bytes);
  EXPECT_TRUE(read_plan(bytes, nullptr).ok());
}

TEST_F(PlanBytes, H131_EveryByteFlip) {
  for (const Plan& plan : {small_plan(), rich_plan(), nested_plan()}) {
    const Bytes good = bytes_of(plan);
    size_t harmless = 0;
    for (size_t i = 0; i < good.size(); ++i)
      for (int flip : {0x01, 0x80, 0xff}) {
        Bytes bytes = good;
        bytes[i] ^= std::byte(flip);
        auto back = read_plan(bytes, nullptr);
        if (back.ok()) {
          // Only padding may change, and then nothing has.
          ++harmless;
          ASSERT_EQ(bytes_of(*back), good) << "byte " << i;
        } else {
          expect_typed(back.status());
        }
      }
    EXPECT_LT(harmless, 3 * 64 * (2 + header_of(good).section_count));
  }
}

TEST_F(PlanBytes, H132_EveryPrefix) {
  for (const Plan& plan : {small_plan(), rich_plan(), nested_plan()}) {
    const Bytes good = bytes_of(plan);
    for (size_t n = 0; n < good.size(); ++n) {
      expect_refused(Bytes(good.begin(), good.begin() + long(n)));
      if (HasFailure()) FAIL() << n << " bytes";
    }
    Bytes longer = good;
    longer.push_back(std::byte{0});
    EXPECT_REFUSED(longer, "expected");
  }
}

TEST_F(PlanBytes, H132_EveryPrefixWithRightHashes) {
  const Bytes good = bytes_of(small_plan());
  for (size_t n = 0; n < good.size(); ++n) {
    Bytes bytes(good.begin(), good.begin() + long(n));
    reseal(bytes);
    expect_refused(bytes);
    if (HasFailure()) FAIL() << n << " bytes";
  }
}

TEST_F(PlanBytes, H133_SectionsThatLieWrong) {
  const Bytes good = bytes_of(rich_plan());
  const auto with = [&](size_t i, auto&& change) {
    Bytes bytes = good;
    SectionEntry entry = entry_of(bytes, i);
    change(entry);
    set_entry(bytes, i, entry);
    reseal(bytes);
    return bytes;
  };
  const uint64_t first = entry_of(good, 0).offset;
  EXPECT_REFUSED(with(1, [&](SectionEntry& e) { e.offset = first; }), "begins before");
  EXPECT_REFUSED(with(0, [](SectionEntry& e) { e.offset += 1; }), "not aligned");
  EXPECT_REFUSED(with(0, [](SectionEntry& e) { e.offset = 0; }), "begins before");
  EXPECT_REFUSED(with(0, [](SectionEntry& e) { e.bytes = 0; }), "is empty");
  EXPECT_REFUSED(with(0, [](SectionEntry& e) { e.bytes = ~uint64_t(0); }), "behind the file's end");
  EXPECT_REFUSED(with(0, [](SectionEntry& e) { e.offset = ~uint64_t(0) - 63; }),
                 "behind the file's end");
  EXPECT_REFUSED(with(0, [](SectionEntry& e) { e.bytes = uint64_t(1) << 63; }),
                 "behind the file's end");
  EXPECT_REFUSED(with(0, [](SectionEntry& e) { e.bytes -= 1; }), "expected");
}

TEST_F(PlanBytes, H133_TablesThatLieWrong) {
  const Bytes good = bytes_of(rich_plan());
  const auto with = [&](auto&& change) {
    Bytes bytes = good;
    FileHeader header = header_of(bytes);
    change(header);
    set_header(bytes, header);
    reseal(bytes);
    return bytes;
  };
  const uint64_t hostile[] = {0,
                              1,
                              63,
                              64,
                              95,
                              97,
                              good.size(),
                              good.size() - 1,
                              uint64_t(1) << 31,
                              uint64_t(1) << 32,
                              uint64_t(1) << 63,
                              ~uint64_t(0),
                              ~uint64_t(0) - 63};
  for (uint64_t value : hostile) {
    expect_refused(with([&](FileHeader& h) { h.section_count = value; }));
    expect_refused(with([&](FileHeader& h) { h.table_offset = value; }));
    expect_refused(with([&](FileHeader& h) { h.metadata_offset = value; }));
    expect_refused(with([&](FileHeader& h) { h.metadata_bytes = value; }));
  }
  EXPECT_REFUSED(with([](FileHeader& h) { h.section_count = uint64_t(1) << 32; }), "at most");
}

TEST_F(PlanBytes, H134_EveryByteFlipWithRightHashes) {
  for (const Plan& plan : {small_plan(), rich_plan(), nested_plan()}) {
    const Bytes good = bytes_of(plan);
    const FileHeader header = header_of(good);
    const size_t end = header.metadata_offset + header.metadata_bytes;  // behind: plain numbers
    for (size_t i = 0; i < end; ++i)
      for (int flip : {0x01, 0x80, 0xff}) {
        Bytes bytes = good;
        bytes[i] ^= std::byte(flip);
        reseal(bytes);
        expect_survives(bytes);
        if (HasFailure()) FAIL() << "byte " << i << " ^ " << flip;
      }
  }
}

TEST_F(PlanBytes, H134_HostileNumbersWithRightHashes) {
  const Bytes good = bytes_of(small_plan());
  const FileHeader header = header_of(good);
  const uint64_t numbers[] = {0,
                              1,
                              2,
                              0xff,
                              0x7fff,
                              0x7fffffff,
                              0x80000000,
                              0xffffffff,
                              0xfffffffe,
                              uint64_t(1) << 61,
                              uint64_t(1) << 63,
                              ~uint64_t(0),
                              0x7ff0000000000000,
                              0x7ff8000000000000};
  const size_t end = header.metadata_offset + header.metadata_bytes;
  for (size_t i = 0; i + 8 <= end; i += 2)
    for (uint64_t number : numbers)
      for (size_t width : {4, 8}) {
        Bytes bytes = good;
        std::memcpy(bytes.data() + i, &number, width);
        reseal(bytes);
        expect_survives(bytes);
        if (HasFailure()) FAIL() << "bytes " << i << ", " << width << " wide, " << number;
      }
}

TEST_F(PlanBytes, H134_RandomDamageWithRightHashes) {
  const Bytes good = bytes_of(rich_plan());
  const FileHeader header = header_of(good);
  const size_t end = header.metadata_offset + header.metadata_bytes;
  std::mt19937 random(11);
  for (int round = 0; round < 3000; ++round) {
    Bytes bytes = good;
    for (unsigned k = 0; k < 1 + random() % 6; ++k) {
      const size_t at = sizeof(FileHeader) + random() % (end - sizeof(FileHeader));
      switch (random() % 3) {
        case 0:
          bytes[at] = std::byte(random());
          break;
        case 1: {  // a piece from elsewhere: offsets that lead to other tables
          const size_t from = sizeof(FileHeader) + random() % (end - sizeof(FileHeader));
          const size_t size = std::min({size_t(4) << random() % 4, end - at, end - from});
          std::memmove(bytes.data() + at, good.data() + from, size);
          break;
        }
        default:
          bytes[at] = bytes[at] & std::byte(random() % 8);
      }
    }
    reseal(bytes);
    expect_survives(bytes);
    if (HasFailure()) FAIL() << "round " << round;
  }
}

TEST_F(PlanBytes, H136_WeightsOfAnotherPlan) {
  Plan other = small_plan();
  ir::Tensor weights = other.program.constants[0].tensor.clone();
  weights.set_f64(5, 42);
  other.program.constants[0].tensor = weights;
  const Bytes ours = bytes_of(small_plan()), theirs = bytes_of(other);
  ASSERT_EQ(ours.size(), theirs.size());
  const SectionEntry entry = entry_of(ours, 0);
  Bytes mixed = ours;
  std::memcpy(mixed.data() + entry.offset, theirs.data() + entry.offset, entry.bytes);
  EXPECT_REFUSED(mixed, "section 0");
  // With the table's hash and the header's made right, the metadata still knows its weights.
  set_entry(mixed, 0, entry_of(theirs, 0));
  FileHeader header = header_of(mixed);
  const SectionEntry swapped = entry_of(mixed, 0);
  header.header_hash = header_hash(header, std::span(&swapped, 1));
  set_header(mixed, header);
  EXPECT_REFUSED(mixed, "are not those this plan was saved with");
}

TEST_F(PlanBytes, H142_FileCutWhileLoading) {
  ASSERT_TRUE(write_plan(small_plan(), path_).ok());
  const auto size = fs::file_size(path_);
  auto file = MappedFile::open(path_);  // as read_plan does first
  ASSERT_TRUE(file.ok());
  for (uint64_t left : {size - 1, size / 2, uint64_t(200), uint64_t(0)}) {
    fs::resize_file(path_, left);
    auto plan = read_plan(path_);
    ASSERT_FALSE(plan.ok());
    EXPECT_EQ(plan.status().code(), Code::kDataLoss) << plan.status().to_string();
    EXPECT_EQ((*file)->check_unchanged().code(), Code::kDataLoss);
  }
}

TEST_F(PlanBytes, H142_ReplacedFileLeavesLoadedWeights) {
  ASSERT_TRUE(write_plan(small_plan(), path_).ok());
  auto plan = read_plan(path_);
  ASSERT_TRUE(plan.ok());
  ASSERT_TRUE(write_plan(rich_plan(), path_).ok());
  const ir::Tensor good = small_plan().program.constants[0].tensor;
  EXPECT_TRUE(plan->program.constants[0].tensor.same_bytes(good));
}

TEST_F(PlanBytes, H142_CopiedWeightsSurviveTruncation) {
  ASSERT_TRUE(write_plan(small_plan(), path_).ok());
  auto plan = read_plan(path_, {.copy_weights = true});
  ASSERT_TRUE(plan.ok());
  fs::resize_file(path_, 0);
  const ir::Tensor good = small_plan().program.constants[0].tensor;
  EXPECT_TRUE(plan->program.constants[0].tensor.same_bytes(good));
}

TEST_F(PlanBytes, H145_FullDiskLeavesTheOldPlan) {
  ASSERT_TRUE(write_plan(small_plan(), path_).ok());
  Plan large = small_plan();
  large.report.assign(1 << 20, 'x');
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{1 << 16, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status status = write_plan(large, path_);
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(status.code(), Code::kResourceExhausted) << status.to_string();
  EXPECT_TRUE(read_plan(path_).ok());
}

TEST_F(PlanBytes, H146_UnreadableFiles) {
  EXPECT_EQ(read_plan((folder_ / "none.plan").string()).status().code(), Code::kNotFound);
  EXPECT_EQ(read_plan(folder_.string()).status().code(), Code::kInvalidArgument);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(read_plan(path_).status().code(), Code::kInvalidArgument);
  fs::remove(path_);
  ASSERT_TRUE(write_plan(small_plan(), path_).ok());
  ASSERT_EQ(::chmod(path_.c_str(), 0), 0);
  EXPECT_TRUE(::geteuid() == 0 || !read_plan(path_).ok());
}

TEST_F(PlanBytes, H146_FileLargerThanMemory) {
  // Sparse: a terabyte that takes no disk. Neither its size nor what it declares is allocated.
  ASSERT_TRUE(write_plan(small_plan(), path_).ok());
  std::error_code none;
  fs::resize_file(path_, uint64_t(1) << 40, none);
  if (none) GTEST_SKIP() << "no sparse files here: " << none.message();
  EXPECT_EQ(read_plan(path_).status().code(), Code::kDataLoss);
  Bytes bytes = bytes_of(small_plan());
  for (uint64_t metadata : {uint64_t(1) << 31, uint64_t(1) << 39}) {
    FileHeader header = header_of(bytes);
    header.file_bytes = uint64_t(1) << 40;
    header.metadata_bytes = metadata;
    const SectionEntry entry = entry_of(bytes, 0);
    header.header_hash = header_hash(header, std::span(&entry, 1));
    set_header(bytes, header);
    ASSERT_TRUE(write_file_atomically(path_, bytes).ok());
    fs::resize_file(path_, uint64_t(1) << 40);
    const Status status = read_plan(path_).status();
    EXPECT_EQ(status.code(), Code::kResourceExhausted) << status.to_string();
    EXPECT_NE(status.message().find("max_metadata_bytes"), std::string::npos);
  }
}

}  // namespace
}  // namespace planish::plan
