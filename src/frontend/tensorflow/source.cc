#include "frontend/tensorflow/source.h"

#include <charconv>

#include "base/quote.h"
#include "base/text.h"

namespace planish::frontend::tensorflow {
namespace {

// Inside functions an output is named by its argument and the place in it. Operators with more than
// one output argument, each one tensor; of all others, the place is the port.
struct OutputNames {
  std::string_view op;
  std::vector<std::string_view> names;
};
const std::vector<OutputNames>& output_names() {
  static const std::vector<OutputNames> kNames = {
      {"BatchNormWithGlobalNormalization", {"result"}},
      {"BlockLSTM", {"i", "cs", "f", "o", "ci", "co", "h"}},
      {"BlockLSTMV2", {"i", "cs", "f", "o", "ci", "co", "h"}},
      {"CombinedNonMaxSuppression",
       {"nmsed_boxes", "nmsed_scores", "nmsed_classes", "valid_detections"}},
      {"CTCGreedyDecoder", {"decoded_indices", "decoded_values", "decoded_shape", "log_probability"}},
      {"CudnnRNN", {"output", "output_h", "output_c", "reserve_space"}},
      {"CudnnRNNV2", {"output", "output_h", "output_c", "reserve_space", "host_reserved"}},
      {"CudnnRNNV3", {"output", "output_h", "output_c", "reserve_space", "host_reserved"}},
      {"DecodeWav", {"audio", "sample_rate"}},
      {"FusedBatchNorm",
       {"y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2"}},
      {"FusedBatchNormV2",
       {"y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2"}},
      {"FusedBatchNormV3",
       {"y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2",
        "reserve_space_3"}},
      {"GRUBlockCell", {"r", "u", "c", "h"}},
      {"ListDiff", {"out", "idx"}},
      {"LSTMBlockCell", {"i", "cs", "f", "o", "ci", "co", "h"}},
      {"MaxPoolWithArgmax", {"output", "argmax"}},
      {"Merge", {"output", "value_index"}},
      {"NonMaxSuppressionV4", {"selected_indices", "valid_outputs"}},
      {"NonMaxSuppressionV5", {"selected_indices", "selected_scores", "valid_outputs"}},
      {"QuantizeV2", {"output", "output_min", "output_max"}},
      {"SoftmaxCrossEntropyWithLogits", {"loss", "backprop"}},
      {"SparseSoftmaxCrossEntropyWithLogits", {"loss", "backprop"}},
      {"Switch", {"output_false", "output_true"}},
      {"TensorArrayV3", {"handle", "flow"}},
      {"TensorListConcat", {"tensor", "lengths"}},
      {"TensorListConcatV2", {"tensor", "lengths"}},
      {"TensorListPopBack", {"output_handle", "tensor"}},
      {"TopK", {"values", "indices"}},
      {"TopKV2", {"values", "indices"}},
      {"Unique", {"y", "idx"}},
      {"UniqueV2", {"y", "idx"}},
      {"UniqueWithCounts", {"y", "idx", "count"}},
      {"UniqueWithCountsV2", {"y", "idx", "count"}},
      {"_FusedBatchNormEx",
       {"y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2",
        "reserve_space_3"}},
  };
  return kNames;
}

std::optional<int> parse_int(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > 1 << 20)
    return std::nullopt;
  return value;
}

Status no_such(std::string_view text) {
  return invalid_argument(cat("reads ", quoted(text), ", which nothing produces"));
}

}  // namespace

std::string describe(const NodeDesc& node) {
  return cat("node ", quoted(node.name), " (", node.op.substr(0, 200), ')');
}

int Source::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? -1 : found->second;
}

Result<Ref> Source::parse_in_function(std::string_view text) const {
  const size_t first = text.find(':');
  const std::string_view name = text.substr(0, first);
  if (first == std::string_view::npos) {
    for (const ArgDesc& arg : function_->inputs)
      if (arg.name == name) return Ref{-1, 0, arg.name, false};
    return no_such(text);
  }
  const int node = find(name);
  const size_t second = text.find(':', first + 1);
  if (node < 0) {
    // An argument that is a list: "arg:1".
    const std::optional<int> port = parse_int(text.substr(first + 1));
    for (const ArgDesc& arg : function_->inputs)
      if (arg.name == name && port) return Ref{-1, *port, arg.name, false};
    return no_such(text);
  }
  const std::string_view output = text.substr(
      first + 1, second == std::string_view::npos ? std::string_view::npos : second - first - 1);
  const std::optional<int> place =
      second == std::string_view::npos ? parse_int(output) : parse_int(text.substr(second + 1));
  if (!place) return no_such(text);
  for (const OutputNames& row : output_names()) {
    if (row.op != this->node(node).op) continue;
    for (size_t i = 0; i < row.names.size(); ++i)
      if (row.names[i] == output) return Ref{node, int(i), {}, false};
    return no_such(text);
  }
  return Ref{node, *place, {}, false};
}

Result<Ref> Source::parse(std::string_view text) const {
  if (!text.empty() && text[0] == '^') {
    const std::string_view name = text.substr(1);
    const int node = find(name);
    if (node < 0 && function_)
      for (const ArgDesc& arg : function_->inputs)
        if (arg.name == name) return Ref{-1, 0, arg.name, true};
    if (node < 0) return no_such(text);
    return Ref{node, 0, {}, true};
  }
  if (function_) return parse_in_function(text);
  const size_t colon = text.rfind(':');
  int port = 0;
  std::string_view name = text;
  if (colon != std::string_view::npos) {
    if (const auto parsed = parse_int(text.substr(colon + 1))) {
      port = *parsed;
      name = text.substr(0, colon);
    }
  }
  const int node = find(name);
  if (node < 0) return no_such(text);
  return Ref{node, port, {}, false};
}

void Source::use(const Ref& ref) {
  if (ref.node < 0 || ref.is_control) return;
  int& count = port_counts_[size_t(ref.node)];
  count = std::max(count, ref.port + 1);
}

Result<Source> Source::create(const std::vector<NodeDesc>& nodes, const FunctionDesc* function) {
  Source out;
  out.nodes_ = &nodes;
  out.function_ = function;
  out.index_.reserve(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i)
    if (!out.index_.emplace(nodes[i].name, int(i)).second)
      return invalid_argument(cat("two nodes are named ", quoted(nodes[i].name)));
  out.inputs_.resize(nodes.size());
  out.port_counts_.assign(nodes.size(), 1);
  for (size_t i = 0; i < nodes.size(); ++i) {
    for (std::string_view input : nodes[i].inputs) {
      auto ref = out.parse(input);
      if (!ref.ok()) return ref.status().at(describe(nodes[i]));
      out.use(*ref);
      out.inputs_[i].push_back(*ref);
    }
  }
  PLANISH_RETURN_IF_ERROR(out.find_frames());
  return out;
}

const Frame* Source::frame_of_exit(int node) const {
  const auto found = frame_of_.find(node);
  if (found == frame_of_.end() || this->node(node).op.find("Exit") == std::string_view::npos)
    return nullptr;
  return &frames_.at(found->second);
}

const Frame* Source::frame_of_enter(int node) const {
  const auto found = frame_of_.find(node);
  return found == frame_of_.end() ? nullptr : &frames_.at(found->second);
}

// A frame is found from its parts: Enter names it; the Merge that reads the Enter, the
// NextIteration that closes the cycle, the Switch and Exit that read the Merge belong with it.
Status Source::find_frames() {
  const auto is = [&](int i, std::string_view op) {
    const std::string_view name = node(i).op;
    return name == op || (name.substr(0, 3) == "Ref" && name.substr(3) == op);
  };
  std::vector<std::vector<int>> readers(nodes_->size());
  bool has_frames = false;
  for (size_t i = 0; i < nodes_->size(); ++i) {
    has_frames = has_frames || is(int(i), "Enter");
    for (const Ref& ref : inputs_[i])
      if (ref.node >= 0 && !ref.is_control) readers[size_t(ref.node)].push_back(int(i));
  }
  if (!has_frames) return ok_status();
  for (size_t i = 0; i < nodes_->size(); ++i) {
    if (!is(int(i), "Enter")) continue;
    const auto refuse = [&](std::string_view what) {
      return invalid_argument(cat(describe(node(int(i))), ": ", what));
    };
    const AttrDesc* name = node(int(i)).attr("frame_name");
    if (!name || name->s.empty()) return refuse("it has no frame_name");
    Frame& frame = frames_[name->s];
    frame_of_[int(i)] = name->s;
    Frame::Variable variable;
    variable.enter = int(i);
    for (int reader : readers[i])
      if (is(reader, "Merge")) variable.merge = reader;
    if (variable.merge < 0) {
      frame.invariants.push_back(int(i));
      continue;
    }
    for (const Ref& ref : inputs_[size_t(variable.merge)])
      if (ref.node >= 0 && is(ref.node, "NextIteration")) variable.next_iteration = ref.node;
    for (int reader : readers[size_t(variable.merge)])
      if (is(reader, "Switch") && inputs_[size_t(reader)].size() == 2 &&
          inputs_[size_t(reader)][0].node == variable.merge && inputs_[size_t(reader)][1].node >= 0 &&
          is(inputs_[size_t(reader)][1].node, "LoopCond"))
        variable.loop_switch = reader;
    if (variable.next_iteration < 0 || variable.loop_switch < 0)
      return refuse("the loop has no NextIteration or no Switch for it");
    const int condition = inputs_[size_t(variable.loop_switch)][1].node;
    if (frame.condition >= 0 && frame.condition != condition)
      return refuse("its frame has two conditions");
    frame.condition = condition;
    for (int reader : readers[size_t(variable.loop_switch)])
      if (is(reader, "Exit")) {
        variable.exit = reader;
        frame_of_[reader] = name->s;
      }
    frame.variables.push_back(variable);
  }
  for (const auto& [name, frame] : frames_)
    if (frame.variables.empty() || frame.condition < 0)
      return invalid_argument(cat("while frame ", quoted(name), " has no variables or no condition"));
  return ok_status();
}

}  // namespace planish::frontend::tensorflow
