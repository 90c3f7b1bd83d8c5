#include "api/runtime/plugin_view.h"

#include <cstring>

#include "base/text.h"

namespace planish::api {

void PluginTensors::add(const ir::TensorType* type, const void* data) {
  if (!type) {
    pointers_.push_back(nullptr);
    const_pointers_.push_back(nullptr);
    return;
  }
  Storage& storage = storage_.emplace_back();
  for (const ir::Dim& dim : type->shape) {
    storage.dims.push_back(dim.constant().value_or(-1));
    storage.texts.push_back(dim.to_string());
  }
  for (const std::string& text : storage.texts) storage.text_pointers.push_back(text.c_str());
  storage.tensor = {sizeof(planish_plugin_tensor), int32_t(type->dtype), int32_t(type->rank()),
                    storage.dims.data(),           storage.text_pointers.data(),
                    const_cast<void*>(data)};
  pointers_.push_back(&storage.tensor);
  const_pointers_.push_back(&storage.tensor);
}

PluginNode::PluginNode(const std::string& op, const ir::Attributes& attrs,
                       const PluginTensors& inputs, int output_count) {
  for (const auto& [name, value] : attrs) {
    planish_plugin_attribute attribute{};
    attribute.struct_size = sizeof(attribute);
    attribute.name = name.c_str();
    if (const auto* i = std::get_if<int64_t>(&value)) {
      attribute.kind = PLANISH_PLUGIN_INT;
      attribute.int_value = *i;
    } else if (const auto* f = std::get_if<double>(&value)) {
      attribute.kind = PLANISH_PLUGIN_FLOAT;
      attribute.float_value = *f;
    } else if (const auto* s = std::get_if<std::string>(&value)) {
      attribute.kind = PLANISH_PLUGIN_STRING;
      attribute.string_value = s->c_str();
    } else if (const auto* ints = std::get_if<std::vector<int64_t>>(&value)) {
      attribute.kind = PLANISH_PLUGIN_INTS;
      attribute.ints = ints->data();
      attribute.count = int64_t(ints->size());
    } else if (const auto* floats = std::get_if<std::vector<double>>(&value)) {
      attribute.kind = PLANISH_PLUGIN_FLOATS;
      attribute.floats = floats->data();
      attribute.count = int64_t(floats->size());
    } else {
      continue;
    }
    attributes_.push_back(attribute);
  }
  for (const auto& attribute : attributes_) pointers_.push_back(&attribute);
  node_ = {sizeof(node_),  op.c_str(),         int32_t(pointers_.size()), pointers_.data(),
           inputs.count(), inputs.pointers(), output_count};
}

Status PluginMessage::status(planish_plugin_code code, std::string_view where) const {
  if (code == PLANISH_PLUGIN_OK) return ok_status();
  // A plugin is not trusted with the closing zero.
  const std::string_view text(text_.data(), strnlen(text_.data(), text_.size()));
  const bool known = code > 0 && code <= int(Code::kInternal);
  return Status(known ? Code(code) : Code::kInternal,
                cat(where, ": ", text.empty() ? std::string_view("no reason given") : text));
}

}  // namespace planish::api
