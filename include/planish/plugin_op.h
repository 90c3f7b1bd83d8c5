// The plugin ABI of planish/plugin.h for C++ authors: derive from Op and Kernel and hand them to
// describe() in planish_plugin_entry(). Header-only and independent of Planish's libraries: a plugin
// links nothing. examples/plugin is a complete one.
#pragma once
#include <algorithm>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "planish/plugin.h"

namespace planish::plugin {

// What a callback ends in: ok, or a code with a reason.
struct Outcome {
  planish_plugin_code code = PLANISH_PLUGIN_OK;
  std::string reason;
};
inline Outcome ok() { return {}; }
inline Outcome invalid(std::string reason) {
  return {PLANISH_PLUGIN_INVALID_ARGUMENT, std::move(reason)};
}
inline Outcome unsupported(std::string reason) {
  return {PLANISH_PLUGIN_UNSUPPORTED, std::move(reason)};
}

// A read-only look at a tensor.
class TensorView {
 public:
  explicit TensorView(const planish_plugin_tensor* tensor) : tensor_(tensor) {}
  bool present() const { return tensor_ != nullptr; }
  int dtype() const { return tensor_->dtype; }
  int rank() const { return tensor_->rank; }
  // -1 when it is not known yet.
  int64_t dim(int axis) const { return tensor_->dims[axis]; }
  std::string dim_text(int axis) const { return tensor_->dim_texts[axis]; }
  // Precondition: every dim is known.
  int64_t count() const {
    int64_t count = 1;
    for (int i = 0; i < rank(); ++i) count *= dim(i);
    return count;
  }
  template <class T>
  T* data() const {
    return static_cast<T*>(tensor_->data);
  }

 private:
  const planish_plugin_tensor* tensor_;
};

class NodeView {
 public:
  explicit NodeView(const planish_plugin_node* node) : node_(node) {}
  int input_count() const { return node_->input_count; }
  int output_count() const { return node_->output_count; }
  bool has_input(int i) const { return i < input_count() && node_->inputs[i]; }
  TensorView input(int i) const { return TensorView(node_->inputs[i]); }
  // Null when there is no attribute of that name.
  const planish_plugin_attribute* attribute(std::string_view name) const {
    for (int i = 0; i < node_->attribute_count; ++i) {
      if (name == node_->attributes[i]->name) return node_->attributes[i];
    }
    return nullptr;
  }
  int64_t attribute_int(std::string_view name) const { return attribute(name)->int_value; }
  double attribute_float(std::string_view name) const { return attribute(name)->float_value; }

 private:
  const planish_plugin_node* node_;
};

class Shapes {
 public:
  explicit Shapes(const planish_plugin_shapes* shapes) : shapes_(shapes) {}
  // Dims as texts: "3", "N", "2*N + 1".
  Outcome set(int index, int dtype, const std::vector<std::string>& dims) const {
    std::vector<const char*> texts;
    for (const std::string& dim : dims) texts.push_back(dim.c_str());
    const planish_plugin_code code =
        shapes_->set_output(shapes_->host, index, dtype, int32_t(dims.size()), texts.data());
    return code == PLANISH_PLUGIN_OK ? ok() : Outcome{code, "the host refused the output's shape"};
  }
  // Output `index` has the type and shape of `other`.
  Outcome set_like(int index, TensorView other) const {
    std::vector<std::string> dims;
    for (int i = 0; i < other.rank(); ++i) dims.push_back(other.dim_text(i));
    return set(index, other.dtype(), dims);
  }

 private:
  const planish_plugin_shapes* shapes_;
};

namespace internal {
inline planish_plugin_code finish(const Outcome& outcome, planish_plugin_message* message) {
  if (message && message->capacity > 0) {
    const size_t bytes = std::min(outcome.reason.size(), message->capacity - 1);
    std::memcpy(message->text, outcome.reason.data(), bytes);
    message->text[bytes] = 0;
  }
  return outcome.code;
}
// Nothing may be thrown across the ABI.
template <class F>
planish_plugin_code guarded(planish_plugin_message* message, F&& f) {
  try {
    return finish(f(), message);
  } catch (const std::exception& error) {
    return finish({PLANISH_PLUGIN_INTERNAL, error.what()}, message);
  } catch (...) {
    return finish({PLANISH_PLUGIN_INTERNAL, "an exception of unknown type"}, message);
  }
}
}  // namespace internal

// An operator. Fill the schema in the constructor; the strings must live as long as the object.
class Op {
 public:
  virtual ~Op() = default;
  virtual Outcome infer(const NodeView& node, const Shapes& shapes) const = 0;
  virtual Outcome evaluate(const NodeView& node, planish_plugin_tensor* const* outputs) const = 0;

  const planish_plugin_op* description() {
    op_.struct_size = sizeof(op_);
    op_.input_count = int32_t(input_specs_.size());
    op_.output_count = int32_t(output_specs_.size());
    op_.attribute_count = int32_t(attribute_specs_.size());
    for (const auto& spec : input_specs_) inputs_.push_back(&spec);
    for (const auto& spec : output_specs_) outputs_.push_back(&spec);
    for (const auto& spec : attribute_specs_) attributes_.push_back(&spec);
    op_.inputs = inputs_.data();
    op_.outputs = outputs_.data();
    op_.attributes = attributes_.data();
    op_.self = this;
    op_.infer = [](void* self, const planish_plugin_node* node, const planish_plugin_shapes* shapes,
                   planish_plugin_message* message) {
      return internal::guarded(message, [&] {
        return static_cast<Op*>(self)->infer(NodeView(node), Shapes(shapes));
      });
    };
    op_.evaluate = [](void* self, const planish_plugin_node* node,
                      planish_plugin_tensor* const* outputs, planish_plugin_message* message) {
      return internal::guarded(
          message, [&] { return static_cast<Op*>(self)->evaluate(NodeView(node), outputs); });
    };
    return &op_;
  }

 protected:
  Op(const char* name, const char* domain, const char* doc, int fusion = PLANISH_PLUGIN_OPAQUE) {
    op_.name = name;
    op_.domain = domain;
    op_.doc = doc;
    op_.fusion = fusion;
  }
  static constexpr uint64_t kF32 = 1;  // bit 0: DataType::kF32
  void add_input(const char* name, uint64_t types, bool optional = false) {
    input_specs_.push_back({sizeof(planish_plugin_value_spec), name, types, optional, "T", ""});
  }
  void add_output(const char* name, uint64_t types) {
    output_specs_.push_back({sizeof(planish_plugin_value_spec), name, types, 0, "T", ""});
  }
  void add_float(const char* name, double fallback, const char* doc) {
    planish_plugin_attribute spec{};
    spec.struct_size = sizeof(spec);
    spec.name = name;
    spec.kind = PLANISH_PLUGIN_FLOAT;
    spec.float_value = fallback;
    spec.doc = doc;
    attribute_specs_.push_back(spec);
  }
  void add_int(const char* name, int64_t fallback, const char* doc) {
    planish_plugin_attribute spec{};
    spec.struct_size = sizeof(spec);
    spec.name = name;
    spec.kind = PLANISH_PLUGIN_INT;
    spec.int_value = fallback;
    spec.doc = doc;
    attribute_specs_.push_back(spec);
  }

 private:
  planish_plugin_op op_{};
  std::vector<planish_plugin_value_spec> input_specs_, output_specs_;
  std::vector<planish_plugin_attribute> attribute_specs_;
  std::vector<const planish_plugin_value_spec*> inputs_, outputs_;
  std::vector<const planish_plugin_attribute*> attributes_;
};

// A way to compute an operator.
class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual Outcome supports(const planish_plugin_problem& problem) const = 0;
  virtual double predict_us(const planish_plugin_problem& problem) const = 0;
  virtual int64_t workspace_bytes(const planish_plugin_problem&) const { return 0; }
  // Appends the artifact to `bytes`.
  virtual Outcome compile(const planish_plugin_problem&, std::string&) const { return ok(); }
  virtual Outcome run(const planish_plugin_run& run) const = 0;

  const planish_plugin_kernel* description() {
    kernel_.struct_size = sizeof(kernel_);
    kernel_.self = this;
    kernel_.supports = [](void* self, const planish_plugin_problem* problem,
                          planish_plugin_message* message) {
      return internal::guarded(message,
                               [&] { return static_cast<Kernel*>(self)->supports(*problem); });
    };
    kernel_.predict_us = [](void* self, const planish_plugin_problem* problem) {
      return static_cast<Kernel*>(self)->predict_us(*problem);
    };
    kernel_.workspace_bytes = [](void* self, const planish_plugin_problem* problem) {
      return static_cast<Kernel*>(self)->workspace_bytes(*problem);
    };
    kernel_.compile = [](void* self, const planish_plugin_problem* problem,
                         const planish_plugin_sink* sink, planish_plugin_message* message) {
      return internal::guarded(message, [&] {
        std::string bytes;
        Outcome outcome = static_cast<Kernel*>(self)->compile(*problem, bytes);
        if (outcome.code == PLANISH_PLUGIN_OK) sink->append(sink->host, bytes.data(), bytes.size());
        return outcome;
      });
    };
    kernel_.run = [](void* self, const planish_plugin_run* run, planish_plugin_message* message) {
      return internal::guarded(message, [&] { return static_cast<Kernel*>(self)->run(*run); });
    };
    return &kernel_;
  }

 protected:
  Kernel(const char* name, const char* op, const char* device, int version = 1) {
    kernel_.name = name;
    kernel_.op = op;
    kernel_.device = device;
    kernel_.version = version;
  }

 private:
  planish_plugin_kernel kernel_{};
};

// Builds the description that planish_plugin_entry returns; call it on static objects.
inline const planish_plugin* describe(const char* name, const char* version,
                                      std::vector<Op*> ops, std::vector<Kernel*> kernels) {
  static std::vector<const planish_plugin_op*> op_list;
  static std::vector<const planish_plugin_kernel*> kernel_list;
  static planish_plugin plugin = [&] {
    for (Op* op : ops) op_list.push_back(op->description());
    for (Kernel* kernel : kernels) kernel_list.push_back(kernel->description());
    return planish_plugin{sizeof(planish_plugin),     PLANISH_PLUGIN_ABI,
                          name,                       version,
                          int32_t(op_list.size()),    op_list.data(),
                          int32_t(kernel_list.size()), kernel_list.data()};
  }();
  return &plugin;
}

}  // namespace planish::plugin
