// A cuDNN without a GPU, as a shared object for tests: graphs of a convolution and pointwise operations
// are computed on the host, in the order of the fake driver's streams. $FAKE_CUDNN=version=92000 makes it
// another version than 9.19.
//
// Its heuristics propose four engines: 7, on tensor cores, with knob 3 at 1; 8, with 4 KB of workspace,
// every byte of which it overwrites; 9, which transforms (Winograd); 10, compiled at run time. A caller
// must leave out 9, and 7 where f32 operands may not be rounded.
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "backend/cuda/library/cudnn_abi.h"
#include "backend/cuda/testing/fake_library.h"

namespace {

using namespace planish::cuda::cudnn;
using planish::ir::DataType;

enum : int { kBadParameter = 2000, kNotSupported = 3000 };
constexpr int64_t kEngines[] = {7, 8, 9, 10};
thread_local std::string last_error;

int refuse(int status, const char* why) { return last_error = why, status; }

// Attributes as they were set: any number of elements of eight bytes or fewer.
struct Node {
  Kind kind;
  bool finished = false;
  std::map<Attribute, std::vector<std::byte>> attributes;

  template <class T>
  std::vector<T> list(Attribute which) const {
    const auto found = attributes.find(which);
    if (found == attributes.end()) return {};
    std::vector<T> out(found->second.size() / sizeof(T));
    if (!out.empty()) std::memcpy(out.data(), found->second.data(), out.size() * sizeof(T));
    return out;
  }
  template <class T>
  T one(Attribute which, T fallback = {}) const {
    const auto values = list<T>(which);
    return values.empty() ? fallback : values[0];
  }
  const Node* node(Attribute which) const { return static_cast<const Node*>(one<Descriptor>(which)); }
  template <class T>
  void put(Attribute which, const std::vector<T>& values) {
    auto& bytes = attributes[which];
    bytes.resize(values.size() * sizeof(T));
    if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  }
};
struct FakeHandle {
  void* stream = nullptr;
};

size_t size_of(Type type) {
  switch (type) {
    case Type::kBoolean: return 1;
    case Type::kHandle: case Type::kInt64: case Type::kDouble: case Type::kPointer: case Type::kDescriptor: return 8;
    default: return 4;
  }
}

DataType type_of(const Node& tensor) {
  const int type = tensor.one<int>(Attribute::kTensorType);
  return type == kF16 ? DataType::kF16 : type == kBF16 ? DataType::kBF16 : DataType::kF32;
}

// What a replay needs of a plan: tensors, operations, addresses.
struct Work {
  std::vector<Node> operations, tensors;
  std::map<const Node*, size_t> number;  // of the tensors, by their place in the graph
  std::vector<void*> at;                 // null: virtual

  size_t tensor(const Node* node, const std::map<int64_t, void*>& addresses) {
    const auto [found, is_new] = number.emplace(node, tensors.size());
    if (is_new) {
      tensors.push_back(*node);
      const auto address = addresses.find(node->one<int64_t>(Attribute::kTensorId));
      at.push_back(node->one<uint8_t>(Attribute::kTensorVirtual) || address == addresses.end() ? nullptr
                                                                                             : address->second);
    }
    return found->second;
  }
};

struct Values {
  std::vector<int64_t> dims;
  std::vector<double> data;
  double& at(int64_t n, int64_t c, int64_t y, int64_t x) {
    return data[size_t(((n * dims[1] + c) * dims[2] + y) * dims[3] + x)];
  }
};

template <class Each>
void for_each(const std::vector<int64_t>& dims, Each each) {
  for (int64_t n = 0; n < dims[0]; ++n)
    for (int64_t c = 0; c < dims[1]; ++c)
      for (int64_t y = 0; y < dims[2]; ++y)
        for (int64_t x = 0; x < dims[3]; ++x) each(n, c, y, x);
}

int64_t place(const Node& tensor, int64_t n, int64_t c, int64_t y, int64_t x) {
  const auto strides = tensor.list<int64_t>(Attribute::kTensorStrides);
  return n * strides[0] + c * strides[1] + y * strides[2] + x * strides[3];
}

void convolve(const Node& op, const Node& how, Values& x, Values& w, Values& y) {
  const auto pads = how.list<int64_t>(Attribute::kConvolutionPrePads);
  const auto strides = how.list<int64_t>(Attribute::kConvolutionStrides);
  const auto dilations = how.list<int64_t>(Attribute::kConvolutionDilations);
  const int64_t groups = x.dims[1] / w.dims[1], filters = w.dims[0] / groups;
  for_each(y.dims, [&](int64_t n, int64_t k, int64_t oy, int64_t ox) {
    double sum = 0;
    for (int64_t c = 0; c < w.dims[1]; ++c)
      for (int64_t r = 0; r < w.dims[2]; ++r)
        for (int64_t s = 0; s < w.dims[3]; ++s) {
          const int64_t iy = oy * strides[0] - pads[0] + r * dilations[0];
          const int64_t ix = ox * strides[1] - pads[1] + s * dilations[1];
          if (iy < 0 || ix < 0 || iy >= x.dims[2] || ix >= x.dims[3]) continue;
          sum += x.at(n, k / filters * w.dims[1] + c, iy, ix) * w.at(k, c, r, s);
        }
    y.at(n, k, oy, ox) = sum * op.one<float>(Attribute::kForwardAlpha);
  });
}

void run(Work& work) {
  std::vector<Values> values(work.tensors.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const Node& tensor = work.tensors[i];
    Values& v = values[i];
    v.dims = tensor.list<int64_t>(Attribute::kTensorDims);
    v.data.resize(size_t(v.dims[0] * v.dims[1] * v.dims[2] * v.dims[3]));
    if (work.at[i])
      for_each(v.dims, [&](int64_t n, int64_t c, int64_t y, int64_t x) {
        v.at(n, c, y, x) = planish_fake::load(type_of(tensor), work.at[i], place(tensor, n, c, y, x));
      });
  }
  const auto value = [&](const Node& op, Attribute which) -> Values& { return values[work.number.at(op.node(which))]; };
  for (const Node& op : work.operations) {
    if (op.kind == Kind::kConvolutionForward) {
      convolve(op, *op.node(Attribute::kForwardConvolution), value(op, Attribute::kForwardX),
               value(op, Attribute::kForwardW), value(op, Attribute::kForwardY));
      continue;
    }
    const Node& how = *op.node(Attribute::kOperationPointwise);
    Values &x = value(op, Attribute::kOperationX), &y = value(op, Attribute::kOperationY);
    const bool relu = how.one<int>(Attribute::kPointwiseMode) == kPointwiseRelu;
    const double high = how.one<double>(Attribute::kPointwiseUpperClip, 1e300);
    for_each(y.dims, [&](int64_t n, int64_t c, int64_t iy, int64_t ix) {
      double v = x.at(n, c, iy, ix);
      if (relu) {
        v = v < 0 ? 0 : v > high ? high : v;
      } else {
        Values& b = value(op, Attribute::kOperationB);
        const auto limit = [&](int d, int64_t i) { return b.dims[size_t(d)] == 1 ? 0 : i; };
        v += b.at(limit(0, n), limit(1, c), limit(2, iy), limit(3, ix));
      }
      y.at(n, c, iy, ix) = v;
    });
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const Node& tensor = work.tensors[i];
    if (!work.at[i] || tensor.one<int64_t>(Attribute::kTensorId) != 5) continue;  // the result
    for_each(values[i].dims, [&](int64_t n, int64_t c, int64_t y, int64_t x) {
      planish_fake::store(type_of(tensor), work.at[i], place(tensor, n, c, y, x), values[i].at(n, c, y, x));
    });
  }
}

std::vector<int64_t> knob_values(int64_t engine) { return engine == 7 ? std::vector<int64_t>{1} : std::vector<int64_t>(); }

// What an engine or configuration may be finished with.
int check(const Node& node) {
  if (node.kind == Kind::kEngine) {
    const int64_t engine = node.one<int64_t>(Attribute::kEngineIndex, -1);
    for (const int64_t known : kEngines)
      if (known == engine) return kSuccess;
    return refuse(kNotSupported, "fake: no such engine");
  }
  if (node.kind != Kind::kEngineConfig) return kSuccess;
  const Node& engine = *node.node(Attribute::kConfigEngine);
  const auto knobs = node.list<Descriptor>(Attribute::kConfigKnobs);
  const auto wanted = knob_values(engine.one<int64_t>(Attribute::kEngineIndex));
  if (knobs.size() != wanted.size()) return refuse(kNotSupported, "fake: other knobs than the engine's");
  for (size_t i = 0; i < knobs.size(); ++i)
    if (static_cast<Node*>(knobs[i])->one<int64_t>(Attribute::kKnobValue) != wanted[i])
      return refuse(kNotSupported, "fake: a knob that the engine has not");
  return kSuccess;
}

const Node& engine_of(const Node& plan) {
  return *plan.node(Attribute::kPlanConfig)->node(Attribute::kConfigEngine);
}

template <class T>
int answer(const std::vector<T>& values, int64_t wanted, int64_t* count, void* out) {
  *count = int64_t(values.size());
  std::copy_n(values.begin(), std::min<size_t>(values.size(), size_t(wanted)), static_cast<T*>(out));
  return kSuccess;
}

// Engines and knob choices live as long as the process: what heuristics hand out refers to them.
Node* kept(Kind kind) {
  static auto& all = *new std::deque<Node>();
  static std::mutex& mutex = *new std::mutex();
  std::lock_guard lock(mutex);
  return &all.emplace_back(Node{kind, true, {}});
}

int proposals(int64_t wanted, int64_t* count, Descriptor* out) {
  for (*count = 0; *count < wanted && *count < int64_t(std::size(kEngines)); ++*count) {
    const int64_t index = kEngines[*count];
    Node* engine = kept(Kind::kEngine);
    engine->put<int64_t>(Attribute::kEngineIndex, {index});
    std::vector<Descriptor> knobs;
    for (const int64_t value : knob_values(index)) {
      Node* knob = kept(Kind::kKnobChoice);
      knob->put<int32_t>(Attribute::kKnobType, {3});
      knob->put<int64_t>(Attribute::kKnobValue, {value});
      knobs.push_back(knob);
    }
    auto& config = *static_cast<Node*>(out[*count]);
    config.put<Descriptor>(Attribute::kConfigEngine, {engine});
    config.put<Descriptor>(Attribute::kConfigKnobs, knobs);
  }
  return kSuccess;
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT size_t cudnnGetVersion() { return size_t(planish_fake::version_setting("FAKE_CUDNN", 91900)); }
EXPORT const char* cudnnGetErrorString(int status) { return status == kSuccess ? "success" : "fake error"; }
EXPORT void cudnnGetLastErrorString(char* text, size_t bytes) {
  std::strncpy(text, last_error.c_str(), bytes - 1);
  last_error.clear();
}
EXPORT int cudnnCreate(Handle* handle) { return *handle = new FakeHandle(), kSuccess; }
EXPORT int cudnnSetStream(Handle handle, void* stream) {
  return static_cast<FakeHandle*>(handle)->stream = stream, kSuccess;
}
EXPORT int cudnnBackendCreateDescriptor(Kind kind, Descriptor* out) { return *out = new Node{kind, false, {}}, kSuccess; }
EXPORT int cudnnBackendDestroyDescriptor(Descriptor at) { return delete static_cast<Node*>(at), kSuccess; }
EXPORT int cudnnBackendFinalize(Descriptor at) {
  auto& node = *static_cast<Node*>(at);
  if (node.finished) return refuse(kBadParameter, "fake: finished twice");
  if (const int status = check(node); status != kSuccess) return status;
  node.finished = true;
  return kSuccess;
}
EXPORT int cudnnBackendSetAttribute(Descriptor at, Attribute attribute, Type type, int64_t count, const void* values) {
  auto& node = *static_cast<Node*>(at);
  if (node.finished || count < 1) return refuse(kBadParameter, "fake: an attribute of a finished descriptor");
  auto& bytes = node.attributes[attribute];
  bytes.resize(size_t(count) * size_of(type));
  std::memcpy(bytes.data(), values, bytes.size());
  return kSuccess;
}
EXPORT int cudnnBackendGetAttribute(Descriptor at, Attribute attribute, Type, int64_t wanted, int64_t* count,
                                    void* values) {
  const auto& node = *static_cast<const Node*>(at);
  const int64_t engine = node.one<int64_t>(Attribute::kEngineIndex);
  switch (attribute) {
    case Attribute::kHeuristicsResults: return proposals(wanted, count, static_cast<Descriptor*>(values));
    case Attribute::kConfigEngine:
      return *static_cast<Node*>(*static_cast<Descriptor*>(values)) = *node.node(attribute), *count = 1, kSuccess;
    case Attribute::kConfigKnobs: {
      const auto knobs = node.list<Descriptor>(attribute);
      for (size_t i = 0; i < knobs.size(); ++i)
        *static_cast<Node*>(static_cast<Descriptor*>(values)[i]) = *static_cast<Node*>(knobs[i]);
      return *count = int64_t(knobs.size()), kSuccess;
    }
    case Attribute::kEngineNumericalNote:
      return answer<int32_t>(engine == 7   ? std::vector<int32_t>{kNoteTensorCore}
                             : engine == 9 ? std::vector<int32_t>{kNoteWinograd}
                                           : std::vector<int32_t>(),
                             wanted, count, values);
    case Attribute::kEngineBehaviorNote:
      return answer<int32_t>(engine == 10 ? std::vector<int32_t>{kBehaviorRuntimeCompiled} : std::vector<int32_t>(),
                             wanted, count, values);
    case Attribute::kPlanWorkspace:
      return answer<int64_t>({engine_of(node).one<int64_t>(Attribute::kEngineIndex) == 8
                                  ? int64_t(planish_fake::kWorkspace) : 0},
                             wanted, count, values);
    case Attribute::kEngineIndex: return answer(node.list<int64_t>(attribute), wanted, count, values);
    case Attribute::kKnobType: return answer(node.list<int32_t>(attribute), wanted, count, values);
    case Attribute::kKnobValue: return answer(node.list<int64_t>(attribute), wanted, count, values);
    default: return refuse(kBadParameter, "fake: an attribute that nobody asks for");
  }
}
EXPORT int cudnnBackendExecute(Handle handle, Descriptor plan_at, Descriptor pack_at) {
  const auto& plan = *static_cast<const Node*>(plan_at);
  const auto& pack = *static_cast<const Node*>(pack_at);
  if (!plan.finished || !pack.finished) return refuse(kBadParameter, "fake: an unfinished descriptor");
  const auto ids = pack.list<int64_t>(Attribute::kPackIds);
  const auto pointers = pack.list<void*>(Attribute::kPackPointers);
  std::map<int64_t, void*> addresses;
  for (size_t i = 0; i < ids.size(); ++i) addresses[ids[i]] = pointers[i];
  void* workspace = pack.one<void*>(Attribute::kPackWorkspace);
  const bool scratch = engine_of(plan).one<int64_t>(Attribute::kEngineIndex) == 8;
  if (scratch && (!workspace || !planish_fake::is_aligned(workspace, 256)))
    return refuse(kBadParameter, "fake: no aligned workspace");
  Work work;
  for (const Descriptor at : engine_of(plan).node(Attribute::kEngineGraph)->list<Descriptor>(Attribute::kGraphOperations)) {
    const auto& op = *static_cast<const Node*>(at);
    for (const Attribute which : {Attribute::kForwardX, Attribute::kForwardW, Attribute::kForwardY, Attribute::kOperationX,
                                  Attribute::kOperationB, Attribute::kOperationY})
      if (const Node* tensor = op.node(which)) work.tensor(tensor, addresses);
    work.operations.push_back(op);
  }
  planish_fake::enqueue(static_cast<FakeHandle*>(handle)->stream, [=]() mutable {
    if (scratch) std::memset(workspace, 0xff, planish_fake::kWorkspace);
    run(work);
  });
  return kSuccess;
}
