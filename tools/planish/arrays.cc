#include "arrays.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "files.h"
#include "npy.h"

namespace planish::cli {
namespace {

constexpr int64_t kMaxTensorFile = int64_t(64) << 30;

Status invalid(std::string message) { return Status(Code::kInvalidArgument, std::move(message)); }

std::string names_of(const std::vector<TensorDesc>& descs) {
  std::vector<std::string> names;
  for (const TensorDesc& desc : descs)
    names.push_back(fmt::format("'{}' {}", desc.name, to_string(desc)));
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

Result<std::vector<NamedTensor>> read_tensors(const std::string& path) {
  auto bytes = read_file(path, kMaxTensorFile);
  if (!bytes.ok()) return bytes.status();
  std::vector<NamedTensor> out;
  if (path.ends_with(".npz")) {
    auto tensors = parse_npz(*bytes);
    if (!tensors.ok()) return tensors.status().at(path);
    return tensors;
  }
  if (path.ends_with(".pb")) {
    auto tensor = read_tensor_proto(bytes->data(), bytes->size());
    if (!tensor.ok()) return tensor.status().at(path);
    out.push_back(std::move(*tensor));
    return out;
  }
  if (!path.ends_with(".npy"))
    return invalid(fmt::format("{}: expected a file that ends in .npy, .npz or .pb", path));
  auto tensor = parse_npy(*bytes);
  if (!tensor.ok()) return tensor.status().at(path);
  out.push_back({"", std::move(*tensor)});
  return out;
}

Result<std::map<std::string, Tensor>> read_inputs(const std::vector<std::string>& texts) {
  std::map<std::string, Tensor> out;
  const auto add = [&](const std::string& name, Tensor tensor) -> Status {
    if (!out.emplace(name, std::move(tensor)).second)
      return invalid(fmt::format("input '{}' is given twice", name));
    return {};
  };
  for (const std::string& text : texts) {
    const NamedFile file = parse_named_file(text);
    auto tensors = read_tensors(file.path);
    if (!tensors.ok()) return tensors.status();
    if (!file.name.empty() && tensors->size() != 1) {
      return invalid(fmt::format("{}: holds {} arrays, expected one for input '{}'", file.path,
                                 tensors->size(), file.name));
    }
    for (NamedTensor& one : *tensors) {
      const std::string& name = file.name.empty() ? one.name : file.name;
      if (const Status status = add(name, std::move(one.tensor)); !status.ok()) return status;
    }
  }
  return out;
}

Result<std::vector<Tensor>> match_inputs(const std::vector<TensorDesc>& inputs,
                                         const std::map<std::string, Tensor>& tensors) {
  std::map<std::string, Tensor> left = tensors;
  // A single nameless array belongs to the single input.
  if (inputs.size() == 1 && left.size() == 1 && !left.count(inputs[0].name)) {
    auto node = left.extract(left.begin());
    if (!node.key().empty() && tensors.begin()->first != "")
      return invalid(fmt::format("there is no input '{}'; inputs: {}", node.key(), names_of(inputs)));
    node.key() = inputs[0].name;
    left.insert(std::move(node));
  }
  std::vector<Tensor> out;
  for (const TensorDesc& input : inputs) {
    const auto found = left.find(input.name);
    if (found == left.end()) {
      return invalid(fmt::format("input '{}' is missing; inputs: {}", input.name, names_of(inputs)));
    }
    if (found->second.dtype() != input.dtype) {
      return invalid(fmt::format("input '{}': got {}, expected {}", input.name,
                                 name_of(found->second.dtype()), name_of(input.dtype)));
    }
    out.push_back(found->second);
    left.erase(found);
  }
  if (!left.empty()) {
    return invalid(fmt::format("there is no input '{}'; inputs: {}", left.begin()->first,
                               names_of(inputs)));
  }
  return out;
}

Result<TestData> read_test_data(const std::string& folder) {
  TestData data;
  for (const auto& [prefix, tensors] :
       {std::pair("input", &data.inputs), std::pair("output", &data.outputs)}) {
    for (int i = 0;; ++i) {
      const std::string path = fmt::format("{}/{}_{}.pb", folder, prefix, i);
      std::error_code error;
      if (!std::filesystem::exists(path, error)) break;
      auto read = read_tensors(path);
      if (!read.ok()) return read.status();
      tensors->push_back(std::move((*read)[0]));
    }
  }
  if (data.inputs.empty() && data.outputs.empty())
    return invalid(fmt::format("{}: holds no input_0.pb and no output_0.pb", folder));
  return data;
}

std::string file_name_for(const std::string& name, std::vector<std::string>& taken) {
  std::string stem;
  for (const char c : name.substr(0, 180)) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = std::isalnum(byte) || byte >= 0x80 || std::string_view("._-+").find(c) !=
                                                                 std::string_view::npos;
    stem += plain ? c : '_';
  }
  if (stem.empty() || stem[0] == '.') stem = "_" + stem;
  const auto lower = [](std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return char(std::tolower(c)); });
    return text;
  };
  std::string candidate = stem;
  for (int k = 1; std::find(taken.begin(), taken.end(), lower(candidate)) != taken.end(); ++k)
    candidate = fmt::format("{}_{}", stem, k);
  taken.push_back(lower(candidate));
  return candidate;
}

Status write_outputs(const std::string& folder, const std::vector<NamedTensor>& tensors,
                     OutputFormat format) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return invalid(fmt::format("{}: cannot make the folder: {}", folder, error.message()));
  std::vector<std::string> taken = {"manifest"};
  nlohmann::ordered_json manifest;
  for (const NamedTensor& one : tensors) {
    const bool is_npy = format == OutputFormat::kNpy;
    const std::string file = file_name_for(one.name, taken) + (is_npy ? ".npy" : ".pb");
    std::string bytes;
    if (is_npy) {
      bytes = to_npy(one.tensor);
    } else {
      auto proto = write_tensor_proto(one.name, one.tensor);
      if (!proto.ok()) return proto.status().at(one.name);
      bytes = std::move(*proto);
    }
    const Status status = write_file((std::filesystem::path(folder) / file).string(), bytes);
    if (!status.ok()) return status;
    manifest[one.name] = {{"file", file},
                          {"dtype", name_of(one.tensor.dtype())},
                          {"shape", one.tensor.dims()}};
  }
  const std::string text =
      manifest.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  return write_file((std::filesystem::path(folder) / "manifest.json").string(), text);
}

}  // namespace planish::cli
