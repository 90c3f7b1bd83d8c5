// The source of one tensor-core attention: a warpgroup takes 64 queries of one head, keys and values come
// in tiles of 128 by TMA.
#pragma once
#include <algorithm>
#include <string>

#include "backend/cuda/families/attention_wgmma/view.h"

namespace planish::cuda::attention {

// With a `ring` CTAs stay and walk over heads: a producer brings what the next ones need while the groups
// work. Else a CTA takes one tile of queries, and several per SM hide each other's loads.
struct Schedule {
  int groups = 1;     // warpgroups with 64 queries each
  int residents = 1;  // CTAs per SM that the registers are for
  int ring = 0;       // stages: of queries, and of tiles of keys and values
  int teams = 1;      // of so many groups, each with a ring and a producer of its own
  bool carries_mask = false;  // a tile of the mask comes with the keys, and is looked at once

  // Those of two teams are a warpgroup that hands its registers to the others.
  int producer_warps() const { return ring == 0 ? 0 : teams > 1 ? 4 : 1; }
  int threads() const { return 128 * groups * teams + 32 * producer_warps(); }
  // Of a thread at launch, and what the others have once the producers kept 24: a CTA hands round no more
  // than it was launched with.
  int launch_registers() const { return std::min(255, 65536 / threads()) / 8 * 8; }
  int consumer_registers() const {
    return std::min(240, (launch_registers() * threads() - 24 * 128) / (128 * groups * teams) / 8 * 8);
  }
};

// A mask of 16 bits that all queries of a head share, its rows beginning at multiples of 16 bytes.
bool can_carry_mask(const kernel::Problem& problem, const View& view);

int64_t shared_bytes(const View& view, const Schedule& schedule);

// `entry`: name of the kernel. Its parameters are the TensorMaps of queries, keys and values, the mask
// where there is one, and the result.
std::string kernel_text(const kernel::Problem& problem, const View& view, const Schedule& schedule,
                        const std::string& entry);

}  // namespace planish::cuda::attention
