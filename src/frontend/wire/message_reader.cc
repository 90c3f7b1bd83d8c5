#include "frontend/wire/message_reader.h"

#include "base/quote.h"
#include "base/text.h"

namespace planish::frontend::wire {
namespace {

struct Finding {
  Status status;
};

}  // namespace

void fail(Status status) { throw Finding{std::move(status)}; }

void Fields::require(Type wanted) const {
  if (reader_.wire_type() != wanted)
    fail(data_loss(cat("field ", reader_.tag(), " has wire type ", int(reader_.wire_type()),
                       ", expected ", int(wanted))));
}

std::string MessageReader::path() const {
  std::string out;
  for (const auto& [name, index] : path_) {
    if (!out.empty()) out += '.';
    out += name;
    if (index >= 0) out += cat('[', index, ']');
  }
  return out;
}

std::string_view MessageReader::name(std::string_view text) const {
  if (int64_t(text.size()) > limits_.max_name_bytes)
    fail(resource_exhausted(cat("name ", quoted(text), " is longer than the limit max_name_bytes (",
                                limits_.max_name_bytes, ")")));
  if (!is_clean_text(text))
    fail(invalid_argument(cat("name ", quoted(text),
                              " holds a control character or is not valid UTF-8")));
  return text;
}

void MessageReader::count_node() {
  if (++node_count_ > limits_.max_nodes)
    fail(resource_exhausted(
        cat("the model has more nodes than the limit max_nodes (", limits_.max_nodes, ")")));
}

Status guarded(const MessageReader& reader, const std::function<void()>& read) {
  const auto located = [&](const Status& status) {
    const std::string path = reader.path();
    return path.empty() ? status : status.at(path);
  };
  try {
    read();
    return ok_status();
  } catch (const Finding& finding) {
    return located(finding.status);
  } catch (const protozero::exception& e) {
    return located(data_loss(cat("the bytes are not a protobuf message (", e.what(), ")")));
  }
}

}  // namespace planish::frontend::wire
