#include "frontend/onnx/onnx_import.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/build_team.h"
#include "base/large_memory.h"
#include "base/text.h"
#include "frontend/onnx/graph_importer.h"
#include "base/quote.h"

namespace planish::frontend {
namespace {

Result<std::unique_ptr<ir::Graph>> import_bytes(std::string_view bytes, const std::string& path,
                                                const ImportOptions& options,
                                                const std::function<const opdef::OpRegistry&()>& registry) {
  PLANISH_ASSIGN_OR_RETURN(const onnx::ModelDesc model, onnx::read_model(bytes, options.limits));
  onnx::ExternalData external(options.base_folder, path, options.limits);
  PLANISH_ASSIGN_OR_RETURN(std::unique_ptr<ir::Graph> graph,
                           onnx::GraphImporter(model, options, registry(), external).import());
  PLANISH_RETURN_IF_ERROR(ir::verify(*graph));
  return graph;
}

struct Free {
  void operator()(char* p) const { std::free(p); }
};

// The whole file, in pages that go back to the system when the buffer dies.
struct Buffer {
  std::unique_ptr<char[], Free> data;
  size_t size = 0;
};

Result<Buffer> read_file(const std::string& path, const Limits& limits) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor < 0) {
    const std::string why = std::strerror(errno);
    return errno == ENOENT || errno == ENOTDIR ? not_found(why) : invalid_argument(why);
  }
  struct Closer {
    int descriptor;
    ~Closer() { close(descriptor); }
  } closer{descriptor};
  struct stat info = {};
  if (fstat(descriptor, &info) != 0) return invalid_argument(std::strerror(errno));
  if (!S_ISREG(info.st_mode)) return invalid_argument("is not a regular file");
  if (int64_t(info.st_size) > limits.max_file_bytes)
    return resource_exhausted(cat("the file has ", int64_t(info.st_size),
                                  " bytes, more than the limit max_file_bytes (",
                                  limits.max_file_bytes, ")"));
  Buffer buffer;
  buffer.data.reset(static_cast<char*>(allocate_large(size_t(info.st_size))));
  // Pieces by several threads: the buffer's pages are touched for the first time.
  constexpr int64_t kPiece = int64_t(4) << 20;
  const int64_t size = int64_t(info.st_size), pieces = (size + kPiece - 1) / kPiece;
  std::atomic<int> error{0};
  std::atomic<int64_t> end{size};  // where what was read ends: it may shrink meanwhile
  const auto read_pieces = [&](int64_t first, int64_t last, int) {
    for (int64_t at = first * kPiece; at < std::min(last * kPiece, size);) {
      const int64_t wanted = std::min(last * kPiece, size) - at;
      const ssize_t got = pread(descriptor, buffer.data.get() + at, size_t(wanted), at);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) error = errno;
      if (got <= 0) {
        for (int64_t known = end; at < known && !end.compare_exchange_weak(known, at);) {}
        return;
      }
      at += got;
    }
  };
  if (pieces < 4) read_pieces(0, pieces, 0);
  else build_team().parallel_for(pieces, read_pieces, 1);
  if (error) return data_loss(std::strerror(error));
  buffer.size = size_t(end.load());  // of a file that shrank: what is there will not parse
  return buffer;
}

}  // namespace

Result<std::unique_ptr<ir::Graph>> import_onnx(std::span<const std::byte> bytes,
                                               const ImportOptions& options,
                                               const opdef::OpRegistry& registry) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  auto graph = import_bytes(text, "", options, [&]() -> const opdef::OpRegistry& { return registry; });
  if (!graph.ok() && !options.name.empty()) return graph.status().at(options.name);
  return graph;
}

Result<std::unique_ptr<ir::Graph>> import_onnx_file(const std::string& path,
                                                    const ImportOptions& options,
                                                    const opdef::OpRegistry& registry) {
  return import_onnx_file(path, options, [&]() -> const opdef::OpRegistry& { return registry; });
}

Result<std::unique_ptr<ir::Graph>> import_onnx_file(
    const std::string& path, const ImportOptions& options,
    const std::function<const opdef::OpRegistry&()>& registry) {
  ImportOptions filled = options;
  if (filled.name.empty()) filled.name = path;
  if (filled.base_folder.empty()) {
    const std::string folder = std::filesystem::path(path).parent_path().string();
    filled.base_folder = folder.empty() ? "." : folder;
  }
  auto bytes = read_file(path, filled.limits);
  if (!bytes.ok()) return bytes.status().at(filled.name);
  auto graph = import_bytes({bytes->data.get(), bytes->size}, path, filled, registry);
  if (!graph.ok()) return graph.status().at(filled.name);
  return graph;
}

}  // namespace planish::frontend
