#include "opdef/attr_spec.h"

#include "base/text.h"

namespace planish::opdef {

std::string TypeSet::to_string() const {
  std::vector<std::string_view> names;
  for (int i = 0; i < ir::kDataTypeCount; ++i)
    if (contains(ir::DataType(i))) names.push_back(ir::name_of(ir::DataType(i)));
  return join(names);
}

std::string_view name_of(AttrKind kind) {
  constexpr std::string_view kNames[] = {"int",    "float",   "string", "ints", "floats",
                                         "strings", "type", "tensor", "graph"};
  return kNames[int(kind)];
}

AttrKind kind_of(const ir::Attribute& attribute) {
  constexpr AttrKind kKinds[] = {AttrKind::kInt,    AttrKind::kFloat,   AttrKind::kString,
                                 AttrKind::kInts,   AttrKind::kFloats,  AttrKind::kStrings,
                                 AttrKind::kType,   AttrKind::kTensor,  AttrKind::kGraph};
  return kKinds[attribute.index()];
}

AttrSpec int_attr(std::string name, int64_t default_value, std::string doc) {
  return {std::move(name), AttrKind::kInt, ir::Attribute(default_value), false, std::move(doc)};
}
AttrSpec float_attr(std::string name, double default_value, std::string doc) {
  return {std::move(name), AttrKind::kFloat, ir::Attribute(default_value), false, std::move(doc)};
}
AttrSpec string_attr(std::string name, std::string default_value, std::string doc) {
  return {std::move(name), AttrKind::kString, ir::Attribute(std::move(default_value)), false,
          std::move(doc)};
}
AttrSpec ints_attr(std::string name, std::vector<int64_t> default_value, std::string doc) {
  return {std::move(name), AttrKind::kInts, ir::Attribute(std::move(default_value)), false,
          std::move(doc)};
}
AttrSpec optional_attr(std::string name, AttrKind kind, std::string doc) {
  return {std::move(name), kind, std::nullopt, false, std::move(doc)};
}
AttrSpec required_attr(std::string name, AttrKind kind, std::string doc) {
  return {std::move(name), kind, std::nullopt, true, std::move(doc)};
}

}  // namespace planish::opdef
