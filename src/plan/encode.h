// From Plan to the parts of a file: FlatBuffers metadata and the bytes of the sections.
#pragma once
#include <flatbuffers/flatbuffers.h>

#include <cstddef>
#include <span>
#include <vector>

#include "base/hash.h"
#include "base/status.h"
#include "plan/program.h"

namespace planish::plan {

struct Encoded {
  struct Section {
    std::span<const std::byte> bytes;  // of the plan that was encoded, which must live on
    Hash128 hash;
  };
  flatbuffers::DetachedBuffer metadata;
  std::vector<Section> sections;  // equal contents once
};

// kResourceExhausted when the metadata outgrows what FlatBuffers can address.
Result<Encoded> encode(const Plan& plan);

}  // namespace planish::plan
