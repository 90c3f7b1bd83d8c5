// AtomicFile and MappedFile against broken disks, odd paths and files that change underfoot.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/atomic_file.h"
#include "base/mapped_file.h"
#include "base/text.h"

namespace planish {
namespace {

namespace fs = std::filesystem;

class FilesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "planish_files_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  static std::string content(const std::string& path) {
    std::ostringstream out;
    out << std::ifstream(path).rdbuf();
    return out.str();
  }
  size_t file_count() const {
    return size_t(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
  fs::path folder_;
};

TEST_F(FilesTest, WritesAndReplaces) {
  ASSERT_TRUE(write_file_atomically(path("a"), "old").ok());
  EXPECT_EQ(content(path("a")), "old");
  ASSERT_TRUE(write_file_atomically(path("a"), "new and longer").ok());
  EXPECT_EQ(content(path("a")), "new and longer");
  EXPECT_EQ(file_count(), 1u);
}

TEST_F(FilesTest, AbandonedWriteLeavesTheOldFile) {
  ASSERT_TRUE(write_file_atomically(path("a"), "old").ok());
  {
    auto file = AtomicFile::create(path("a"));
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->write("half of").ok());
  }
  EXPECT_EQ(content(path("a")), "old");
  EXPECT_EQ(file_count(), 1u);
}

TEST_F(FilesTest, H145_FullDiskLeavesTheOldFile) {
  ASSERT_TRUE(write_file_atomically(path("a"), "old").ok());
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{1 << 16, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status status = write_file_atomically(path("a"), std::string(1 << 20, 'x'));
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(status.code(), Code::kResourceExhausted) << status.to_string();
  EXPECT_EQ(content(path("a")), "old");
  EXPECT_EQ(file_count(), 1u);
}

TEST_F(FilesTest, H145_KilledWriterLeavesTheOldFile) {
  ASSERT_TRUE(write_file_atomically(path("a"), "old").ok());
  for (int delay_us : {0, 50, 200, 1000, 4000}) {
    const pid_t child = ::fork();
    if (child == 0) {
      const std::string block(1 << 16, 'x');
      for (;;) {
        auto file = AtomicFile::create(path("a"));
        if (!file.ok()) ::_exit(1);
        for (int i = 0; i < 64; ++i) (void)file->write(block);
        ::raise(SIGKILL);  // before commit, whatever the delay below was
      }
    }
    ::usleep(useconds_t(delay_us));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(content(path("a")), "old");
  }
}

TEST_F(FilesTest, LinksStayAndTheirTargetIsReplaced) {
  ASSERT_TRUE(write_file_atomically(path("real"), "old").ok());
  fs::create_symlink(path("real"), path("link"));
  ASSERT_TRUE(write_file_atomically(path("link"), "new").ok());
  EXPECT_TRUE(fs::is_symlink(path("link")));
  EXPECT_EQ(content(path("real")), "new");
}

TEST_F(FilesTest, DevicesAreWrittenAndNeverReplaced) {
  EXPECT_TRUE(write_file_atomically("/dev/null", "bytes").ok());
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  const Status full = write_file_atomically("/dev/full", "bytes");
  EXPECT_EQ(full.code(), Code::kResourceExhausted) << full.to_string();
}

TEST_F(FilesTest, RefusesFoldersAndMissingFolders) {
  EXPECT_EQ(write_file_atomically(folder_.string(), "x").code(), Code::kInvalidArgument);
  EXPECT_EQ(write_file_atomically(path("no/such/file"), "x").code(), Code::kNotFound);
  EXPECT_EQ(write_file_atomically("", "x").code(), Code::kInvalidArgument);
}

TEST_F(FilesTest, MapsAndReads) {
  ASSERT_TRUE(write_file_atomically(path("a"), "0123456789").ok());
  auto file = MappedFile::open(path("a"));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ((*file)->size(), 10);
  EXPECT_EQ((*file)->data()[3], std::byte{'3'});
  std::byte part[4];
  ASSERT_TRUE((*file)->read_at(6, part).ok());
  EXPECT_EQ(part[3], std::byte{'9'});
  EXPECT_EQ((*file)->read_at(7, part).code(), Code::kDataLoss);
  EXPECT_TRUE((*file)->check_unchanged().ok());
}

TEST_F(FilesTest, EmptyFileHasNoBytes) {
  ASSERT_TRUE(write_file_atomically(path("a"), "").ok());
  auto file = MappedFile::open(path("a"));
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE((*file)->data().empty());
}

TEST_F(FilesTest, TruncationIsATypedError) {
  ASSERT_TRUE(write_file_atomically(path("a"), std::string(100000, 'x')).ok());
  auto file = MappedFile::open(path("a"));
  ASSERT_TRUE(file.ok());
  ASSERT_EQ(::truncate(path("a").c_str(), 10), 0);
  std::vector<std::byte> part(5000);
  EXPECT_EQ((*file)->read_at(50000, part).code(), Code::kDataLoss);
  EXPECT_EQ((*file)->check_unchanged().code(), Code::kDataLoss);
}

TEST_F(FilesTest, ReplacementByRenameLeavesTheMappingWhole) {
  ASSERT_TRUE(write_file_atomically(path("a"), std::string(100000, 'x')).ok());
  auto file = MappedFile::open(path("a"));
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(write_file_atomically(path("a"), "y").ok());
  for (std::byte b : (*file)->data()) ASSERT_EQ(b, std::byte{'x'});
  EXPECT_TRUE((*file)->check_unchanged().ok());
}

TEST_F(FilesTest, RefusesWhatIsNoRegularFile) {
  EXPECT_EQ(MappedFile::open(folder_.string()).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(MappedFile::open(path("none")).status().code(), Code::kNotFound);
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(MappedFile::open(path("pipe")).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(MappedFile::open("/dev/zero").status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace planish
