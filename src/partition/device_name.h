// TensorFlow's device names ("/job:worker/task:1/device:GPU:0", "/gpu:0", "/device:GPU:*"), and which
// of them can be one device.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace planish::partition {

// A part that is absent or "*" can be any.
struct DeviceName {
  std::optional<std::string> job, replica, task, type, index;

  // Nullopt for a text that is no device name. The empty text is any device.
  static std::optional<DeviceName> parse(std::string_view text);
  // The device that both name; nullopt when there is none.
  static std::optional<DeviceName> merge(const DeviceName& a, const DeviceName& b);
  std::string to_string() const;
  friend bool operator==(const DeviceName&, const DeviceName&) = default;
};

}  // namespace planish::partition
