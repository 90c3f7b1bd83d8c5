// The threads of a build's own work on the host: going over all weights of a network, asking kernels
// about many problems. Started at first use and kept: a build comes back to them many times, and
// large memory that is touched for the first time takes one thread longer than what is done with it.
#pragma once

#include "base/thread_team.h"

namespace planish {

// One thread for each core, at most 16. Several builds share it.
ThreadTeam& build_team();

}  // namespace planish
