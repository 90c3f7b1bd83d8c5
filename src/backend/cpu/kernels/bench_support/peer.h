// The peer of the kernel benchmarks, oneDNN, and the clockwork both sides share.
//
// Both sides run in one process in turns: a round times every candidate once, so that a disturbance
// hits all of them. Before a timed call the team that will run it gets a small job, so that nobody
// pays for a sleeping thread; after the peer's turn its threads get time to stop spinning (run with
// OMP_NUM_THREADS set to the team's size and GOMP_SPINCOUNT=20000).
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <dnnl.hpp>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "backend/cpu/kernels/conv_problem.h"
#include "base/thread_team.h"

namespace planish::cpu {

// One thread is timed by its own processor time, which a busy neighbour does not enter; a team by
// the wall clock.
inline double now_us(int threads) {
  timespec t;
  clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) * 1e-3;
}

struct Times {
  std::vector<double> us;
  double median() {
    std::sort(us.begin(), us.end());
    return us[us.size() / 2];
  }
  double minimum() const { return *std::min_element(us.begin(), us.end()); }
};

inline void wake(ThreadTeam& team) {
  team.parallel_for(64, [](int64_t, int64_t, int) {});
}

inline void wake_peer() {
  volatile int x = 0;
#pragma omp parallel
  { x = x + 1; }
}

// One call of each, ours first, rounds times; ours[i] and the peers are timed warm.
inline void interleave(ThreadTeam& team, int rounds, const std::vector<std::function<void()>>& ours,
                       const std::vector<std::function<void()>>& peers,
                       std::vector<Times>* our_times, std::vector<Times>* peer_times) {
  our_times->resize(ours.size());
  peer_times->resize(peers.size());
  const int threads = team.size();
  auto time = [threads](const std::function<void()>& f, Times& t) {
    const double a = now_us(threads);
    f();
    t.us.push_back(now_us(threads) - a);
  };
  for (int r = 0; r < rounds; r++) {
    for (size_t i = 0; i < ours.size(); i++) {
      wake(team);
      ours[i]();
      time(ours[i], (*our_times)[i]);
    }
    if (!peers.empty()) usleep(300);
    for (size_t i = 0; i < peers.size(); i++) {
      wake_peer();
      peers[i]();
      time(peers[i], (*peer_times)[i]);
    }
    if (!peers.empty()) usleep(1500);
  }
}

inline dnnl::engine& peer_engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

// A oneDNN convolution with bias and ReLU in formats of its own choice.
class PeerConv {
 public:
  PeerConv(const ConvProblem& p, bool winograd) : stream_(peer_engine()) {
    using dnnl::memory;
    using Tag = memory::format_tag;
    const auto type = memory::data_type::f32;
    const int64_t ic = p.in_channels / p.groups, oc = p.out_channels / p.groups;
    memory::desc input({p.batch, p.in_channels, p.in_height, p.in_width}, type,
                       p.planar_input ? Tag::nchw : Tag::any);
    memory::desc weights =
        p.groups == 1
            ? memory::desc({oc, ic, p.kernel_height, p.kernel_width}, type, Tag::any)
            : memory::desc({p.groups, oc, ic, p.kernel_height, p.kernel_width}, type, Tag::any);
    memory::desc bias({p.out_channels}, type, Tag::x);
    memory::desc output({p.batch, p.out_channels, p.out_height(), p.out_width()}, type, Tag::any);
    dnnl::post_ops post;
    post.append_eltwise(1.f, dnnl::algorithm::eltwise_relu, 0, 0);
    dnnl::primitive_attr attributes;
    attributes.set_post_ops(post);
    const auto algorithm =
        winograd ? dnnl::algorithm::convolution_winograd : dnnl::algorithm::convolution_direct;
    dnnl::convolution_forward::primitive_desc desc({dnnl::prop_kind::forward_inference,
                                                    algorithm,
                                                    input,
                                                    weights,
                                                    bias,
                                                    output,
                                                    {p.stride_height, p.stride_width},
                                                    {p.pad_top, p.pad_left},
                                                    {p.pad_bottom, p.pad_right}},
                                                   attributes, peer_engine());
    implementation = desc.impl_info_str();
    primitive_ = dnnl::convolution_forward(desc);
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
    auto* f = static_cast<float*>(m.get_data_handle());
    for (size_t i = 0; i < desc.get_size() / 4; i++)
      f[i] = static_cast<float>(i * 40503u >> 4 & 255) / 256.f - .5f;
    arguments_.emplace(argument, m);
  }

  dnnl::stream stream_;
  dnnl::convolution_forward primitive_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

}  // namespace planish::cpu
