// A mutation of protobuf bytes that keeps them protobuf: picks one field anywhere in the tree of
// messages and changes its value to a hostile one, drops it, repeats it, or puts a field from
// elsewhere in its place; lengths are written anew. Half of what libFuzzer's own byte mutations
// produce dies in the wire reader; this gets to the graph behind it.
#pragma once
#include <cstddef>
#include <cstdint>

namespace planish::fuzz {

// As LLVMFuzzerCustomMutator; returns 0 when the bytes are no protobuf message.
size_t mutate_message(uint8_t* data, size_t size, size_t max_size, unsigned seed);

}  // namespace planish::fuzz
