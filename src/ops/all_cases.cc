#include "ops/all_cases.h"

#include <iterator>
#include <map>
#include <string>
#include <utility>

#include "base/text.h"

namespace planish::ops {

#define PLANISH_CASE_FAMILY(family) opdef::CaseList family##_cases();
#include "ops/case_families.inc"
#undef PLANISH_CASE_FAMILY

opdef::CaseList all_cases() {
  opdef::CaseList all;
  auto append = [&](opdef::CaseList cases) {
    all.insert(all.end(), std::make_move_iterator(cases.begin()),
               std::make_move_iterator(cases.end()));
  };
#define PLANISH_CASE_FAMILY(family) append(family##_cases());
#include "ops/case_families.inc"
#undef PLANISH_CASE_FAMILY
  // Cases of one op that share a name (other types, other shapes) are numbered.
  std::map<std::pair<std::string, std::string>, int> seen;
  for (opdef::OpCase& one : all)
    if (int times = ++seen[{one.op, one.name}]; times > 1) one.name = cat(one.name, "_", times);
  return all;
}

}  // namespace planish::ops
