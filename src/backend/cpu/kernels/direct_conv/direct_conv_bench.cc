// Times every layer of a network with every tactic against oneDNN direct, interleaved.
//   direct_conv_bench resnet50|vgg16|mobilenet_v2 [rounds] [threads] [first layer] [last layer]
#include "backend/cpu/kernels/direct_conv/direct_conv.h"

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "backend/cpu/kernels/bench_support/networks.h"
#include "backend/cpu/kernels/bench_support/peer.h"
#include "base/aligned_buffer.h"

namespace planish::cpu {
namespace {

struct Candidate {
  DirectConvTactic tactic;
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
  std::vector<float> weights(p.out_channels * p.in_channels * p.kernel_height * p.kernel_width,
                             0.01f);
  for (float& x : input) x = 0.5f;
  std::vector<Candidate> candidates;
  for (const auto& t : enumerate_direct_conv_tactics(p, isa, team.size())) {
    Candidate c{t, AlignedBuffer<float>(direct_conv_packed_floats(p, t, isa)),
                AlignedBuffer<float>(direct_conv_workspace_bytes(p, t, isa, team.size()) / 4 + 16)};
    pack_direct_conv_weights(p, t, isa, weights.data(), c.weights.data());
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
      run_direct_conv(p, c.tactic, isa, a, team);
    });
  }
  PeerConv peer(p, false);
  std::vector<Times> times, peer_times;
  interleave(team, rounds, ours, {[&] { peer.run(); }}, &times, &peer_times);
  size_t best = 0;
  for (size_t i = 0; i < times.size(); i++) {
    if (times[i].minimum() < times[best].minimum()) best = i;
  }
  const double flops = 2.0 * p.out_channels * p.in_channels / p.groups * p.kernel_height *
                       p.kernel_width * p.out_height() * p.out_width();
  const DirectConvTactic& t = candidates[best].tactic;
  std::printf(
      "%-24s x%d | oneDNN %7.1f (%7.1f) %-22s | ours %7.1f (%7.1f) | ratio %.2f | %4.0f GF/s | "
      "j%ld band%ld chunks%ld in%ld%s |",
      layer.name().c_str(), layer.times, peer_times[0].median(), peer_times[0].minimum(),
      peer.implementation.c_str(), times[best].median(), times[best].minimum(),
      peer_times[0].minimum() / times[best].minimum(), flops / times[best].minimum() / 1e3,
      static_cast<long>(t.j_blocks), static_cast<long>(t.band), static_cast<long>(t.chunks),
      static_cast<long>(t.in_blocks), t.copy_input ? " copy" : "");
  for (auto& x : times) std::printf(" %.0f", x.minimum());
  std::printf("\n");
  std::fflush(stdout);
  *ours_total += times[best].minimum() * layer.times;
  *peer_total += peer_times[0].minimum() * layer.times;
}

}  // namespace
}  // namespace planish::cpu

int main(int argc, char** argv) {
  using namespace planish::cpu;
  const std::string network = argc > 1 ? argv[1] : "resnet50";
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 30;
  const auto layers = network == "vgg16"          ? vgg16_layers()
                      : network == "mobilenet_v2" ? mobilenet_v2_pointwise_layers()
                                                  : resnet50_layers();
  planish::ThreadTeam team(argc > 3 ? std::atoi(argv[3]) : 2);
  double ours = 0, peer = 0;
  const size_t first = argc > 4 ? std::atoi(argv[4]) : 0,
               last = argc > 5 ? std::atoi(argv[5]) + 1 : layers.size();
  for (size_t i = first; i < last && i < layers.size(); i++)
    run_layer(layers[i], rounds, team, &ours, &peer);
  std::printf("sum of minima: ours %.0f us, oneDNN %.0f us, ratio %.2f\n", ours, peer, peer / ours);
}
