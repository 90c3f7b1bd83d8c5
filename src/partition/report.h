// A Partition for people and for programs.
#pragma once
#include <string>

#include "partition/partition.h"

namespace planish::partition {

std::string report_text(const Partition& partition);
// One row per op and reason: "op,reason,nodes,example", with a header; then one per segment.
std::string report_csv(const Partition& partition);
std::string report_json(const Partition& partition);

}  // namespace planish::partition
