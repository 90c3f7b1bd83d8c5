// Protobuf's text form (.pbtxt) of GraphDef and SavedModel, turned into the binary form that wire.h
// reads.
#pragma once
#include <string>
#include <string_view>

#include "base/limits.h"
#include "base/status.h"

namespace planish::frontend::tensorflow {

enum class TextMessage { kGraphDef, kSavedModel, kMetaGraphDef };

// Fields that are not known are passed over. kDataLoss with the line, kResourceExhausted.
Result<std::string> binary_of_text(std::string_view text, TextMessage message,
                                   const Limits& limits);

}  // namespace planish::frontend::tensorflow
