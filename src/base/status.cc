#include "base/status.h"

#include <cstdio>
#include <cstdlib>

namespace planish {

std::string_view code_name(Code code) {
  switch (code) {
    case Code::kOk: return "ok";
    case Code::kInvalidArgument: return "invalid argument";
    case Code::kUnsupported: return "unsupported";
    case Code::kUnimplemented: return "unimplemented";
    case Code::kNotFound: return "not found";
    case Code::kResourceExhausted: return "resource exhausted";
    case Code::kFailedPrecondition: return "failed precondition";
    case Code::kDataLoss: return "data loss";
    case Code::kIncompatible: return "incompatible";
    case Code::kCancelled: return "cancelled";
    case Code::kDeadlineExceeded: return "deadline exceeded";
    case Code::kDeviceError: return "device error";
    case Code::kVerificationFailed: return "verification failed";
    case Code::kInternal: return "internal error";
  }
  return "unknown code";
}

const std::string& Status::message() const {
  static const std::string empty;
  return state_ ? state_->message : empty;
}

std::string Status::to_string() const {
  if (ok()) return "ok";
  return std::string(code_name(code())) + ": " + message();
}

Status Status::at(std::string_view where) const {
  if (ok()) return *this;
  return Status(code(), std::string(where) + ": " + message());
}

Status invalid_argument(std::string message) {
  return Status(Code::kInvalidArgument, std::move(message));
}
Status unsupported(std::string message) { return Status(Code::kUnsupported, std::move(message)); }
Status unimplemented(std::string message) {
  return Status(Code::kUnimplemented, std::move(message));
}
Status not_found(std::string message) { return Status(Code::kNotFound, std::move(message)); }
Status resource_exhausted(std::string message) {
  return Status(Code::kResourceExhausted, std::move(message));
}
Status failed_precondition(std::string message) {
  return Status(Code::kFailedPrecondition, std::move(message));
}
Status data_loss(std::string message) { return Status(Code::kDataLoss, std::move(message)); }
Status internal_error(std::string message) { return Status(Code::kInternal, std::move(message)); }

namespace internal {

void check_failed(const char* file, int line, const char* condition, const std::string& message) {
  std::fprintf(stderr, "%s:%d: check failed: %s: %s\n", file, line, condition, message.c_str());
  std::abort();
}

void result_without_value(const Status& status) {
  check_failed(__FILE__, __LINE__, "result.ok()", status.to_string());
}

}  // namespace internal
}  // namespace planish
