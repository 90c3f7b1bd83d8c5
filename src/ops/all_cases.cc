#include "ops/all_cases.h"

#include <iterator>

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
  return all;
}

}  // namespace planish::ops
