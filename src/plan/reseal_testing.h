// For tests only: recomputes every hash of damaged plan bytes, so that what lies behind the hashes
// (the structure checks) is tested and not only they.
#pragma once
#include <cstddef>
#include <vector>

namespace planish::plan {

// As far as the damage lets it: what lies outside of the bytes is left alone. The file size in the
// header is set too, and the bindings of constants where the metadata is sound.
void reseal(std::vector<std::byte>& bytes);

}  // namespace planish::plan
