// The engines of one name in the device's resource manager, shared by all nodes that bear it: engines
// that are there, what was saved of them and is not taken over yet, and statistics. Thread-safe.
#pragma once
#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "planish/c/engine_set.h"
#include "absl/strings/match.h"
#include "tensorflow/core/framework/resource_mgr.h"
#include "tensorflow/core/platform/mutex.h"
#include "tensors.h"

namespace planish_tensorflow {

using namespace tensorflow;  // NOLINT: the code of a TensorFlow kernel

constexpr char kContainer[] = "Planish";
constexpr int kWarnings = 5;  // fallbacks per engine that are logged

class EngineResource : public ResourceBase {
 public:
  ~EngineResource() override { planish_engine_set_free(set_); }
  std::string DebugString() const override { return "Planish engines"; }

  // The set when nothing is to be done before it can run; null otherwise.
  planish_engine_set* ready_set() const {
    planish_engine_set* made = set_.load(std::memory_order_acquire);
    return has_pending_.load(std::memory_order_acquire) ? nullptr : made;
  }
  // The set, made on first use; null with the reason when that fails.
  planish_engine_set* set(const planish_engine_set_options& options,
                          const planish_graph_source& source, std::string* reason) {
    // Whoever comes first sets up and the others wait: they would only build what is being loaded.
    mutex_lock setup(setup_mutex_);
    planish_engine_set* made = set_;
    if (!made) {
      if (planish_engine_set_create(&options, &made) != PLANISH_OK) {
        *reason = planish_error_message();
        mutex_lock lock(mutex_);
        error_ = *reason;
        return nullptr;
      }
      set_.store(made, std::memory_order_release);
    }
    std::vector<Pending> pending;
    {
      mutex_lock lock(mutex_);
      pending.swap(pending_);
    }
    for (const Pending& one : pending) take_over(made, one, source, options.allow_build);
    mutex_lock lock(mutex_);
    has_pending_.store(!pending_.empty(), std::memory_order_release);
    return made;
  }

  // A saved engine: opened when one is needed.
  void add_file(const std::string& path, const std::string& shapes) {
    {
      mutex_lock lock(mutex_);
      files_.push_back({path, "", shapes});
    }
    add({path, "", shapes});
  }
  // Functions of a model that is gone may still run: its saved engines can be opened again for them.
  void inherit_files(EngineResource& gone) {
    mutex_lock other(gone.mutex_);
    mutex_lock lock(mutex_);
    files_ = pending_ = gone.files_;
    has_pending_.store(!pending_.empty(), std::memory_order_release);
  }
  bool has_files() {
    mutex_lock lock(mutex_);
    return !files_.empty();
  }
  // The file that an engine for these shapes was opened from; empty when there is none.
  std::string saved_plan(const std::string& shapes) {
    mutex_lock lock(mutex_);
    for (const Pending& one : files_)
      if (one.shapes == shapes && absl::EndsWith(one.path, ".plan")) return one.path;
    return "";
  }
  void add_plan(const std::string& plan) { add({"", plan, ""}); }
  void add_range(const std::string& shapes) { add({"", "", shapes}); }
  bool is_recording() const { return recording_; }
  void record(const std::string& shapes) {
    mutex_lock lock(mutex_);
    recorded_.push_back(shapes);
  }
  void start_recording() {
    mutex_lock lock(mutex_);
    recording_ = true;
    recorded_.clear();
  }
  std::string stop_recording() {
    mutex_lock lock(mutex_);
    recording_ = false;
    std::string out = "[";
    for (const std::string& one : recorded_) out += (out.size() > 1 ? ", " : "") + one;
    return out + "]";
  }

  // Loaded models that have the engine; the last one to go takes it with it.
  void use() {
    mutex_lock lock(mutex_);
    if (users_.fetch_add(1) > 0) return;
    // The model brings files of its own; those inherited may be gone.
    const auto is_file = [](const Pending& one) { return !one.path.empty(); };
    pending_.erase(std::remove_if(pending_.begin(), pending_.end(), is_file), pending_.end());
    files_.clear();
    has_pending_.store(!pending_.empty(), std::memory_order_release);
  }
  bool release() { return users_.fetch_sub(1) <= 1; }

  // TensorFlow ran the segment, in place of an engine or (no count) while shapes were recorded.
  void note_native(double us, bool counts) {
    mutex_lock lock(mutex_);
    native_us_ += us;
    native_calls_ += counts;
  }
  bool should_warn() { return warnings_.fetch_add(1) < kWarnings; }

  std::string statistics() {
    mutex_lock lock(mutex_);
    std::string engine = "{}";
    char* text = nullptr;
    if (set_ && planish_engine_set_statistics_json(set_, &text) == PLANISH_OK) engine = text;
    planish_string_free(text);
    std::string notes;
    for (const std::string& note : notes_) notes += (notes.empty() ? "" : ", ") + json_text(note);
    return "{\"engine\": " + engine + ", \"native_calls\": " + std::to_string(native_calls_) +
           ", \"native_us\": " + std::to_string(native_us_) + ", \"error\": " + json_text(error_) +
           ", \"notes\": [" + notes + "]}";
  }
  planish_engine_records* records() {
    mutex_lock lock(mutex_);
    planish_engine_records* records = nullptr;
    if (set_) (void)planish_engine_set_records(set_, &records);
    return records;
  }

 private:
  struct Pending {
    std::string path, plan, shapes;  // a file, or bytes of a plan, or shapes to build for
  };

  void add(Pending pending) {
    mutex_lock lock(mutex_);
    pending_.push_back(std::move(pending));
    has_pending_.store(true, std::memory_order_release);
  }

  // Whatever was saved and does not fit this machine or version is built anew for the same shapes.
  void take_over(planish_engine_set* set, const Pending& one, const planish_graph_source& source,
                 bool allow_build) {
    planish_code code = PLANISH_OK;
    if (!one.path.empty()) code = planish_engine_set_add_file(set, &source, one.path.c_str());
    else if (!one.plan.empty())
      code = planish_engine_set_add_plan(set, one.plan.data(), one.plan.size());
    const bool is_range = one.path.empty() && one.plan.empty();
    if (code != PLANISH_OK) note(one.path, "an engine was not taken over: ");
    if ((is_range || (code != PLANISH_OK && allow_build)) && !one.shapes.empty() &&
        planish_engine_set_prepare(set, &source, one.shapes.c_str(), nullptr) != PLANISH_OK)
      note(one.path, "an engine was not built: ");
  }
  void note(const std::string& path, const char* what) {
    const std::string text = what + (path.empty() ? "" : path + ": ") + planish_error_message();
    LOG(WARNING) << "Planish: " << text;
    mutex_lock lock(mutex_);
    notes_.push_back(text);
  }

  mutex setup_mutex_;  // taken before mutex_
  std::atomic<planish_engine_set*> set_{nullptr};
  std::atomic<bool> has_pending_{false};
  mutex mutex_;  // of what follows
  std::string error_;
  std::vector<Pending> pending_, files_;  // to be taken over; all files of the model
  std::vector<std::string> notes_, recorded_;
  std::atomic<bool> recording_{false};
  std::atomic<int> warnings_{0}, users_{0};
  int64_t native_calls_ = 0;
  double native_us_ = 0;
};

inline absl::Status resource_of(OpKernelContext* ctx, const std::string& name,
                                EngineResource** resource) {
  return ctx->resource_manager()->LookupOrCreate<EngineResource>(
      kContainer, name, resource, [](EngineResource** made) {
        *made = new EngineResource();
        return absl::OkStatus();
      });
}

}  // namespace planish_tensorflow
