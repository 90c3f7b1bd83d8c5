#include "saved_engines.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "planish/engine.h"

namespace planish::cli {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> plans_of(const std::string& folder) {
  std::vector<fs::path> plans;
  std::error_code error;
  if (!fs::exists(fs::path(folder) / "saved_model.pb", error)) return plans;
  for (fs::directory_iterator it(fs::path(folder) / "assets", error), end; !error && it != end;
       it.increment(error))
    if (it->path().extension() == ".plan") plans.push_back(it->path());
  std::sort(plans.begin(), plans.end());
  return plans;
}

std::string list_of(const std::vector<fs::path>& plans) {
  std::string out;
  for (const fs::path& plan : plans) {
    out += fmt::format("\n  {}", plan.stem().string());
    if (const auto engine = Engine::load(plan.string()); engine.ok())
      for (const TensorDesc& input : engine->inputs()) out += "  " + to_string(input);
  }
  return out;
}

}  // namespace

bool has_saved_engines(const std::string& folder) { return !plans_of(folder).empty(); }

Result<std::string> find_saved_engine(const std::string& folder, const std::string& name) {
  const std::vector<fs::path> plans = plans_of(folder);
  std::vector<fs::path> fitting;
  for (const fs::path& plan : plans)
    if (plan.stem().string().find(name) != std::string::npos) fitting.push_back(plan);
  if (fitting.size() == 1) return fitting[0].string();
  if (fitting.empty())
    return Status(Code::kNotFound,
                  fmt::format("{} has no engine '{}'; there are{}", folder, name, list_of(plans)));
  return Status(Code::kInvalidArgument, fmt::format("{} has {} engines; choose one with --engine:{}",
                                                    folder, fitting.size(), list_of(fitting)));
}

}  // namespace planish::cli
