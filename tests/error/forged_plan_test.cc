// Group H, 134, 137 to 139: plans with right hashes that lie about their programs. Programs of every
// operator's cases and of the regions that fast kernels take are forged, saved, loaded, bound and
// run: each ends in a good run or a typed error, and under the sanitizers touches nothing but its own.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "base/hash.h"
#include "base/text.h"
#include "forge.h"
#include "ops/all_cases.h"
#include "plan/plan_file.h"
#include "plan_road.h"

namespace planish::plan {
namespace {

// What runs just now, for whoever reads the report of a crash.
char g_current[1024];
void say_current(int signal) {
  constexpr char kTitle[] = "\nforged: ";
  (void)!::write(2, kTitle, sizeof(kTitle) - 1);
  (void)!::write(2, g_current, std::strlen(g_current));
  (void)!::write(2, "\n", 1);
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}
void set_current(const std::string& text) {
  std::snprintf(g_current, sizeof(g_current), "%s", text.c_str());
}
extern "C" void __asan_on_error() {
  (void)!::write(2, g_current, std::strlen(g_current));
  (void)!::write(2, "\n", 1);
}

void expect_typed(const Status& status) {
  EXPECT_NE(status.code(), Code::kInternal) << g_current << "\n" << status.to_string();
  EXPECT_FALSE(status.ok() ? false : status.message().empty()) << g_current;
}

struct Tally {
  int programs = 0, forged = 0, refused_by_rules = 0, refused = 0, ran = 0;
};

// The dice of a program hang on its title alone: one more program leaves the others' as they were.
// Other forgeries come with another PLANISH_FORGE_SEED.
uint64_t seed_of(const std::string& title) {
  const char* more = std::getenv("PLANISH_FORGE_SEED");
  return hash64(title + (more ? more : ""));
}

void forge_rounds(const std::string& title, const Program& good, const Feeds& feeds, int rounds,
                  Tally& tally) {
  Plan plan;
  plan.program = good;
  set_current(title);
  auto bytes = serialize(plan);
  ASSERT_TRUE(bytes.ok()) << title << ": " << bytes.status().to_string();
  const Status untouched = load_and_run(*bytes, feeds);
  ASSERT_TRUE(untouched.ok() || untouched.code() == Code::kUnsupported)
      << title << ": " << untouched.to_string();
  ++tally.programs;
  const uint64_t seed = seed_of(title);
  for (int round = 0; round < rounds; ++round) {
    Forger forger(world().kernels, seed + uint64_t(round));
    Plan forged;
    forged.program = good;
    std::string what = forger.forge(forged.program);
    if (round % 4 == 3) what += " and " + forger.forge(forged.program);
    set_current(cat(title, ", round ", round, ": ", what));
    ++tally.forged;
    auto written = serialize(forged);
    if (!written.ok()) {
      ++tally.refused_by_rules;
      continue;
    }
    ::alarm(60);
    const Status status = load_and_run(*written, feeds);
    ::alarm(0);
    expect_typed(status);
    ++(status.ok() ? tally.ran : tally.refused);
  }
}

void print(const Tally& t) {
  std::printf("%d programs, %d forgeries: %d refused by the rules of programs, %d later, %d ran\n",
              t.programs, t.forged, t.refused_by_rules, t.refused, t.ran);
}

void watch_signals() {
  for (int signal : {SIGABRT, SIGSEGV, SIGFPE, SIGALRM}) ::signal(signal, say_current);
}

TEST(ForgedPlan, H134_RegionsAndLayouts) {
  watch_signals();
  Tally tally;
  for (bool exact : {false, true})
    for (auto& [name, graph] : networks()) {
      auto program = compiled(std::move(graph), exact);
      ASSERT_TRUE(program.ok()) << name << ": " << program.status().to_string();
      forge_rounds(name + (exact ? " exact" : ""), *program, {}, 1200, tally);
      if (HasFailure()) return;
    }
  print(tally);
  EXPECT_GT(tally.refused, 1000);
}

// Bodies as programs: what is forged inside of them is met where they are loaded, bound or run.
TEST(ForgedPlan, H134_Bodies) {
  watch_signals();
  Tally tally;
  auto program = compiled(control_network(), true);
  ASSERT_TRUE(program.ok()) << program.status().to_string();
  int with_bodies = 0;
  for_each_step(*program, [&](const Step& step) { with_bodies += !step.bodies.empty(); });
  EXPECT_EQ(with_bodies, 3);
  forge_rounds("control", *program, {}, 4000, tally);
  print(tally);
  EXPECT_GT(tally.refused, 500);
}

TEST(ForgedPlan, H134_EveryOperator) {
  watch_signals();
  Tally tally;
  for (const opdef::OpCase& c : ops::all_cases())
    for (bool constants : {false, true}) {
      Feeds feeds;
      auto graph = graph_of(c, constants, feeds);
      if (!graph.ok() || world().ops.find(c.op)->random) continue;
      auto program = compiled(std::move(*graph), true);
      if (!program.ok() || program->steps.empty()) continue;
      forge_rounds(cat(c.op, ".", c.name, constants ? " constants" : ""), *program, feeds,
                   24, tally);
      if (HasFailure()) return;
    }
  print(tally);
  EXPECT_GT(tally.programs, 500);
  EXPECT_GT(tally.refused, 3000);
}

}  // namespace
}  // namespace planish::plan
