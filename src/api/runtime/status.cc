// The public Status and its shorthands.
#include "planish/status.h"

#include <cstdio>
#include <cstdlib>

#include "base/status.h"
#include "base/text.h"
#include "planish/config.h"

namespace planish::v1 {

struct Status::State {
  Code code;
  std::string message;
};

const char* version() { return PLANISH_VERSION; }

const char* code_name(Code code) {
  if (int(code) < 0 || int(code) > int(Code::kInternal)) return "unknown code";
  return planish::code_name(planish::Code(code)).data();
}

Status::Status(Code code, std::string message) {
  if (code != Code::kOk) state_ = std::make_shared<State>(State{code, std::move(message)});
}

Code Status::code() const { return state_ ? state_->code : Code::kOk; }

const std::string& Status::message() const {
  static const std::string& empty = *new std::string();
  return state_ ? state_->message : empty;
}

std::string Status::to_string() const {
  return ok() ? "ok" : cat(code_name(code()), ": ", message());
}

Status Status::at(const std::string& where) const {
  return ok() ? Status() : Status(code(), cat(where, ": ", message()));
}

void fail_without_value(const Status& status) {
  std::fprintf(stderr, "planish: the value of a failed result was taken: %s\n",
               status.to_string().c_str());
  std::abort();
}

}  // namespace planish::v1
