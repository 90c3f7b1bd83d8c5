// Group C of the bad inputs: external data that is broken, or that tries to leave the model's folder.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/text.h"
#include "expect_status.h"

namespace planish::tests {
namespace {

namespace fs = std::filesystem;
using Entries = std::vector<std::pair<std::string, std::string>>;

class ExternalData : public testing::Test {
 protected:
  ExternalData() {
    std::string name = (fs::temp_directory_path() / "planish_external_XXXXXX").string();
    root_ = mkdtemp(name.data());
    fs::create_directories(root_ / "model" / "sub");
    write(root_ / "outside.bin", std::string(16, 'o'));
    write(folder() / "good.bin", std::string(16, '\0'));
    write(folder() / "sub" / "good.bin", std::string(16, '\0'));
  }
  ~ExternalData() override { fs::remove_all(root_); }

  fs::path folder() const { return root_ / "model"; }
  static void write(const fs::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
  }
  // A model whose initializer w (f32[4]) lies as `entries` say.
  static ModelText model(const Entries& entries) {
    return model_with(external_tensor("w", kFloat, {4}, entries));
  }
  static ModelText at(const std::string& location) { return model({{"location", location}}); }
  frontend::ImportOptions options() const {
    frontend::ImportOptions made;
    made.base_folder = folder().string();
    return made;
  }
  void refused(const Entries& entries, Code code, const std::vector<std::string>& pieces) const {
    expect_refused(model(entries), code, pieces, options());
  }
  void refused(const std::string& location, const std::string& why) const {
    expect_refused(at(location), Code::kInvalidArgument, {"initializer 'w'", why}, options());
  }

  fs::path root_;
};

TEST_F(ExternalData, good_data_is_read) {
  write(folder() / "good.bin", std::string(8, '\0') + std::string("\0\0\x80\x3f\0\0\0\x40"
                                                                 "\0\0\x40\x40\0\0\x80\x40", 16));
  const auto graph =
      import(model({{"location", "good.bin"}, {"offset", "8"}, {"length", "16"}}), options());
  ASSERT_TRUE(graph.ok()) << graph.status().to_string();
  EXPECT_EQ((*graph)->find("w")->constant->f64_values(), (std::vector<double>{1, 2, 3, 4}));
  EXPECT_TRUE(import(at("./sub//good.bin"), options()).ok());
}

TEST_F(ExternalData, C39_parent) { refused("../outside.bin", "holds '..'"); }
TEST_F(ExternalData, C40_parent_behind_a_folder) { refused("sub/../../outside.bin", "holds '..'"); }
TEST_F(ExternalData, C41_absolute) {
  refused((root_ / "outside.bin").string(), "is absolute");
  refused("/etc/passwd", "is absolute");
}
TEST_F(ExternalData, C42_foreign_paths) {
  for (const char* location : {"..\\outside.bin", "C:\\x", "C:/x", "\\\\host\\share", "file:good.bin",
                               "file:///etc/passwd"})
    refused(location, "expected a relative path");
}
TEST_F(ExternalData, C43_final_symlink) {
  fs::create_symlink(root_ / "outside.bin", folder() / "link.bin");
  refused("link.bin", "symbolic link");
  fs::create_symlink("good.bin", folder() / "inside.bin");
  refused("inside.bin", "symbolic link");
}
TEST_F(ExternalData, C44_symlinked_parent) {
  fs::create_directory_symlink(root_, folder() / "up");
  refused("up/outside.bin", "symbolic link");
}
TEST_F(ExternalData, C45_hard_link) {
  fs::create_hard_link(root_ / "outside.bin", folder() / "hard.bin");
  refused("hard.bin", "more than one hard link");
}
TEST_F(ExternalData, C46_no_regular_file) {
  ASSERT_EQ(mkfifo((folder() / "fifo").c_str(), 0600), 0);
  refused("fifo", "not a regular file");
  refused("sub", "not a regular file");
  const int socket_fd = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = (folder() / "socket").string();
  ASSERT_LT(path.size(), sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  ASSERT_EQ(bind(socket_fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_FALSE(import(at("socket"), options()).ok());
  close(socket_fd);
  frontend::ImportOptions devices;
  devices.base_folder = "/dev";
  expect_refused(at("zero"), Code::kInvalidArgument, {"not a regular file"}, devices);
}
TEST_F(ExternalData, C47_negative_offset) {
  refused({{"location", "good.bin"}, {"offset", "-1"}}, Code::kInvalidArgument, {"offset '-1'"});
}
TEST_F(ExternalData, C48_offset_past_the_end) {
  refused({{"location", "good.bin"}, {"offset", "1073741824"}}, Code::kDataLoss,
          {"1073741824", "which has 16"});
  refused({{"location", "good.bin"}, {"offset", "1"}}, Code::kDataLoss, {"which has 16"});
}
TEST_F(ExternalData, C49_offset_and_length_wrap) {
  refused({{"location", "good.bin"}, {"offset", "9223372036854775800"}, {"length", "16"}},
          Code::kDataLoss, {"which has 16"});
}
TEST_F(ExternalData, C50_length_of_a_petabyte) {
  refused({{"location", "good.bin"}, {"length", "1125899906842624"}}, Code::kInvalidArgument,
          {"length 1125899906842624", "takes 16 bytes"});
}
TEST_F(ExternalData, C51_length_of_another_shape) {
  refused({{"location", "good.bin"}, {"length", "15"}}, Code::kInvalidArgument,
          {"length 15", "takes 16 bytes"});
}
TEST_F(ExternalData, C52_broken_numbers) {
  for (const char* number : {"12abc", " 12", "12 ", "0x10", "", "+1", "1e3", "99999999999999999999"}) {
    refused({{"location", "good.bin"}, {"offset", number}}, Code::kInvalidArgument,
            {"expected a decimal number"});
    refused({{"location", "good.bin"}, {"length", number}}, Code::kInvalidArgument,
            {"expected a decimal number"});
  }
}
TEST_F(ExternalData, C53_keys) {
  refused({{"location", "good.bin"}, {"__class__", "x"}}, Code::kInvalidArgument,
          {"unknown key '__class__'"});
  refused({{"location", "good.bin"}, {"location", "good.bin"}}, Code::kInvalidArgument,
          {"'location' twice"});
  refused({{"offset", "0"}}, Code::kInvalidArgument, {"no location"});
  refused({{"location", ""}}, Code::kInvalidArgument, {"no location"});
}
TEST_F(ExternalData, C54_memory_address_marker) {
  refused({{"location", "*/_ORT_MEM_ADDR_/*"}, {"offset", "4096"}, {"length", "16"}},
          Code::kInvalidArgument, {"memory address marker"});
}
TEST_F(ExternalData, C55_file_too_short_when_read) {
  write(folder() / "short.bin", "abc");
  refused({{"location", "short.bin"}, {"length", "16"}}, Code::kDataLoss, {"which has 3"});
}
TEST_F(ExternalData, C56_no_base_folder) {
  expect_refused(at("good.bin"), Code::kInvalidArgument, {"no base folder was given"});
}
TEST_F(ExternalData, C57_external_data_elsewhere) {
  const Message outside = external_tensor("t", kFloat, {4}, {{"location", "../outside.bin"}});
  ModelText model = relu_model();
  model.graph.nodes = {node("Constant", {}, {"y"}, {attr_tensor("value", outside)}, "c")};
  expect_refused(model, Code::kInvalidArgument, {"'c' (Constant)", "'value'", "holds '..'"},
                 options());
  model = model_with(floats("unused", {1}, {0}));
  const Message values = external_tensor("w", kFloat, {4}, {{"location", "../outside.bin"}});
  model.graph.sparse = {
      Message().message(1, values).message(2, ints("", {4}, {0, 1, 2, 3})).packed_ints(3, {4})};
  expect_refused(model, Code::kInvalidArgument, {"'w'", "values", "holds '..'"}, options());
  GraphText branch;
  branch.initializers = {outside};
  branch.outputs = {value("t", kFloat, {4})};
  model = relu_model();
  model.graph.inputs.push_back(value("c", kBool, {}));
  model.graph.nodes = {node("If", {"c"}, {"y"},
                            {attr_graph("then_branch", branch.message()),
                             attr_graph("else_branch", branch.message())})};
  if (registry().find_onnx("", "If", 21).op)
    expect_refused(model, Code::kInvalidArgument, {"'t'", "holds '..'"}, options());
  model = relu_model();
  FunctionText function;
  function.name = "F";
  function.outputs = {"o"};
  function.nodes = {node("Constant", {}, {"o"}, {attr_tensor("value", outside)})};
  model.functions = {function};
  model.opsets.push_back({"local", 1});
  model.graph.nodes = {node("F", {}, {"y"}, {}, "call", "local")};
  expect_refused(model, Code::kInvalidArgument, {"'call'", "holds '..'"}, options());
}
TEST_F(ExternalData, C58_the_model_itself) {
  const fs::path path = folder() / "self.onnx";
  write(path, at("self.onnx").bytes());
  const auto graph = frontend::import_onnx_file(path.string(), {}, registry());
  EXPECT_THAT(graph.status().message(), testing::HasSubstr("is the model file itself"));
}
TEST_F(ExternalData, C59_checksum) {
  const std::string zeros = "e129f27c5103bc5cc44bcdf0a15e160d445066ff";  // SHA-1 of 16 zero bytes
  EXPECT_TRUE(import(model({{"location", "good.bin"}, {"checksum", zeros}}), options()).ok());
  refused({{"location", "good.bin"}, {"checksum", std::string(40, 'a')}}, Code::kDataLoss,
          {"checksum", zeros});
}
// A neighbour swaps the file, and the folder it lies in, for links to the outside while models are
// read: whatever is met, nothing of the outside comes in. There is one open, and everything is asked of
// the descriptor it gave.
TEST_F(ExternalData, C60_swapped_between_check_and_open) {
  constexpr int kLeast = 300, kMost = 100000;
  const std::string inside(16, '\0');
  write(root_ / "w.bin", std::string(16, 'o'));  // where a swapped folder leads
  write(folder() / "sub" / "w.bin", inside);
  fs::create_symlink(root_ / "outside.bin", folder() / "sub" / "link.bin");
  fs::create_directory_symlink(root_, folder() / "up");
  std::atomic<bool> done{false};
  std::thread neighbour([&] {
    const auto exchange = [](const fs::path& a, const fs::path& b) {
      (void)renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE);
    };
    for (int i = 0; !done; ++i) {
      if (i % 2) exchange(folder() / "sub", folder() / "up");
      else exchange(folder() / "sub" / "w.bin", folder() / "sub" / "link.bin");
      std::this_thread::yield();
    }
  });
  int read = 0, refused = 0;
  for (int i = 0; i < kMost && (i < kLeast || !read || !refused); ++i) {
    const auto graph = import(at("sub/w.bin"), options());
    ++(graph.ok() ? read : refused);
    if (!graph.ok()) {
      EXPECT_TRUE(graph.status().code() == Code::kInvalidArgument ||
                  graph.status().code() == Code::kNotFound)
          << graph.status().to_string();
      continue;
    }
    EXPECT_EQ((*graph)->find("w")->constant->f64_values(), std::vector<double>(4, 0.0));
  }
  done = true;
  neighbour.join();
  EXPECT_GT(read, 0);
  EXPECT_GT(refused, 0);
}
TEST_F(ExternalData, data_inside_and_outside) {
  const Message both =
      external_tensor("w", kFloat, {4}, {{"location", "good.bin"}}).bytes(9, std::string(16, 'a'));
  expect_refused(model_with(both), Code::kInvalidArgument, {"both external data"}, options());
}
TEST_F(ExternalData, limit_of_bytes) {
  frontend::ImportOptions small = options();
  small.limits.max_external_bytes = 15;
  expect_refused(at("good.bin"), Code::kResourceExhausted, {"max_external_bytes (15)"}, small);
}
TEST_F(ExternalData, missing_file) {
  expect_refused(at("none.bin"), Code::kNotFound, {"'none.bin' does not exist"}, options());
}
TEST_F(ExternalData, error_names_the_file) {
  const fs::path path = folder() / "m.onnx";
  write(path, at("none.bin").bytes());
  const auto graph = frontend::import_onnx_file(path.string(), {}, registry());
  EXPECT_THAT(graph.status().message(), testing::StartsWith(path.string() + ": initializer 'w'"));
  const auto missing = frontend::import_onnx_file((folder() / "no.onnx").string(), {}, registry());
  EXPECT_EQ(missing.status().code(), Code::kNotFound);
  EXPECT_FALSE(frontend::import_onnx_file(folder().string(), {}, registry()).ok());
}

}  // namespace
}  // namespace planish::tests
