#include "report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "text.h"

namespace planish::cli {
namespace {

using nlohmann::json;

std::string text_of(const json& value) {
  return value.is_string() ? printable(value.get<std::string>()) : value.dump();
}

std::string joined(const json& names, size_t width) {
  std::string out;
  for (const json& name : names) out += (out.empty() ? "" : " + ") + text_of(name);
  return shorten(out, width);
}

std::string shape_text(const json& value) {
  std::string out;
  for (const json& dim : value.at("shape")) out += (out.empty() ? "" : ", ") + text_of(dim);
  return fmt::format("{}[{}]", text_of(value.at("dtype")), out);
}

double expected_us(const json& plan) {
  double sum = 0;
  for (const json& step : plan.at("steps")) sum += step.value("expected_us", 0.0);
  return sum;
}

int reference_steps(const json& plan) {
  int count = 0;
  for (const json& step : plan.at("steps")) count += step.value("reference", false);
  return count;
}

// How the steps are launched where that is not one after the other; "" where it is.
std::string launches_text(const json& plan) {
  int streams = 0, beside = 0, after_end = 0;
  for (const json& step : plan.at("steps")) {
    const int stream = step.value("stream", 0);
    streams = std::max(streams, stream);
    beside += stream != 0;
    after_end += !step.value("programmatic", true);
  }
  std::string out;
  if (beside) out = fmt::format("{} steps on {} streams beside the others", beside, streams);
  if (after_end)
    out += fmt::format("{}{} that wait for the end of the one in front", out.empty() ? "" : ", ", after_end);
  const json report = plan.value("report", json());
  const json race = report.is_object() ? report.value("launches", json()) : json();
  if (!out.empty() && race.is_object() && race.value("plain_us", 0.0) > 0)
    out += fmt::format("; {} per run, {} in a row", format_us(race.value("us", 0.0)),
                       format_us(race.value("plain_us", 0.0)));
  return out;
}

// What the build's whole runs of near ties told; empty where there were none.
json tactics_of(const json& plan) {
  const json report = plan.value("report", json());
  const json tactics = report.is_object() ? report.value("tactics", json()) : json();
  return tactics.is_object() ? tactics : json::object();
}

std::string tactics_text(const json& plan) {
  const json tactics = tactics_of(plan);
  const int exchanged = tactics.value("exchanged", 0);
  if (!exchanged) return "";
  return fmt::format("{} steps run what was faster in whole runs; {} per run, {} without",
                     exchanged, format_us(tactics.value("us", 0.0)), format_us(tactics.value("plain_us", 0.0)));
}

}  // namespace

Result<json> describe(const Engine& engine) {
  auto text = engine.describe_json();
  if (!text.ok()) return text.status();
  return json::parse(*text);
}

std::string summary(const json& plan) {
  std::string out;
  const auto line = [&](std::string_view head, const std::string& rest) {
    out += fmt::format("  {:<9} {}\n", head, rest);
  };
  for (const char* kind : {"inputs", "outputs"}) {
    for (const json& value : plan.at(kind))
      line(kind[0] == 'i' ? "input" : "output",
           fmt::format("{}  {}", text_of(value.at("name")), shape_text(value)));
  }
  const json& device = plan.at("device");
  line("device", fmt::format("{} ({}, {}, {} threads)", text_of(device.at("kind")),
                             text_of(device.at("name")), text_of(device.at("isa")),
                             device.value("threads", 0)));

  std::set<std::string> sources;
  std::map<std::string, int> kernels;
  size_t largest = 0;
  for (const json& step : plan.at("steps")) {
    for (const json& source : step.at("sources")) sources.insert(source.get<std::string>());
    largest = std::max(largest, step.at("sources").size());
    ++kernels[step.at("kernel").get<std::string>()];
  }
  line("fusion", fmt::format("{} source nodes in {} steps, up to {} in one", sources.size(),
                             plan.at("steps").size(), largest));
  std::vector<std::string> counts;
  for (const auto& [kernel, count] : kernels) counts.push_back(fmt::format("{} x {}", count, kernel));
  for (size_t i = 0; i < counts.size(); i += 4) {
    const auto end = counts.begin() + long(std::min(counts.size(), i + 4));
    line(i ? "" : "kernels", fmt::format("{}", fmt::join(counts.begin() + long(i), end, ", ")));
  }
  for (const json& library : plan.at("libraries"))
    line("needs", fmt::format("{} for its kernels", text_of(library)));
  if (const int count = reference_steps(plan))
    line("", fmt::format("{} steps run on reference code: correct, slow", count));

  if (const std::string launches = launches_text(plan); !launches.empty()) line("launches", launches);
  if (const std::string tactics = tactics_text(plan); !tactics.empty()) line("tactics", tactics);
  const json& memory = plan.at("memory");
  line("memory", fmt::format("arena {} (without reuse {}, lower bound {})",
                             format_bytes(memory.value("arena_bytes", int64_t(0))),
                             format_bytes(memory.value("sum_bytes", int64_t(0))),
                             format_bytes(memory.value("lower_bound_bytes", int64_t(0)))));
  line("", fmt::format("weights {}, packed {}",
                       format_bytes(memory.value("weight_bytes", int64_t(0))),
                       format_bytes(memory.value("packed_bytes", int64_t(0)))));
  line("time", fmt::format("{} expected per run", format_us(expected_us(plan))));
  return out;
}

std::string step_table(const json& plan) {
  Table table({{"#", true}, {"step"}, {"kernel"}, {"tactic"}, {"expected", true}, {"from"}});
  for (const json& step : plan.at("steps")) {
    table.add({std::to_string(step.value("index", 0)),
               shorten(text_of(step.at("description")), 60),
               text_of(step.at("kernel")) + (step.value("reference", false) ? " (reference)" : ""),
               shorten(text_of(step.at("tactic")), 28), format_us(step.value("expected_us", 0.0)),
               joined(step.at("sources"), 60)});
  }
  return table.to_string();
}

std::string explanation(const json& plan) {
  std::string out;
  for (const json& step : plan.at("steps")) {
    std::string launch;
    if (step.value("stream", 0) != 0) launch = fmt::format(", on stream {}", step.value("stream", 0));
    if (const json waits = step.value("waits", json::array()); !waits.empty())
      launch += fmt::format(", behind steps {}", joined(waits, 60));
    if (!step.value("programmatic", true)) launch += ", behind the end of the one in front";
    out += fmt::format("  step {}: {}{}\n    from {}\n    taken: {}{}{}\n", step.value("index", 0),
                       text_of(step.at("description")), launch, joined(step.at("sources"), 400),
                       text_of(step.at("kernel")), text_of(step.at("tactic")).empty() ? "" : " ",
                       text_of(step.at("tactic")));
    for (const json& body : step.value("bodies", json::array()))
      for (const json& one : body.at("steps"))
        out += fmt::format("      in {}: {}  {}{}\n", text_of(body.at("attribute")),
                           text_of(one.at("description")), text_of(one.at("kernel")),
                           one.value("reference", false) ? " (reference)" : "");
    for (const json& one : step.at("considered")) {
      const std::string name =
          fmt::format("{} {}", text_of(one.at("kernel")), text_of(one.at("tactic")));
      if (one.contains("refused")) {
        out += fmt::format("      refused  {}: {}\n", name, text_of(one.at("refused")));
      } else if (one.contains("measured_us")) {
        out += fmt::format("      measured {}: {}\n", name,
                           format_us(one.at("measured_us").get<double>()));
      } else {
        out += fmt::format("      predicted {}: {}\n", name,
                           format_us(one.value("predicted_us", 0.0)));
      }
    }
  }
  for (const json& trial : tactics_of(plan).value("trials", json::array()))
    out += fmt::format("  whole runs: {} in place of {} in steps {}: {} per run, {} without{}\n",
                       text_of(trial.at("tried")), text_of(trial.at("had")), joined(trial.at("steps"), 60),
                       format_us(trial.value("us", 0.0)), format_us(trial.value("plain_us", 0.0)),
                       trial.value("taken", false) ? ", taken" : "");
  return out;
}

std::string memory_map(const json& plan) {
  Table table({{"value"}, {"bytes", true}, {"offset", true}, {"alive in steps", true}});
  for (const json& value : plan.at("memory").at("values")) {
    table.add({shorten(text_of(value.at("name")), 60),
               format_bytes(value.value("bytes", int64_t(0))),
               std::to_string(value.value("offset", int64_t(0))),
               fmt::format("{}-{}", value.value("first_step", 0), value.value("last_step", 0))});
  }
  return table.to_string();
}

}  // namespace planish::cli
