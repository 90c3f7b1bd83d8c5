// Types, shapes and texts between TensorFlow and the C interface of libplanish.
#pragma once
#include <cstdio>
#include <string>
#include <vector>

#include "planish/c/engine_set.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace planish_tensorflow {

using namespace tensorflow;  // NOLINT: the code of a TensorFlow kernel

struct TypePair {
  DataType tensorflow;
  planish_dtype planish;
};
constexpr TypePair kTypes[] = {
    {DT_FLOAT, PLANISH_F32},  {DT_HALF, PLANISH_F16},  {DT_BFLOAT16, PLANISH_BF16},
    {DT_DOUBLE, PLANISH_F64}, {DT_INT8, PLANISH_I8},   {DT_UINT8, PLANISH_U8},
    {DT_INT16, PLANISH_I16},  {DT_UINT16, PLANISH_U16}, {DT_INT32, PLANISH_I32},
    {DT_INT64, PLANISH_I64},  {DT_UINT32, PLANISH_U32}, {DT_UINT64, PLANISH_U64},
    {DT_BOOL, PLANISH_BOOL}};

inline int planish_type(DataType type) {
  for (const TypePair& pair : kTypes)
    if (pair.tensorflow == type) return pair.planish;
  return -1;
}
inline DataType tensorflow_type(planish_dtype type) {
  for (const TypePair& pair : kTypes)
    if (pair.planish == type) return pair.tensorflow;
  return DT_INVALID;
}

inline std::string json_text(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      char code[8];
      std::snprintf(code, sizeof(code), "\\u%04x", c);
      out += code;
    } else {
      out += c;
    }
  }
  return out + '"';
}

inline std::string shapes_json(const std::vector<planish_tensor>& tensors) {
  std::string out = "[";
  for (const planish_tensor& tensor : tensors) {
    out += out.size() > 1 ? ", [" : "[";
    for (int i = 0; i < tensor.rank; ++i)
      out += (i ? ", " : "") + std::to_string(tensor.dims[i]);
    out += "]";
  }
  return out + "]";
}

}  // namespace planish_tensorflow
