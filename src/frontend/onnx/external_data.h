// Weights that an ONNX model keeps in files of their own.
//
// A model file may name any path; only regular files under the model's folder are read. Four layers
// keep it so: the location's text (relative, no "..", no backslash, drive or URL), the kernel's
// resolution (openat2 with RESOLVE_BENEATH and no symbolic links, or a walk with O_NOFOLLOW where
// that call is missing), the opened file's kind (regular, one hard link, not the model itself), and
// the byte range (inside the file, as long as the tensor). Files are read, not mapped: one that
// shrinks gives an error, not a signal.
#pragma once
#include <map>
#include <string>
#include <string_view>

#include "base/limits.h"
#include "base/status.h"
#include "frontend/onnx/wire.h"

namespace planish::frontend::onnx {

class ExternalData {
 public:
  // `base_folder` empty: every request is refused. `model_path` is refused as data when not empty.
  ExternalData(std::string base_folder, std::string model_path, const Limits& limits);
  ~ExternalData();
  ExternalData(const ExternalData&) = delete;
  ExternalData& operator=(const ExternalData&) = delete;

  // What a tensor's external_data entries ask for, checked against the tensor's size and the file.
  struct Range {
    int descriptor;
    std::string location;
    int64_t offset;
    int64_t bytes;
  };
  Result<Range> locate(const std::vector<StringPair>& entries, int64_t tensor_bytes);
  Status read(const Range& range, void* to) const;

 private:
  struct File {
    int descriptor;
    int64_t bytes;
    std::string sha1;  // of the whole content; empty: not computed yet
  };
  Result<File*> open(const std::string& location);
  Status check_sha1(File& file, std::string_view wanted);

  std::string base_folder_, model_path_;
  Limits limits_;
  int folder_ = -1;
  int64_t bytes_read_ = 0;
  std::map<std::string, File, std::less<>> files_;
};

}  // namespace planish::frontend::onnx
