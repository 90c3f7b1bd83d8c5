// Status and Result<T>: how every fallible function of Planish reports.
//
// The user's mistake (a bad model, a wrong shape, a full disk) travels as a Status that says what
// happened, where, what was got and what was expected; our own mistake stops at PLANISH_CHECK.
// Context is added on the way up with Status::at(), outermost last, and printed outermost first.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace planish {

enum class Code {
  kOk = 0,
  kInvalidArgument,     // the caller's or the model's mistake
  kUnsupported,         // valid, but outside of what Planish can take
  kUnimplemented,       // an honest "not done yet"
  kNotFound,
  kResourceExhausted,   // memory, a declared limit
  kFailedPrecondition,  // right call at the wrong time
  kDataLoss,            // damaged bytes
  kIncompatible,        // a plan of another version, device or library
  kCancelled,
  kDeadlineExceeded,
  kDeviceError,
  kVerificationFailed,
  kInternal,
};

// "kInvalidArgument" -> "invalid argument".
std::string_view code_name(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message)
      : state_(std::make_shared<State>(State{code, std::move(message)})) {}

  bool ok() const { return state_ == nullptr; }
  Code code() const { return state_ ? state_->code : Code::kOk; }
  // Without the code's name; empty when ok.
  const std::string& message() const;
  // "invalid argument: model.onnx: node 'conv1' (Conv): ..."
  std::string to_string() const;
  // The same status with `where` put in front of its message.
  Status at(std::string_view where) const;

 private:
  struct State {
    Code code;
    std::string message;
  };
  std::shared_ptr<const State> state_;
};

inline Status ok_status() { return {}; }

namespace internal {
[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const std::string& message);
[[noreturn]] void result_without_value(const Status& status);
}  // namespace internal

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<1>, std::move(value)) {}  // NOLINT: implicit
  Result(Status status) : state_(std::in_place_index<0>, std::move(status)) {}  // NOLINT

  bool ok() const { return state_.index() == 1; }
  explicit operator bool() const { return ok(); }
  Status status() const { return ok() ? Status() : std::get<0>(state_); }
  T& value() & { return require(), std::get<1>(state_); }
  const T& value() const& { return require(), std::get<1>(state_); }
  T&& value() && { return require(), std::get<1>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  void require() const {
    if (!ok()) internal::result_without_value(std::get<0>(state_));
  }
  std::variant<Status, T> state_;
};

// Shorthands for the codes that most functions return.
Status invalid_argument(std::string message);
Status unsupported(std::string message);
Status unimplemented(std::string message);
Status not_found(std::string message);
Status resource_exhausted(std::string message);
Status failed_precondition(std::string message);
Status data_loss(std::string message);
Status internal_error(std::string message);

}  // namespace planish

#define PLANISH_CONCAT_(a, b) a##b
#define PLANISH_CONCAT(a, b) PLANISH_CONCAT_(a, b)
#define PLANISH_RETURN_IF_ERROR(expression)                         \
  do {                                                              \
    if (::planish::Status planish_status_ = (expression); !planish_status_.ok()) \
      return planish_status_;                                       \
  } while (false)
#define PLANISH_ASSIGN_OR_RETURN(target, expression) \
  PLANISH_ASSIGN_OR_RETURN_(PLANISH_CONCAT(planish_result_, __LINE__), target, expression)
#define PLANISH_ASSIGN_OR_RETURN_(result, target, expression) \
  auto result = (expression);                                 \
  if (!result.ok()) return result.status();                   \
  target = std::move(result).value()
// Our own mistake, never the user's: stops the process with file, line and message.
#define PLANISH_CHECK(condition, message)                                              \
  do {                                                                                 \
    if (!(condition)) [[unlikely]]                                                     \
      ::planish::internal::check_failed(__FILE__, __LINE__, #condition, (message));    \
  } while (false)
