// What the readers of protobuf files share: the fields of a message with checked types, where in the
// file they are for messages, and how broken bytes become a Status. protozero reports those by
// exceptions; readers report their own findings the same way, by fail(), and guarded() ends both.
#pragma once
#include <cstdint>
#include <exception>
#include <functional>
#include <protozero/pbf_reader.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "base/status.h"

namespace planish::frontend::wire {

// Throws the status; only under guarded().
[[noreturn]] void fail(Status status);

// One message's fields, in the file's order. Views are into the given bytes.
class Fields {
 public:
  using Type = protozero::pbf_wire_type;
  explicit Fields(std::string_view bytes) : reader_(bytes.data(), bytes.size()) {}
  bool next() { return reader_.next(); }
  uint32_t tag() const { return reader_.tag(); }
  void skip() { reader_.skip(); }
  std::string_view bytes() {
    require(Type::length_delimited);
    const protozero::data_view v = reader_.get_view();
    return {v.data(), v.size()};
  }
  int64_t integer() {
    require(Type::varint);
    return reader_.get_int64();
  }
  float float32() {
    require(Type::fixed32);
    return reader_.get_float();
  }
  uint32_t fixed32() {
    require(Type::fixed32);
    return reader_.get_fixed32();
  }
  // A repeated scalar, packed or not, as a stretch in packed form.
  std::string_view scalars(Type unpacked) {
    if (reader_.wire_type() == Type::length_delimited) return bytes();
    require(unpacked);
    const char* begin = reader_.data().data();
    reader_.skip();
    return {begin, size_t(reader_.data().data() - begin)};
  }

 private:
  void require(Type wanted) const;
  protozero::pbf_reader reader_;
};

// Base of a format's reader: where it is, and the limits that every format has.
class MessageReader {
 public:
  explicit MessageReader(const Limits& limits) : limits_(limits) {}
  // "graph.node[3].attribute[0]"; after a failure where that was met.
  std::string path() const;

 protected:
  // Remembers where we are; a step that is left by an exception stays, for the message.
  class Step {
   public:
    Step(MessageReader& reader, const char* name, int64_t index = -1)
        : reader_(reader), exceptions_(std::uncaught_exceptions()) {
      reader_.path_.push_back({name, index});
    }
    ~Step() {
      if (std::uncaught_exceptions() == exceptions_) reader_.path_.pop_back();
    }

   private:
    MessageReader& reader_;
    int exceptions_;
  };

  // The text, when it is short and clean enough for a name.
  std::string_view name(std::string_view text) const;
  void count_node();

  const Limits& limits_;

 private:
  std::vector<std::pair<const char*, int64_t>> path_;
  int64_t node_count_ = 0;
};

// Runs `read`; what it throws becomes a Status with the reader's path in front.
Status guarded(const MessageReader& reader, const std::function<void()>& read);

}  // namespace planish::frontend::wire
