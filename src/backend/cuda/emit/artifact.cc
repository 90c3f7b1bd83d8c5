#include "backend/cuda/emit/artifact.h"

#include <cstring>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

constexpr uint32_t kMagic = 0x314B4350;  // "PCK1"
constexpr uint64_t kMaxKernels = 64, kMaxArgs = 256, kMaxMaps = 32, kMaxDims = 5;
constexpr uint64_t kMaxVariants = 64, kMaxSlots = 1 << 16;

// One description of every field serves both directions: Visitor is Writer or Reader.
class Writer {
 public:
  template <class T>
  void number(T& value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    out_.insert(out_.end(), bytes, bytes + sizeof(T));
  }
  void bytes(std::span<const std::byte> data) {
    uint64_t size = data.size();
    number(size);
    out_.insert(out_.end(), data.begin(), data.end());
  }
  void text(std::string& value) { bytes(std::as_bytes(std::span(value))); }
  void cubin(std::shared_ptr<const std::vector<std::byte>>& value) { bytes(*value); }
  template <class T, class Each>
  void list(std::vector<T>& values, uint64_t, Each each) {
    uint64_t size = values.size();
    number(size);
    for (T& value : values) each(value);
  }
  std::vector<std::byte> take() { return std::move(out_); }

 private:
  std::vector<std::byte> out_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> data) : data_(data) {}
  template <class T>
  void number(T& value) {
    if (!take(sizeof(T))) return;
    std::memcpy(&value, data_.data() + at_ - sizeof(T), sizeof(T));
  }
  void text(std::string& value) {
    const std::span<const std::byte> piece = bytes();
    value.assign(reinterpret_cast<const char*>(piece.data()), piece.size());
  }
  void cubin(std::shared_ptr<const std::vector<std::byte>>& value) {
    const std::span<const std::byte> piece = bytes();
    value = std::make_shared<const std::vector<std::byte>>(piece.begin(), piece.end());
  }
  template <class T, class Each>
  void list(std::vector<T>& values, uint64_t limit, Each each) {
    uint64_t size = 0;
    number(size);
    if (size > limit) good_ = false;
    for (uint64_t i = 0; i < size && good_; ++i) each(values.emplace_back());
  }
  bool good() const { return good_; }
  bool at_end() const { return at_ == data_.size(); }

 private:
  bool take(uint64_t size) {
    if (!good_ || size > data_.size() - at_) return good_ = false;
    at_ += size;
    return true;
  }
  std::span<const std::byte> bytes() {
    uint64_t size = 0;
    number(size);
    if (!take(size)) return {};
    return data_.subspan(at_ - size, size);
  }
  std::span<const std::byte> data_;
  size_t at_ = 0;
  bool good_ = true;
};

template <class V>
void visit(V& v, BufferPlace& place) {
  v.number(place.kind);
  v.number(place.index);
  v.number(place.offset_bytes);
}

template <class V>
void visit(V& v, TensorMapSpec& map) {
  const auto each = [&](auto& value) { v.number(value); };
  v.number(map.mode);
  visit(v, map.place);
  v.number(map.dtype);
  v.number(map.tf32);
  v.list(map.dims, kMaxDims, each);
  v.list(map.byte_strides, kMaxDims, each);
  v.list(map.element_strides, kMaxDims, each);
  v.list(map.box, kMaxDims, each);
  v.list(map.lower_corner, kMaxDims, each);
  v.list(map.upper_corner, kMaxDims, each);
  v.number(map.channels_per_pixel);
  v.number(map.pixels_per_column);
  v.number(map.swizzle);
  v.number(map.l2);
  v.number(map.outer_stride);
}

template <class V>
void visit(V& v, KernelArg& arg) {
  v.number(arg.kind);
  visit(v, arg.place);
  v.number(arg.map);
  v.number(arg.integer);
  v.number(arg.real);
}

template <class V>
void visit(V& v, ArtifactKernel& kernel) {
  EmittedKernel& launch = kernel.launch;
  v.text(launch.entry);
  v.number(launch.grid);
  v.number(launch.block);
  v.number(launch.cluster);
  v.number(launch.persistent);
  v.number(launch.dynamic_shared_bytes);
  v.list(launch.args, kMaxArgs, [&](KernelArg& arg) { visit(v, arg); });
  v.list(launch.maps, kMaxMaps, [&](TensorMapSpec& map) { visit(v, map); });
  v.number(launch.programmatic_launch);
  v.cubin(kernel.cubin);
}

template <class V>
void visit(V& v, SizePattern& pattern) {
  v.number(pattern.common);
  v.list(pattern.parameters, kMaxArgs, [&](NumberType& type) { v.number(type); });
  v.list(pattern.slots, kMaxSlots, [&](NumberSlot& slot) { v.number(slot); });
}

template <class V>
void visit(V& v, SizeVariant& variant) {
  std::string tactic = variant.tactic.to_string();
  v.text(tactic);
  if (auto parsed = kernel::Tactic::parse(tactic); parsed.ok()) variant.tactic = std::move(*parsed);
  v.list(variant.kernels, kMaxKernels, [&](AnySizeKernel& kernel) {
    visit(v, kernel.pattern);
    v.cubin(kernel.cubin);
  });
}

template <class V>
void visit(V& v, Artifact& artifact) {
  uint32_t magic = kMagic;
  v.number(magic);
  v.number(artifact.generator);
  if (artifact.generator != kGeneratorVersion) return;
  v.text(artifact.arch);
  v.text(artifact.fingerprint);
  v.number(artifact.workspace_bytes);
  v.list(artifact.kernels, kMaxKernels, [&](ArtifactKernel& kernel) { visit(v, kernel); });
  v.list(artifact.variants, kMaxVariants, [&](SizeVariant& variant) { visit(v, variant); });
}

bool is_sane(const SizePattern& pattern) {
  for (const NumberType type : pattern.parameters)
    if (type > NumberType::kF64) return false;
  for (const NumberSlot& slot : pattern.slots)
    if (slot.parameter >= pattern.parameters.size()) return false;
  return true;
}

bool is_sane(const TensorMapSpec& map) {
  return map.mode <= MapMode::kIm2col && map.place.kind <= BufferKind::kWorkspace &&
         int(map.dtype) < ir::kDataTypeCount && !map.dims.empty() &&
         map.byte_strides.size() + 1 == map.dims.size() &&
         (map.element_strides.empty() || map.element_strides.size() == map.dims.size()) &&
         map.swizzle <= Swizzle::k128 && map.l2 <= L2Promotion::k256 && map.outer_stride >= -1 &&
         map.outer_stride < int(map.byte_strides.size()) && map.lower_corner.size() == map.upper_corner.size() &&
         (map.mode == MapMode::kTiled ? map.box.size() == map.dims.size()
                                      : map.lower_corner.size() + 2 == map.dims.size());
}

bool is_sane(const EmittedKernel& kernel) {
  for (const KernelArg& arg : kernel.args)
    if (arg.kind > KernelArg::Kind::kF32 || arg.place.kind > BufferKind::kWorkspace ||
        (arg.kind == KernelArg::Kind::kTensorMap &&
         (arg.map < 0 || size_t(arg.map) >= kernel.maps.size())))
      return false;
  for (const TensorMapSpec& map : kernel.maps)
    if (!is_sane(map)) return false;
  return kernel.grid.count() && kernel.block.count() && kernel.block.count() <= 1024 &&
         kernel.cluster.count() && kernel.cluster.count() <= 16 && kernel.dynamic_shared_bytes >= 0;
}

}  // namespace

std::vector<std::byte> encode(const Artifact& artifact) {
  Artifact copy = artifact;
  Writer writer;
  visit(writer, copy);
  return writer.take();
}

Result<Artifact> decode(std::span<const std::byte> bytes) {
  uint32_t magic = 0;
  if (bytes.size() >= sizeof(magic)) std::memcpy(&magic, bytes.data(), sizeof(magic));
  if (magic != kMagic) return data_loss("a CUDA artifact does not begin as one");
  Artifact artifact;
  Reader reader(bytes);
  visit(reader, artifact);
  if (reader.good() && artifact.generator != kGeneratorVersion) return artifact;
  if (!reader.good() || !reader.at_end())
    return data_loss(cat("a CUDA artifact of ", bytes.size(), " bytes does not read to its end"));
  if (artifact.workspace_bytes < 0) return data_loss("a CUDA artifact has a negative workspace");
  for (const ArtifactKernel& kernel : artifact.kernels)
    if (!is_sane(kernel.launch))
      return data_loss(cat("kernel '", kernel.launch.entry, "' of a CUDA artifact has launch data out of range"));
  for (const SizeVariant& variant : artifact.variants)
    for (const AnySizeKernel& kernel : variant.kernels)
      if (!is_sane(kernel.pattern))
        return data_loss("a kernel of any size of a CUDA artifact has a pattern out of range");
  return artifact;
}

}  // namespace planish::cuda
