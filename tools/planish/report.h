// What a plan is, as text for people; made from the JSON of Engine::describe_json().
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "planish/engine.h"

namespace planish::cli {

// Inputs, outputs, device, fusion, memory, time: a dozen lines.
std::string summary(const nlohmann::json& plan);
// One line per step: description, kernel, tactic, time, source nodes.
std::string step_table(const nlohmann::json& plan);
// Under each step the kernels that raced with their times, and those refused with the reason.
std::string explanation(const nlohmann::json& plan);
// Offsets and lifetimes of the arena's values.
std::string memory_map(const nlohmann::json& plan);

Result<nlohmann::json> describe(const Engine& engine);

}  // namespace planish::cli
