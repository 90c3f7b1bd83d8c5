// C structs of planish/plugin.h over internal tensors, attributes and nodes. The objects here own
// what the structs point to, for the length of one callback.
#pragma once
#include <array>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "ir/graph.h"
#include "planish/plugin.h"

namespace planish::api {

// True when the maker of `*object` knew the field: its struct_size reaches beyond it.
#define PLANISH_PLUGIN_HAS(object, field)                                             \
  ((object)->struct_size >= offsetof(std::remove_cvref_t<decltype(*(object))>, field) + \
                                sizeof((object)->field))

class PluginTensors {
 public:
  // Null type: an absent input.
  void add(const ir::TensorType* type, const void* data);
  const planish_plugin_tensor* const* pointers() const { return const_pointers_.data(); }
  planish_plugin_tensor* const* mutable_pointers() const { return pointers_.data(); }
  int32_t count() const { return int32_t(pointers_.size()); }

 private:
  struct Storage {
    planish_plugin_tensor tensor{};
    std::vector<int64_t> dims;
    std::vector<std::string> texts;
    std::vector<const char*> text_pointers;
  };
  std::deque<Storage> storage_;  // addresses stay
  std::vector<planish_plugin_tensor*> pointers_;
  std::vector<const planish_plugin_tensor*> const_pointers_;
};

// One node. Attributes of kinds that the ABI does not have (tensors, graphs) are left out.
class PluginNode {
 public:
  PluginNode(const std::string& op, const ir::Attributes& attrs, const PluginTensors& inputs,
             int output_count);
  PluginNode(const PluginNode&) = delete;
  PluginNode& operator=(const PluginNode&) = delete;
  const planish_plugin_node* get() const { return &node_; }

 private:
  std::deque<planish_plugin_attribute> attributes_;
  std::vector<const planish_plugin_attribute*> pointers_;
  planish_plugin_node node_{};
};

// Takes a callback's reason and makes the Status of its code.
class PluginMessage {
 public:
  PluginMessage() { text_[0] = 0; }
  planish_plugin_message* get() { return &message_; }
  // `where` says whose callback it was: "plugin op 'X': shapes".
  Status status(planish_plugin_code code, std::string_view where) const;

 private:
  std::array<char, 1024> text_;
  planish_plugin_message message_{sizeof(planish_plugin_message), text_.data(), text_.size()};
};

}  // namespace planish::api
