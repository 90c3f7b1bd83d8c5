// Times BERT-size and matrix-vector products with every tactic against oneDNN's inner product,
// interleaved.
//   matmul_bench [rounds] [threads]
#include "backend/cpu/kernels/matmul/matmul.h"

#include <cstdio>
#include <cstdlib>

#include "backend/cpu/kernels/bench_support/peer.h"
#include "base/aligned_buffer.h"

namespace planish::cpu {
namespace {

// C = A x B^T with constant B in a format of the peer's choice.
class PeerProduct {
 public:
  PeerProduct(int64_t m, int64_t n, int64_t k) : stream_(peer_engine()) {
    using dnnl::memory;
    using Tag = memory::format_tag;
    const auto type = memory::data_type::f32;
    dnnl::inner_product_forward::primitive_desc desc(
        {dnnl::prop_kind::forward_inference, memory::desc({m, k}, type, Tag::ab),
         memory::desc({n, k}, type, Tag::any), memory::desc({n}, type, Tag::a),
         memory::desc({m, n}, type, Tag::ab)},
        peer_engine());
    implementation = desc.impl_info_str();
    primitive_ = dnnl::inner_product_forward(desc);
    add(DNNL_ARG_SRC, desc.src_desc());
    add(DNNL_ARG_WEIGHTS, desc.weights_desc());
    add(DNNL_ARG_BIAS, desc.bias_desc());
    add(DNNL_ARG_DST, desc.dst_desc());
  }
  void run() {
    primitive_.execute(stream_, arguments_);
    stream_.wait();
  }
  std::string implementation;

 private:
  void add(int argument, const dnnl::memory::desc& desc) {
    dnnl::memory m(desc, peer_engine());
    std::fill_n(static_cast<float*>(m.get_data_handle()), desc.get_size() / 4, 0.5f);
    arguments_.emplace(argument, m);
  }
  dnnl::stream stream_;
  dnnl::inner_product_forward primitive_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

void run_shape(int64_t m, int64_t n, int64_t k, int rounds, ThreadTeam& team) {
  const Isa isa = best_isa();
  MatmulProblem p;
  p.m = m, p.n = n, p.k = k, p.transpose_b = true;
  AlignedBuffer<float> a(m * k), b(n * k), bias(n), c(m * n);
  for (float& x : a) x = 0.5f;
  const auto tactics = enumerate_matmul_tactics(p, isa, team.size());
  std::vector<AlignedBuffer<float>> packed, workspaces;
  std::vector<std::function<void()>> ours;
  for (const auto& t : tactics) {
    packed.emplace_back(matmul_packed_floats(p, t, isa));
    pack_matmul_weights(p, t, isa, b.data(), packed.back().data());
    workspaces.emplace_back(matmul_workspace_bytes(p, t, isa, team.size()) / 4 + 16);
  }
  for (size_t i = 0; i < tactics.size(); i++) {
    ours.push_back([&, i] {
      MatmulArgs args;
      args.a = a.data();
      args.b = packed[i].data();
      args.c = c.data();
      args.workspace = workspaces[i].data();
      args.epilogue.bias = bias.data();
      run_matmul(p, tactics[i], isa, args, team);
    });
  }
  PeerProduct peer(m, n, k);
  std::vector<Times> times, peer_times;
  interleave(team, rounds, ours, {[&] { peer.run(); }}, &times, &peer_times);
  size_t best = 0;
  for (size_t i = 0; i < times.size(); i++) {
    if (times[i].minimum() < times[best].minimum()) best = i;
  }
  const double us = times[best].minimum(), flops = 2.0 * static_cast<double>(m * n * k);
  const MatmulTactic& t = tactics[best];
  std::printf(
      "%4ld x %5ld x %5ld | oneDNN %7.1f %-18s | ours %7.1f | ratio %.2f | %4.0f GF/s, %4.1f GB/s "
      "weights | j%d rows%ld chunks%ld k%ld |",
      static_cast<long>(m), static_cast<long>(n), static_cast<long>(k), peer_times[0].minimum(),
      peer.implementation.c_str(), us, peer_times[0].minimum() / us, flops / us / 1e3,
      static_cast<double>(n * k) * 4 / us / 1e3, t.j_blocks, static_cast<long>(t.rows),
      static_cast<long>(t.chunks), static_cast<long>(t.k_blocks));
  for (auto& x : times) std::printf(" %.0f", x.minimum());
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace
}  // namespace planish::cpu

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 20;
  planish::ThreadTeam team(argc > 2 ? std::atoi(argv[2]) : 2);
  const int64_t shapes[][3] = {
      {128, 768, 768}, {128, 2304, 768}, {128, 3072, 768}, {128, 768, 3072}, {384, 768, 768},
      {1, 1000, 2048}, {1, 4096, 25088}, {1, 4096, 4096},  {1, 768, 768},    {8, 1000, 2048}};
  for (const auto& s : shapes) planish::cpu::run_shape(s[0], s[1], s[2], rounds, team);
}
