#include "base/thread_team.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <limits>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace planish {
namespace {

// Every element exactly once, and each loop sees all writes of the loop before it.
void check_loops(ThreadTeam& team, int rounds) {
  const int64_t counts[] = {1, 7, 2, 40, 1000, 3};
  std::vector<int> cell(1000);
  for (int r = 0; r < rounds; r++) {
    for (int64_t count : counts) {
      team.parallel_for(
          count,
          [&](int64_t begin, int64_t end, int thread) {
            ASSERT_GE(thread, 0);
            ASSERT_LT(thread, team.size());
            for (int64_t i = begin; i < end; i++) cell[i]++;
          },
          r % 2);
      int64_t sum = 0;
      team.parallel_for(1, [&](int64_t, int64_t, int) {
        for (int c : cell) sum += c;
        for (int& c : cell) c = 0;
      });
      ASSERT_EQ(sum, count) << "round " << r;
    }
  }
}

TEST(ThreadTeam, RunsEveryTaskOnce) {
  for (int threads = 1; threads <= 5; threads++) {
    ThreadTeam team(threads);
    EXPECT_EQ(team.size(), threads);
    check_loops(team, 300);
  }
}

TEST(ThreadTeam, NoTwoCallsShareAThread) {
  ThreadTeam team(4);
  std::vector<std::atomic<int>> inside(4);
  for (int r = 0; r < 200; r++) {
    team.parallel_for(64, [&](int64_t, int64_t, int thread) {
      EXPECT_EQ(inside[thread].fetch_add(1), 0);
      inside[thread].fetch_sub(1);
    });
  }
}

TEST(ThreadTeam, NestedCallRunsSerially) {
  ThreadTeam team(3), other(2);
  std::atomic<int> total{0};
  team.parallel_for(8, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; i++) {
      for (ThreadTeam* t : {&team, &other}) {
        t->parallel_for(10, [&](int64_t b, int64_t e, int thread) {
          EXPECT_EQ(thread, 0);
          EXPECT_EQ(e - b, 10);
          total += static_cast<int>(e - b);
        });
      }
    }
  });
  EXPECT_EQ(total.load(), 160);
}

TEST(ThreadTeam, SeveralCallersTakeTurns) {
  ThreadTeam team(2);
  std::atomic<int> total{0};
  auto call = [&] {
    for (int r = 0; r < 200; r++) {
      team.parallel_for(10, [&](int64_t b, int64_t e, int) { total += static_cast<int>(e - b); });
    }
  };
  std::thread a(call), b(call);
  a.join();
  b.join();
  EXPECT_EQ(total.load(), 4000);
}

TEST(ThreadTeam, HostThreadsStandBehindTheSameInterface) {
  HostParallelFor serial;
  serial.threads = 3;
  serial.run = [](void*, int64_t count, void (*task)(void*, int64_t), void* context) {
    for (int64_t i = count; i-- > 0;) task(context, i);
  };
  ThreadTeam team(serial);
  check_loops(team, 20);
  HostParallelFor parallel = serial;
  parallel.run = [](void*, int64_t count, void (*task)(void*, int64_t), void* context) {
    std::vector<std::thread> threads;
    for (int64_t i = 0; i < count; i++) threads.emplace_back([=] { task(context, i); });
    for (auto& t : threads) t.join();
  };
  ThreadTeam spawned(parallel);
  check_loops(spawned, 5);
}

TEST(ThreadTeam, EmptyLoopCallsNothing) {
  ThreadTeam team(2);
  team.parallel_for(0, [](int64_t, int64_t, int) { FAIL(); });
}

TEST(ThreadTeam, WorksAfterWorkersFellAsleep) {
  ThreadTeam team(3);
  for (int r = 0; r < 5; r++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    check_loops(team, 1);
  }
}

#if defined(__x86_64__)
TEST(ThreadTeam, KeepsDenormalsAndRestoresTheMode) {
  ThreadTeam team(3);
  const unsigned flush_to_zero = 0x9fc0;  // all masks, FTZ, DAZ
  const unsigned old = _mm_getcsr();
  _mm_setcsr(flush_to_zero);
  std::vector<float> half(300);
  const volatile float tiny = std::numeric_limits<float>::min();
  team.parallel_for(300, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; i++) half[i] = tiny * 0.5f;
    _mm_setcsr(0x7f80);
    _mm_setcsr(0x1f80);
  });
  const unsigned after = _mm_getcsr();
  _mm_setcsr(old);
  EXPECT_EQ(after & ~0x3fu, flush_to_zero & ~0x3fu);
  for (float h : half) ASSERT_GT(h, 0.f);
}
#endif

}  // namespace
}  // namespace planish
