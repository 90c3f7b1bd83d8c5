// What makes each pass fire: one small graph in text per pass (or more), which random graphs have
// spliced in. A pass without a trigger turns the coverage check red, so a new pass brings its own.
#pragma once
#include <span>
#include <string_view>

namespace planish::tests {

struct Trigger {
  std::string_view pass;
  std::string_view text;  // the text form of src/ir/text.cc; N stands for 2
};

std::span<const Trigger> triggers();

}  // namespace planish::tests
