// Times the 3 x 3 stride-1 layers of a network: every Winograd tactic against oneDNN direct and
// Winograd, interleaved.
//   winograd_bench resnet50|vgg16 [rounds] [threads]
#include "backend/cpu/kernels/winograd/winograd.h"

#include <cstdio>
#include <cstdlib>

#include "backend/cpu/kernels/bench_support/networks.h"
#include "backend/cpu/kernels/bench_support/peer.h"
#include "base/aligned_buffer.h"

namespace planish::cpu {
namespace {

struct Candidate {
  WinogradTactic tactic;
  AlignedBuffer<float> weights, workspace;
};

void run_layer(const BenchLayer& layer, int rounds, ThreadTeam& team, double* ours_total,
               double* peer_total) {
  const ConvProblem& p = layer.problem;
  const Isa isa = best_isa();
  const int width = vector_width(isa);
  AlignedBuffer<float> input(round_up(p.in_channels, width) * p.in_height * p.in_width);
  AlignedBuffer<float> output(round_up(p.out_channels, width) * p.out_height() * p.out_width());
  AlignedBuffer<float> bias(round_up(p.out_channels, width));
  std::vector<float> weights(p.out_channels * p.in_channels * 9, 0.01f);
  for (float& x : input) x = 0.5f;
  std::vector<Candidate> candidates;
  for (const auto& t : enumerate_winograd_tactics(p, isa, team.size())) {
    Candidate c{t, AlignedBuffer<float>(winograd_packed_floats(p, t, isa)),
                AlignedBuffer<float>(winograd_workspace_bytes(p, t, isa, team.size()) / 4 + 16)};
    pack_winograd_weights(p, t, isa, weights.data(), c.weights.data());
    candidates.push_back(std::move(c));
  }
  std::vector<std::function<void()>> ours;
  for (Candidate& c : candidates) {
    ours.push_back([&] {
      ConvArgs a;
      a.input = input.data();
      a.weights = c.weights.data();
      a.output = output.data();
      a.workspace = c.workspace.data();
      a.epilogue.bias = bias.data();
      a.epilogue.lo = 0;
      run_winograd(p, c.tactic, isa, a, team);
    });
  }
  PeerConv direct(p, false), winograd(p, true);
  std::vector<Times> times, peer;
  interleave(team, rounds, ours, {[&] { direct.run(); }, [&] { winograd.run(); }}, &times, &peer);
  size_t best = 0;
  for (size_t i = 0; i < times.size(); i++) {
    if (times[i].minimum() < times[best].minimum()) best = i;
  }
  const WinogradTactic& t = candidates[best].tactic;
  const double us = times[best].minimum();
  std::printf(
      "%-20s x%d | direct %7.1f | winograd %7.1f | ours %7.1f | ratio %.2f %.2f | F%d j%d %s "
      "tiles%ld in%ld |",
      layer.name().c_str(), layer.times, peer[0].minimum(), peer[1].minimum(), us,
      peer[0].minimum() / us, peer[1].minimum() / us, t.tile, t.j_blocks,
      t.split_channels ? "channels" : "tiles", static_cast<long>(t.tiles),
      static_cast<long>(t.in_blocks));
  for (auto& x : times) std::printf(" %.0f", x.minimum());
  std::printf("\n");
  std::fflush(stdout);
  *ours_total += us * layer.times;
  *peer_total += std::min(peer[0].minimum(), peer[1].minimum()) * layer.times;
}

}  // namespace
}  // namespace planish::cpu

int main(int argc, char** argv) {
  using namespace planish::cpu;
  const auto layers =
      argc > 1 && std::string(argv[1]) == "vgg16" ? vgg16_layers() : resnet50_layers();
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 30;
  planish::ThreadTeam team(argc > 3 ? std::atoi(argv[3]) : 2);
  double ours = 0, peer = 0;
  for (const auto& l : layers) {
    if (winograd_refusal(l.problem, best_isa()).empty()) run_layer(l, rounds, team, &ours, &peer);
  }
  std::printf("sum of minima: ours %.0f us, oneDNN's better %.0f us, ratio %.2f\n", ours, peer,
              peer / ours);
}
