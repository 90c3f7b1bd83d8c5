#include "frontend/onnx/onnx_import.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/large_memory.h"
#include "base/text.h"
#include "frontend/onnx/graph_importer.h"
#include "base/quote.h"

namespace planish::frontend {
namespace {

Result<std::unique_ptr<ir::Graph>> import_bytes(std::string_view bytes, const std::string& path,
                                                const ImportOptions& options,
                                                const opdef::OpRegistry& registry) {
  PLANISH_ASSIGN_OR_RETURN(const onnx::ModelDesc model, onnx::read_model(bytes, options.limits));
  onnx::ExternalData external(options.base_folder, path, options.limits);
  PLANISH_ASSIGN_OR_RETURN(std::unique_ptr<ir::Graph> graph,
                           onnx::GraphImporter(model, options, registry, external).import());
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
  while (buffer.size < size_t(info.st_size)) {
    const ssize_t got =
        read(descriptor, buffer.data.get() + buffer.size, size_t(info.st_size) - buffer.size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return data_loss(std::strerror(errno));
    if (got == 0) break;  // it shrank: what is there will not parse
    buffer.size += size_t(got);
  }
  return buffer;
}

}  // namespace

Result<std::unique_ptr<ir::Graph>> import_onnx(std::span<const std::byte> bytes,
                                               const ImportOptions& options,
                                               const opdef::OpRegistry& registry) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  auto graph = import_bytes(text, "", options, registry);
  if (!graph.ok() && !options.name.empty()) return graph.status().at(options.name);
  return graph;
}

Result<std::unique_ptr<ir::Graph>> import_onnx_file(const std::string& path,
                                                    const ImportOptions& options,
                                                    const opdef::OpRegistry& registry) {
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
