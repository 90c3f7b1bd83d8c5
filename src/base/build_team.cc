#include "base/build_team.h"

#include <algorithm>
#include <thread>

namespace planish {

ThreadTeam& build_team() {
  // Never destroyed: its threads sleep until the process ends.
  static ThreadTeam& team =
      *new ThreadTeam(std::clamp(int(std::thread::hardware_concurrency()), 1, 16), "planish-build");
  return team;
}

}  // namespace planish
