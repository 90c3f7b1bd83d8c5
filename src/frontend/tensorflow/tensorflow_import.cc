#include "frontend/tensorflow/tensorflow_import.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <unordered_set>

#include "base/mapped_file.h"
#include "base/quote.h"
#include "base/text.h"
#include "frontend/tensorflow/checkpoint.h"
#include "frontend/tensorflow/freezer.h"
#include "frontend/tensorflow/graph_importer.h"
#include "frontend/tensorflow/text_format.h"

namespace planish::frontend {
namespace {

namespace fs = std::filesystem;
using namespace tensorflow;

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}
bool exists(const std::string& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

Result<std::string> read_file(const std::string& path, const Limits& limits) {
  auto file = MappedFile::open(path);
  if (!file.ok()) return file.status().at(path);
  if ((*file)->size() > limits.max_file_bytes)
    return resource_exhausted(cat("the file has ", (*file)->size(),
                                  " bytes, more than the limit max_file_bytes (",
                                  limits.max_file_bytes, ")")).at(path);
  std::string out(size_t((*file)->size()), '\0');
  if (Status s = (*file)->read_at(0, std::as_writable_bytes(std::span(out.data(), out.size())));
      !s.ok())
    return s.at(path);
  return out;
}

// What names a model: the file with the graph, and the checkpoint's prefix, either may be empty.
struct Files {
  enum class Kind { kGraph, kMetaGraph, kSavedModel } kind = Kind::kGraph;
  std::string model, checkpoint;
  bool is_text = false;
};

// The newest checkpoint of a folder, from its file "checkpoint": `model_checkpoint_path: "name"`. Only
// a name in the folder itself is taken.
Result<std::string> newest_checkpoint(const std::string& folder, const Limits& limits) {
  const std::string path = folder + "/checkpoint";
  PLANISH_ASSIGN_OR_RETURN(const std::string text, read_file(path, limits));
  const std::string key = "model_checkpoint_path:";
  const size_t found = text.find(key);
  const size_t begin = found == std::string::npos ? found : text.find('"', found);
  const size_t end = begin == std::string::npos ? begin : text.find('"', begin + 1);
  if (end == std::string::npos) return data_loss("names no checkpoint").at(path);
  const std::string name = text.substr(begin + 1, end - begin - 1);
  // Written with the path of the machine that trained: the file's own name is what counts.
  const std::string last = fs::path(name).filename().string();
  if (last.empty() || last == "." || last == "..")
    return data_loss(cat("names the checkpoint ", planish::quoted(name))).at(path);
  return folder + "/" + last;
}

Result<Files> find_files(const std::string& path, const Limits& limits) {
  std::error_code error;
  Files files;
  if (!fs::is_directory(path, error)) {
    if (!fs::exists(path, error)) return not_found("there is no such file or folder").at(path);
    files.model = path;
    const std::string name = fs::path(path).filename().string();
    files.is_text = ends_with(name, ".pbtxt") || ends_with(name, ".txt");
    if (name == "saved_model.pb" || name == "saved_model.pbtxt") {
      files.kind = Files::Kind::kSavedModel;
      const fs::path folder = fs::path(path).parent_path();
      files.checkpoint = (folder / "variables" / "variables").string();
    } else if (ends_with(name, ".meta")) {
      files.kind = Files::Kind::kMetaGraph;
      files.checkpoint = path.substr(0, path.size() - 5);
    } else if (ends_with(name, ".index")) {
      files.kind = Files::Kind::kMetaGraph;
      files.checkpoint = path.substr(0, path.size() - 6);
      files.model = files.checkpoint + ".meta";
    }
    return files;
  }
  for (const char* name : {"/saved_model.pb", "/saved_model.pbtxt"}) {
    if (!exists(path + name)) continue;
    files.kind = Files::Kind::kSavedModel;
    files.model = path + name;
    files.checkpoint = path + "/variables/variables";
    files.is_text = ends_with(name, ".pbtxt");
    return files;
  }
  if (exists(path + "/checkpoint")) {
    files.kind = Files::Kind::kMetaGraph;
    PLANISH_ASSIGN_OR_RETURN(files.checkpoint, newest_checkpoint(path, limits));
    files.model = files.checkpoint + ".meta";
    return files;
  }
  if (exists(path + "/saved_model.cpb"))
    return unsupported("saved_model.cpb (a model in chunks) is not read; save it again with "
                       "experimental_image_format=False").at(path);
  return not_found("the folder has neither a saved_model.pb nor a checkpoint").at(path);
}

// Prefix of the checkpoint that a user names.
Result<std::string> checkpoint_prefix(const std::string& path, const Limits& limits) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    if (exists(path + "/variables.index")) return path + "/variables";
    return newest_checkpoint(path, limits);
  }
  return ends_with(path, ".index") ? path.substr(0, path.size() - 6) : path;
}

// Says what the checkpoint holds, once it is seen to be one.
Status no_graph(const Files& files, const Limits& limits) {
  PLANISH_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::open(files.checkpoint, limits));
  std::vector<std::string> variables;
  for (const std::string& key : checkpoint.keys()) {
    const auto type = checkpoint.type(key);
    if (!type.ok() && type.status().code() == Code::kUnsupported) continue;  // text
    PLANISH_RETURN_IF_ERROR(type.status());
    variables.push_back(cat("\n  ", key, ": ", ir::to_string(*type)));
  }
  const size_t shown = std::min<size_t>(variables.size(), 10);
  std::string list;
  for (size_t i = 0; i < shown; ++i) list += variables[i];
  if (shown < variables.size()) list += "\n  ...";
  return not_found(cat("a checkpoint holds values and no graph: ", planish::quoted(files.model),
                       " is not there; give a SavedModel, the checkpoint with its .meta file, or a "
                       "graph and --checkpoint. It has ", variables.size(), " variables:", list));
}

// Names with two underscores in front are TensorFlow's own: "__saved_model_init_op".
bool is_internal(std::string_view signature) { return signature.substr(0, 2) == "__"; }

template <class Map>
std::string keys_of(const Map& map) {
  std::string out;
  for (const auto& [key, value] : map)
    if (!is_internal(key)) out += cat(out.empty() ? "" : ", ", planish::quoted(key));
  return out.empty() ? "none" : out;
}

std::string tags_of(const MetaGraphDesc& graph) {
  std::vector<std::string> tags;
  for (std::string_view tag : graph.tags) tags.push_back(planish::quoted(tag));
  return "[" + join(tags) + "]";
}

Result<const MetaGraphDesc*> choose_meta_graph(const SavedModelDesc& model,
                                               const std::vector<std::string>& tags) {
  if (model.meta_graphs.empty()) return invalid_argument("the SavedModel has no meta graph");
  if (tags.empty() && model.meta_graphs.size() == 1) return &model.meta_graphs[0];
  std::vector<std::string> wanted = tags.empty() ? std::vector<std::string>{"serve"} : tags;
  std::sort(wanted.begin(), wanted.end());
  std::string there;
  for (const MetaGraphDesc& graph : model.meta_graphs) {
    std::vector<std::string> has(graph.tags.begin(), graph.tags.end());
    std::sort(has.begin(), has.end());
    if (has == wanted) return &graph;
    there += cat(there.empty() ? "" : ", ", tags_of(graph));
  }
  return not_found(cat("no meta graph has the tags [", join(wanted), "]; there are ", there));
}

Result<const SignatureDesc*> choose_signature(const MetaGraphDesc& graph,
                                              const std::string& name) {
  const auto& all = graph.signatures;
  const auto found = all.find(name.empty() ? std::string_view("serving_default") : name);
  if (found != all.end()) return &found->second;
  if (!name.empty())
    return not_found(cat("no signature is named ", planish::quoted(name), "; there are ", keys_of(all)));
  const SignatureDesc* only = nullptr;
  int count = 0;
  for (const auto& [key, signature] : all) {
    if (is_internal(key)) continue;
    only = &signature;
    ++count;
  }
  if (count == 1) return only;
  if (count == 0) return static_cast<const SignatureDesc*>(nullptr);
  return not_found(cat("the model has several signatures and none is serving_default; choose one "
                       "of ", keys_of(all)));
}

Result<GraphDesc> read_graph_def(std::string_view bytes, const TensorflowOptions& options) {
  PLANISH_ASSIGN_OR_RETURN(GraphDesc graph, read_graph(bytes, options.limits));
  if (graph.nodes.empty()) return data_loss("the file is no GraphDef: it has no nodes");
  if (!options.signature.empty()) return invalid_argument("a GraphDef has no signatures");
  return graph;
}

Result<std::unique_ptr<ir::Graph>> import_graph(const GraphDesc& graph,
                                                const SignatureDesc* signature,
                                                const TensorflowOptions& options,
                                                const opdef::OpRegistry& registry,
                                                const Checkpoint* checkpoint) {
  GraphImporter importer(graph, signature, options, registry, checkpoint);
  PLANISH_ASSIGN_OR_RETURN(std::unique_ptr<ir::Graph> out, importer.import());
  PLANISH_RETURN_IF_ERROR(ir::verify(*out));
  return out;
}

// Opens the files and calls `use` with the graph, its signature and its checkpoint, both may be null.
template <class Use>
auto with_graph(const Files& files, const TensorflowOptions& options, const Use& use)
    -> decltype(use(GraphDesc(), nullptr, nullptr)) {
  if (files.kind == Files::Kind::kMetaGraph && !exists(files.model))
    return no_graph(files, options.limits);
  PLANISH_ASSIGN_OR_RETURN(std::string bytes, read_file(files.model, options.limits));
  if (files.is_text) {
    const TextMessage message = files.kind == Files::Kind::kSavedModel ? TextMessage::kSavedModel
                                                                       : TextMessage::kGraphDef;
    PLANISH_ASSIGN_OR_RETURN(bytes, binary_of_text(bytes, message, options.limits));
  }
  std::optional<Checkpoint> checkpoint;
  if (!options.checkpoint.empty()) {
    PLANISH_ASSIGN_OR_RETURN(const std::string prefix,
                             checkpoint_prefix(options.checkpoint, options.limits));
    PLANISH_ASSIGN_OR_RETURN(checkpoint, Checkpoint::open(prefix, options.limits));
  } else if (!files.checkpoint.empty() && exists(files.checkpoint + ".index")) {
    PLANISH_ASSIGN_OR_RETURN(checkpoint, Checkpoint::open(files.checkpoint, options.limits));
  }
  if (!checkpoint && files.kind == Files::Kind::kMetaGraph && exists(files.checkpoint))
    return unsupported(cat(planish::quoted(files.checkpoint), " is a checkpoint of the first format (V1), "
                           "which is not read; save it again with Saver(write_version=SaverDef.V2)"));
  const auto run = [&](const GraphDesc& graph, const SignatureDesc* signature) {
    return use(graph, signature, checkpoint ? &*checkpoint : nullptr);
  };
  // Outputs that are asked for by node need no signature.
  const bool by_node = !options.outputs.empty() && options.signature.empty();
  switch (files.kind) {
    case Files::Kind::kGraph: {
      PLANISH_ASSIGN_OR_RETURN(const GraphDesc graph, read_graph_def(bytes, options));
      return run(graph, nullptr);
    }
    case Files::Kind::kMetaGraph: {
      PLANISH_ASSIGN_OR_RETURN(const MetaGraphDesc meta, read_meta_graph(bytes, options.limits));
      PLANISH_ASSIGN_OR_RETURN(const SignatureDesc* signature,
                               choose_signature(meta, options.signature));
      return run(meta.graph, by_node ? nullptr : signature);
    }
    case Files::Kind::kSavedModel: break;
  }
  PLANISH_ASSIGN_OR_RETURN(const SavedModelDesc model, read_saved_model(bytes, options.limits));
  PLANISH_ASSIGN_OR_RETURN(const MetaGraphDesc* meta, choose_meta_graph(model, options.tags));
  PLANISH_ASSIGN_OR_RETURN(const SignatureDesc* signature,
                           choose_signature(*meta, options.signature));
  if (!signature && !by_node)
    return invalid_argument("the SavedModel has no signature: save it with one, or name outputs");
  return run(meta->graph, by_node ? nullptr : signature);
}

// Every node that gives something nobody reads, when nothing else says what is wanted.
std::vector<std::string> last_nodes(const GraphDesc& graph) {
  std::unordered_set<std::string> read;
  for (const NodeDesc& node : graph.nodes)
    for (std::string_view input : node.inputs)
      if (input.substr(0, 1) != "^") read.insert(std::string(input.substr(0, input.find(':'))));
  std::vector<std::string> out;
  for (const NodeDesc& node : graph.nodes)
    if (!read.count(std::string(node.name)) && !is_effect(node.op)) out.emplace_back(node.name);
  return out;
}

Result<FrozenGraph> freeze(const GraphDesc& graph, const SignatureDesc* signature,
                           const TensorflowOptions& options, const Checkpoint* checkpoint) {
  FrozenGraph out;
  std::vector<std::string> names = options.outputs;
  std::vector<std::pair<std::string, std::string>> tensors;
  if (names.empty() && signature) {
    for (const auto& [name, info] : signature->outputs) {
      names.emplace_back(name);
      tensors.push_back({std::string(info.name), ""});
    }
  } else {
    if (names.empty()) names = last_nodes(graph);
    for (const std::string& name : names) tensors.push_back({name, ""});
  }
  Freezer freezer(graph, options.limits, checkpoint);
  PLANISH_ASSIGN_OR_RETURN(out.graph_def, freezer.freeze(tensors));
  for (size_t i = 0; i < names.size(); ++i) out.outputs[names[i]] = tensors[i].second;
  if (signature)
    for (const auto& [name, info] : signature->inputs) out.inputs[std::string(name)] = info.name;
  for (const std::string& name : options.inputs) out.inputs[name] = name;
  return out;
}

}  // namespace

bool is_tensorflow_path(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return true;
  const std::string name = fs::path(path).filename().string();
  for (const char* end : {".pbtxt", ".meta", ".index"})
    if (ends_with(name, end)) return true;
  if (name == "saved_model.pb") return true;
  // A GraphDef begins with its first node, an ONNX model with its version.
  if (!ends_with(name, ".pb") && !ends_with(name, ".graphdef")) return false;
  std::ifstream file(path, std::ios::binary);
  return file.get() == 0x0a;
}

Result<std::unique_ptr<ir::Graph>> import_tensorflow(const std::string& path,
                                                     const TensorflowOptions& options,
                                                     const opdef::OpRegistry& registry) {
  PLANISH_ASSIGN_OR_RETURN(const Files files, find_files(path, options.limits));
  auto graph = with_graph(files, options,
                          [&](const GraphDesc& desc, const SignatureDesc* signature,
                              const Checkpoint* checkpoint) {
                            return import_graph(desc, signature, options, registry, checkpoint);
                          });
  if (!graph.ok()) return graph.status().at(files.model);
  return graph;
}

Result<std::unique_ptr<ir::Graph>> import_graph_def(std::string_view bytes,
                                                    const TensorflowOptions& options,
                                                    const opdef::OpRegistry& registry) {
  PLANISH_ASSIGN_OR_RETURN(const GraphDesc graph, read_graph_def(bytes, options));
  return import_graph(graph, nullptr, options, registry, nullptr);
}

Result<FrozenGraph> freeze_tensorflow(const std::string& path, const TensorflowOptions& options) {
  PLANISH_ASSIGN_OR_RETURN(const Files files, find_files(path, options.limits));
  auto out = with_graph(files, options,
                        [&](const GraphDesc& graph, const SignatureDesc* signature,
                            const Checkpoint* checkpoint) -> Result<FrozenGraph> {
                          return freeze(graph, signature, options, checkpoint);
                        });
  if (!out.ok()) return out.status().at(files.model);
  return out;
}

Result<std::vector<CheckpointEntry>> read_checkpoint(const std::string& path,
                                                     const Limits& limits) {
  PLANISH_ASSIGN_OR_RETURN(const std::string prefix, checkpoint_prefix(path, limits));
  PLANISH_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::open(prefix, limits));
  std::vector<CheckpointEntry> out;
  for (const std::string& key : checkpoint.keys()) {
    auto tensor = checkpoint.read(key);
    if (!tensor.ok() && tensor.status().code() == Code::kUnsupported) continue;  // text
    if (!tensor.ok()) return tensor.status();
    out.push_back({key, tensor->type()});
  }
  return out;
}

}  // namespace planish::frontend
