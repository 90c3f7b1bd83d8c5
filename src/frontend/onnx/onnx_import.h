// Reads ONNX models into IR.
//
// import_onnx() takes any bytes and ends in a graph or in a Status that names file, node, what was
// got and what was expected; it runs nothing, allocates within Limits, and opens no file outside of
// the model's folder. Everything is copied out of the given bytes. Node and value names survive:
// values keep theirs, every IR node lists the ONNX nodes it came from.
//
// Named dims (dim_param) become symbols of that name; an unknown dim without a name becomes a symbol
// named input_axis. Initializers are constants even when they are also listed as inputs. Model-local
// functions are inlined, bodies of If, Loop and Scan become graph attributes whose last inputs are
// the captured values. Thread-safe: no state is shared between calls.
#pragma once
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/status.h"
#include "ir/graph.h"
#include "opdef/op_def.h"

namespace planish::frontend {

struct ImportOptions {
  Limits limits;
  // Stands in messages; import_onnx_file fills it with the path when empty.
  std::string name;
  // Where external data lies; empty: external data is refused (import_onnx_file: the file's folder).
  std::string base_folder;
  // Shapes given to inputs by name. They bind symbolic dims, everywhere these occur; a dim that the
  // model fixes must agree.
  std::map<std::string, std::vector<int64_t>> shapes;
  // Values to be graph outputs besides the model's own, by name.
  std::vector<std::string> extra_outputs;
};

Result<std::unique_ptr<ir::Graph>> import_onnx(std::span<const std::byte> bytes,
                                               const ImportOptions& options,
                                               const opdef::OpRegistry& registry);
// `registry` is asked for when the file is in memory: one may have to wait for a GPU's driver to start.
Result<std::unique_ptr<ir::Graph>> import_onnx_file(
    const std::string& path, const ImportOptions& options,
    const std::function<const opdef::OpRegistry&()>& registry);
Result<std::unique_ptr<ir::Graph>> import_onnx_file(const std::string& path,
                                                    const ImportOptions& options,
                                                    const opdef::OpRegistry& registry);

// One serialized TensorProto (an input_0.pb of a test_data_set). Refuses external data.
struct NamedTensor {
  std::string name;
  ir::Tensor tensor;
};
Result<NamedTensor> read_tensor_proto(std::span<const std::byte> bytes,
                                      const Limits& limits = kDefaultLimits);
std::string write_tensor_proto(const std::string& name, const ir::Tensor& tensor);

// The newest IR version and the span of ai.onnx opsets that the importer takes.
inline constexpr int64_t kNewestIrVersion = 14;
inline constexpr int64_t kOldestIrVersion = 3;
inline constexpr int64_t kNewestOpset = 28;
inline constexpr int64_t kOldestOpset = 7;

}  // namespace planish::frontend
