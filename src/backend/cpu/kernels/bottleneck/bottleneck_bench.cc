// Times the blocks of MobileNetV2 against three oneDNN layers each (no residual there),
// interleaved.
//   bottleneck_bench [rounds] [threads]
#include "backend/cpu/kernels/bottleneck/bottleneck.h"

#include <cstdio>
#include <cstdlib>

#include "backend/cpu/kernels/bench_support/networks.h"
#include "backend/cpu/kernels/bench_support/peer.h"
#include "base/aligned_buffer.h"

namespace planish::cpu {
namespace {

struct Block {
  int64_t size, stride, in, mid, out;
};

BottleneckProblem problem_of(const Block& b) {
  BottleneckProblem p;
  ConvProblem& d = p.depthwise;
  d = layer(b.size, 3, b.stride, b.mid, b.mid, 1).problem;
  d.groups = b.mid;
  p.in_channels = b.in;
  p.out_channels = b.out;
  p.expand_hi = p.depthwise_hi = 6;
  return p;
}

void run_block(const Block& b, int rounds, ThreadTeam& team) {
  const Isa isa = best_isa();
  const int width = vector_width(isa);
  const BottleneckProblem p = problem_of(b);
  const int64_t out_size = p.depthwise.out_height();
  AlignedBuffer<float> input(round_up(b.in, width) * b.size * b.size);
  AlignedBuffer<float> output(round_up(b.out, width) * out_size * out_size);
  AlignedBuffer<float> packed(bottleneck_packed_floats(p, isa));
  const std::vector<float> expand(b.mid * b.in, 0.01f), depthwise(b.mid * 9, 0.1f);
  const std::vector<float> project(b.out * b.mid, 0.01f);
  BottleneckWeights w;
  w.expand = expand.data();
  w.depthwise = depthwise.data();
  w.project = project.data();
  pack_bottleneck_weights(p, isa, w, packed.data());
  for (float& x : input) x = 0.5f;
  const auto tactics = enumerate_bottleneck_tactics(p, isa, team.size());
  std::vector<AlignedBuffer<float>> workspaces;
  for (const auto& t : tactics) {
    workspaces.emplace_back(bottleneck_workspace_bytes(p, t, isa, team.size()) / 4 + 16);
  }
  std::vector<std::function<void()>> ours;
  for (size_t i = 0; i < tactics.size(); i++) {
    ours.push_back([&, i] {
      ConvArgs a;
      a.input = input.data();
      a.weights = packed.data();
      a.output = output.data();
      a.workspace = workspaces[i].data();
      if (b.in == b.out && b.stride == 1) a.epilogue.residual = input.data();
      run_bottleneck(p, tactics[i], isa, a, team);
    });
  }
  PeerConv peer_expand(layer(b.size, 1, 1, b.in, b.mid, 1).problem, false);
  PeerConv peer_depthwise(p.depthwise, false);
  PeerConv peer_project(layer(out_size, 1, 1, b.mid, b.out, 1).problem, false);
  std::vector<Times> times, peer;
  interleave(team, rounds, ours, {[&] {
               peer_expand.run();
               peer_depthwise.run();
               peer_project.run();
             }},
             &times, &peer);
  size_t best = 0;
  for (size_t i = 0; i < times.size(); i++) {
    if (times[i].minimum() < times[best].minimum()) best = i;
  }
  const BottleneckTactic& t = tactics[best];
  std::printf("%3ld s%ld %3ld->%3ld->%3ld | oneDNN %7.1f | ours %7.1f | ratio %.2f | %s %ld %ld |",
              static_cast<long>(b.size), static_cast<long>(b.stride), static_cast<long>(b.in),
              static_cast<long>(b.mid), static_cast<long>(b.out), peer[0].minimum(),
              times[best].minimum(), peer[0].minimum() / times[best].minimum(),
              t.by_channels ? "channels" : "rows", static_cast<long>(t.pieces),
              static_cast<long>(t.mid_blocks));
  for (auto& x : times) std::printf(" %.0f", x.minimum());
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace
}  // namespace planish::cpu

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 30;
  planish::ThreadTeam team(argc > 2 ? std::atoi(argv[2]) : 2);
  const planish::cpu::Block blocks[] = {
      {112, 2, 16, 96, 24},  {56, 1, 24, 144, 24},  {56, 2, 24, 144, 32}, {28, 1, 32, 192, 32},
      {28, 2, 32, 192, 64},  {14, 1, 64, 384, 64},  {14, 1, 64, 384, 96}, {14, 1, 96, 576, 96},
      {14, 2, 96, 576, 160}, {7, 1, 160, 960, 160}, {7, 1, 160, 960, 320}};
  for (const auto& b : blocks) planish::cpu::run_block(b, rounds, team);
}
