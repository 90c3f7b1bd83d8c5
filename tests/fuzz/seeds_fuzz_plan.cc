// Writes the seeds of fuzz_plan: plans of today's format, so that no stored file grows old. The
// networks and the first small case of every operator, compiled for the CPU; hand-made programs
// where the compiler leaves parts of the format unused. Usage: seeds_fuzz_plan FOLDER
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>

#include "base/text.h"
#include "ops/all_cases.h"
#include "plan/plan_file.h"
#include "plan/sample_testing.h"
#include "plan_road.h"

namespace {

using namespace planish;

int g_written = 0;

void write(const std::filesystem::path& path, const plan::Plan& plan) {
  const auto bytes = plan::serialize(plan);
  PLANISH_CHECK(bytes.ok(), bytes.status().to_string());
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes->data()), std::streamsize(bytes->size()));
  PLANISH_CHECK(file.good(), cat("cannot write ", path.string()));
  ++g_written;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: seeds_fuzz_plan FOLDER\n";
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  write(folder / "small", plan::small_plan());
  write(folder / "rich", plan::rich_plan());
  auto networks = plan::networks();
  networks.emplace_back("control", plan::control_network());
  for (auto& [name, graph] : networks) {
    auto program = plan::compiled(std::move(graph), false);
    PLANISH_CHECK(program.ok(), program.status().to_string());
    plan::Plan plan;
    plan.program = std::move(*program);
    write(folder / name, plan);
  }
  std::set<std::string> seen;
  for (const opdef::OpCase& c : ops::all_cases()) {
    plan::Feeds feeds;
    auto graph = plan::graph_of(c, true, feeds);
    if (!graph.ok() || seen.contains(c.op)) continue;
    auto program = plan::compiled(std::move(*graph), true);
    if (!program.ok() || program->steps.empty()) continue;
    seen.insert(c.op);
    plan::Plan plan;
    plan.program = std::move(*program);
    write(folder / cat("op_", c.op), plan);
  }
  std::cout << g_written << " seeds\n";
  return g_written > 100 ? 0 : 1;
}
