// Runs the digit classifier's plan over its test images and prints accuracy and speed.
//
// It links libplanish_runtime alone: what a program needs that only runs plans. The images go in one
// by one, as a user of a camera would send them, and then all at once: the plan's batch is symbolic.
// Usage: digits_demo PLAN IMAGES.npy LABELS.npy
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "planish/context.h"
#include "planish/engine.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kPixels = 8 * 8;
constexpr int64_t kClasses = 10;

double us_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

// The elements of an .npy file whose type and shape are known: what follows the header.
template <class T>
std::vector<T> read_elements(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(in), {});
  if (bytes.size() < 10) return {};
  const size_t header = 10 + static_cast<unsigned char>(bytes[8]) +
                        256 * size_t(static_cast<unsigned char>(bytes[9]));
  if (bytes.size() < header) return {};
  std::vector<T> elements((bytes.size() - header) / sizeof(T));
  std::copy_n(bytes.data() + header, elements.size() * sizeof(T),
              reinterpret_cast<char*>(elements.data()));
  return elements;
}

int64_t best_class(const float* scores) { return std::max_element(scores, scores + kClasses) - scores; }

int fail(const planish::Status& status) {
  std::fprintf(stderr, "digits_demo: %s\n", status.to_string().c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: digits_demo PLAN IMAGES.npy LABELS.npy\n");
    return 1;
  }
  const auto images = read_elements<float>(argv[2]);
  const auto labels = read_elements<int64_t>(argv[3]);
  const auto count = int64_t(labels.size());
  if (count == 0 || int64_t(images.size()) != count * kPixels) {
    std::fprintf(stderr, "digits_demo: %zu pixels do not fit %zu labels\n", images.size(),
                 labels.size());
    return 1;
  }
  const auto before_load = Clock::now();
  const auto engine = planish::Engine::load(argv[1]);
  if (!engine.ok()) return fail(engine.status());
  auto context = planish::Context::create(*engine);
  if (!context.ok()) return fail(context.status());
  const double load_us = us_since(before_load);

  int64_t right = 0;
  std::vector<double> times_us;
  for (int64_t i = 0; i < count; ++i) {
    const auto before = Clock::now();
    planish::Status status = context->set_input(0, images.data() + i * kPixels, {1, 1, 8, 8});
    if (status.ok()) status = context->run();
    if (!status.ok()) return fail(status);
    times_us.push_back(us_since(before));
    const auto scores = context->output(0);
    if (!scores.ok()) return fail(scores.status());
    right += best_class(scores->data_as<float>()) == labels[size_t(i)];
  }
  std::sort(times_us.begin(), times_us.end());

  planish::Status status = context->set_input(0, images.data(), {count, 1, 8, 8});
  if (status.ok()) status = context->run();  // sets up the new shape
  std::vector<double> batch_times_us;
  for (int i = 0; i < 21 && status.ok(); ++i) {
    const auto before = Clock::now();
    status = context->run();
    batch_times_us.push_back(us_since(before));
  }
  if (!status.ok()) return fail(status);
  std::sort(batch_times_us.begin(), batch_times_us.end());
  const double batch_us = batch_times_us[batch_times_us.size() / 2];
  const auto scores = context->output(0);
  if (!scores.ok()) return fail(scores.status());
  int64_t right_in_batch = 0;
  for (int64_t i = 0; i < count; ++i)
    right_in_batch += best_class(scores->data_as<float>() + i * kClasses) == labels[size_t(i)];

  std::printf("accuracy   %lld of %lld test images right (%.1f %%)\n", (long long)right,
              (long long)count, 100.0 * double(right) / double(count));
  std::printf("latency    median %.1f us for one image (plan loaded in %.1f ms)\n",
              times_us[times_us.size() / 2], load_us / 1e3);
  std::printf("throughput %.0f images/s in one batch of %lld\n", double(count) / (batch_us / 1e6),
              (long long)count);
  if (right_in_batch != right)
    std::printf("note: the batch gives %lld right\n", (long long)right_in_batch);
  return 0;
}
