// Tensors in files: what --input names and what --output-dir holds.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "planish/engine.h"
#include "planish/status.h"
#include "planish/types.h"

namespace planish::cli {

// One file: .npz gives its members by name; .npy and .pb one tensor, named by what stands in the
// .pb or, for .npy, not at all.
Result<std::vector<NamedTensor>> read_tensors(const std::string& path);

// `texts`: NAME=FILE, FILE.npz, or FILE alone for a network of one input. In the engine's input
// order when all are there; errors name what is missing, superfluous or of another type.
Result<std::map<std::string, Tensor>> read_inputs(const std::vector<std::string>& texts);
Result<std::vector<Tensor>> match_inputs(const std::vector<TensorDesc>& inputs,
                                         const std::map<std::string, Tensor>& tensors);

// A test_data_set_* folder: input_0.pb ... and output_0.pb ..., in order.
struct TestData {
  std::vector<NamedTensor> inputs, outputs;
};
Result<TestData> read_test_data(const std::string& folder);

enum class OutputFormat { kNpy, kPb };
// DIR/NAME.npy (or .pb) per tensor and DIR/manifest.json, which maps names to files. Characters that
// file systems dislike become '_'; a name that is taken gets a number.
Status write_outputs(const std::string& folder, const std::vector<NamedTensor>& tensors,
                     OutputFormat format);
// The file name for a tensor's name, without its ending; `taken` holds earlier ones in lower case.
std::string file_name_for(const std::string& name, std::vector<std::string>& taken);

}  // namespace planish::cli
