#include "arrays.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <array>
#include <memory>
#include <optional>
#include <tuple>

#include "bindings.h"
#include "errors.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace planish::python {
namespace {

using ReadArray = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using WriteArray = nb::ndarray<nb::c_contig, nb::device::cpu>;
using ElementType = nb::dlpack::dtype;

constexpr ElementType element(nb::dlpack::dtype_code code, uint8_t bits) {
  return {uint8_t(code), bits, 1};
}

struct TypeRow {
  DataType type;
  ElementType dlpack;
};
using TypeCode = nb::dlpack::dtype_code;
constexpr std::array kTypes = {
    TypeRow{DataType::kF32, element(TypeCode::Float, 32)},
    TypeRow{DataType::kF64, element(TypeCode::Float, 64)},
    TypeRow{DataType::kF16, element(TypeCode::Float, 16)},
    TypeRow{DataType::kBF16, element(TypeCode::Bfloat, 16)},
    TypeRow{DataType::kI8, element(TypeCode::Int, 8)},
    TypeRow{DataType::kI16, element(TypeCode::Int, 16)},
    TypeRow{DataType::kI32, element(TypeCode::Int, 32)},
    TypeRow{DataType::kI64, element(TypeCode::Int, 64)},
    TypeRow{DataType::kU8, element(TypeCode::UInt, 8)},
    TypeRow{DataType::kU16, element(TypeCode::UInt, 16)},
    TypeRow{DataType::kU32, element(TypeCode::UInt, 32)},
    TypeRow{DataType::kU64, element(TypeCode::UInt, 64)},
    TypeRow{DataType::kBool, element(TypeCode::Bool, 8)},
};

std::optional<DataType> type_of(ElementType dlpack) {
  for (const TypeRow& row : kTypes)
    if (row.dlpack == dlpack) return row.type;
  return std::nullopt;
}
std::optional<ElementType> dlpack_of(DataType type) {
  for (const TypeRow& row : kTypes)
    if (row.type == type) return row.dlpack;
  return std::nullopt;
}
// Whether values of the type travel as unsigned integers: NumPy has no such type.
bool travels_as_bits(DataType type) {
  return (type == DataType::kBF16 || !dlpack_of(type)) && bits_of(type) >= 8;
}
ElementType bits_element(DataType type) { return element(TypeCode::UInt, uint8_t(bits_of(type))); }

bool fits(DataType wanted, ElementType got) {
  return type_of(got) == wanted || (travels_as_bits(wanted) && got == bits_element(wanted));
}

std::string text_of(nb::handle value) { return nb::cast<std::string>(nb::str(value)); }
// "list", "numpy.ndarray".
std::string kind_of(nb::handle value) {
  const std::string module = text_of(value.type().attr("__module__"));
  return (module == "builtins" ? "" : module + ".") + text_of(value.type().attr("__qualname__"));
}
std::string quoted(const std::string& role, const TensorDesc& wanted) {
  return role + " '" + wanted.name + "'";
}

// The element type as its owner writes it, where the array has one.
std::string element_name(nb::handle array) {
  return nb::hasattr(array, "dtype") ? text_of(array.attr("dtype"))
                                     : "what a " + kind_of(array) + " gives by DLPack";
}

// Of a NumPy array that results cannot be written to: what it is, and what keeps it from that.
std::string flags_of(nb::handle array) {
  const nb::object flags = array.attr("flags");
  std::string out = "element type " + element_name(array);
  if (!nb::cast<bool>(flags["WRITEABLE"])) out += ", read-only";
  if (!nb::cast<bool>(flags["C_CONTIGUOUS"])) out += ", strided";
  return out;
}

constexpr int kDlHost = 1, kDlCuda = 2, kDlCudaManaged = 13;  // DLPack's device types

// (type, number) of what speaks DLPack; nothing of what does not.
std::optional<std::pair<int, int>> dlpack_device(nb::handle array) {
  if (!nb::hasattr(array, "__dlpack__") || !nb::hasattr(array, "__dlpack_device__"))
    return std::nullopt;
  const nb::object device = array.attr("__dlpack_device__")();
  return std::pair(nb::cast<int>(device[0]), nb::cast<int>(device[1]));
}

std::string place_text(const Place& place) {
  return place.gpu < 0 ? "host memory, (1, 0)"
                       : "host memory, (1, 0), or GPU " + std::to_string(place.gpu) + "'s, (2, " +
                             std::to_string(place.gpu) + ")";
}

[[noreturn]] void refuse_array(const std::string& role, const TensorDesc& wanted, nb::handle got,
                               const Place& place = {}) {
  const std::string where = quoted(role, wanted);
  if (!nb::hasattr(got, "__dlpack__") && !nb::ndarray_check(got))
    refuse(where + " is a " + kind_of(got) + ", expected an array of " +
           std::string(name_of(wanted.dtype)) + " (NumPy's or one that speaks DLPack)");
  if (const auto device = dlpack_device(got); device && device->first != kDlHost)
    refuse(where + " lies on DLPack device (" + std::to_string(device->first) + ", " +
           std::to_string(device->second) + "), expected " + place_text(place));
  if (role == "out")
    refuse(where + ": expected a writable array of " + std::string(name_of(wanted.dtype)) +
           ", dense in row-major order, got " +
           (nb::hasattr(got, "flags") ? "one with " + flags_of(got) : element_name(got)));
  refuse(where + ": got " + element_name(got) + ", expected " + std::string(name_of(wanted.dtype)));
}

template <class Array>
std::vector<int64_t> dims_of(const Array& array) {
  std::vector<int64_t> dims;
  for (size_t i = 0; i < array.ndim(); ++i) dims.push_back(int64_t(array.shape(i)));
  return dims;
}

// A NumPy array of a type that only a package beside NumPy knows, as its bits.
nb::object as_bits(const TensorDesc& wanted, nb::handle array) {
  if (!travels_as_bits(wanted.dtype) || !nb::hasattr(array, "view") ||
      !nb::hasattr(array, "itemsize"))
    return nb::borrow(array);
  static constexpr std::string_view kNames[][2] = {
      {"bfloat16", "bf16"},           {"float8_e4m3fn", "f8e4m3fn"}, {"float8_e5m2", "f8e5m2"},
      {"float8_e4m3fnuz", "f8e4m3fnuz"}, {"float8_e5m2fnuz", "f8e5m2fnuz"},
      {"float8_e8m0fnu", "f8e8m0"}};
  const std::string name = element_name(array);
  for (const auto& [theirs, ours] : kNames)
    if (name == theirs && name_of(wanted.dtype) == ours)
      return array.attr("view")(bits_of(wanted.dtype) == 16 ? "uint16" : "uint8");
  return nb::borrow(array);
}

// GPU memory of a library that speaks DLPack, when the engine computes on that GPU. The capsule owns it.
template <class Array>
std::optional<Array> gpu_array(const std::string& role, const TensorDesc& wanted, nb::handle given,
                               const Place& place) {
  const auto device = dlpack_device(given);
  if (!device || (device->first != kDlCuda && device->first != kDlCudaManaged)) return std::nullopt;
  if (place.gpu < 0 || device->second != place.gpu) refuse_array(role, wanted, given, place);
  const nb::object capsule =
      given.attr("__dlpack__")("stream"_a = reinterpret_cast<uintptr_t>(place.stream));
  Array array;
  if (!nb::try_cast<Array>(capsule, array, false) || !fits(wanted.dtype, array.dtype()))
    refuse(quoted(role, wanted) + ": got " + element_name(given) + ", expected " +
           std::string(name_of(wanted.dtype)));
  int64_t dense = 1;
  for (size_t i = array.ndim(); i-- > 0; dense *= int64_t(array.shape(i)))
    if (array.shape(i) > 1 && array.size() > 0 && array.stride(i) != dense)
      refuse(quoted(role, wanted) + " is strided in GPU memory, expected one that is dense in "
             "row-major order (a contiguous copy is)");
  return array;
}

template <class Framework>
nb::object share(const Tensor& tensor, ElementType type) {
  const std::vector<size_t> shape(tensor.dims().begin(), tensor.dims().end());
  auto* kept = new Tensor(tensor);
  nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<Tensor*>(p); });
  return nb::cast(nb::ndarray<Framework>(kept->mutable_data(), shape.size(), shape.data(), owner,
                                         nullptr, type));
}

// What __dlpack__ and __dlpack_device__ are passed on to.
nb::object dlpack_array(const Tensor& tensor) {
  const auto type = dlpack_of(tensor.dtype());
  if (!type)
    throw StatusError(Status(Code::kUnsupported, "DLPack has no element type " +
                                                     std::string(name_of(tensor.dtype()))));
  return share<nb::array_api>(tensor, *type);
}

std::string repr(const Tensor& tensor) {
  std::string dims;
  for (int64_t dim : tensor.dims()) dims += (dims.empty() ? "" : ", ") + std::to_string(dim);
  return "<planish.Tensor " + std::string(name_of(tensor.dtype())) + "[" + dims + "]>";
}

nb::object dims_tuple(const Tensor& tensor) {
  nb::list dims;
  for (int64_t dim : tensor.dims()) dims.append(dim);
  return nb::tuple(dims);
}

nb::object dlpack_array(const DeviceTensor& tensor) {
  const auto type = dlpack_of(tensor.dtype);
  if (!type)
    throw StatusError(Status(Code::kUnsupported, "DLPack has no element type " +
                                                     std::string(name_of(tensor.dtype))));
  const std::vector<size_t> shape(tensor.dims.begin(), tensor.dims.end());
  auto* kept = new std::shared_ptr<void>(tensor.memory);
  nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::shared_ptr<void>*>(p); });
  return nb::cast(nb::ndarray<nb::array_api>(tensor.memory.get(), shape.size(), shape.data(), owner,
                                             nullptr, *type, nb::device::cuda::value, tensor.gpu));
}

std::string repr(const DeviceTensor& tensor) {
  std::string dims;
  for (int64_t dim : tensor.dims) dims += (dims.empty() ? "" : ", ") + std::to_string(dim);
  return "<planish.DeviceTensor " + std::string(name_of(tensor.dtype)) + "[" + dims + "] on GPU " +
         std::to_string(tensor.gpu) + ">";
}

}  // namespace

InputArray input_array(const TensorDesc& wanted, nb::handle given, const Place& place) {
  using GpuArray = nb::ndarray<nb::ro>;
  if (auto array = gpu_array<GpuArray>("input", wanted, given, place)) {
    auto kept = std::make_shared<GpuArray>(std::move(*array));
    return {kept->data(), dims_of(*kept), MemorySpace::kDevice, kept};
  }
  auto tensor = std::make_shared<Tensor>(input_tensor(wanted, given));
  return {tensor->data(), tensor->dims(), MemorySpace::kHost, tensor};
}

Tensor input_tensor(const TensorDesc& wanted, nb::handle given) {
  const nb::object source = as_bits(wanted, given);
  auto array = std::make_shared<ReadArray>();
  if (!nb::try_cast<ReadArray>(source, *array, false) && !nb::try_cast<ReadArray>(source, *array))
    refuse_array("input", wanted, given);
  if (!fits(wanted.dtype, array->dtype())) refuse_array("input", wanted, given);
  const void* data = array->data();
  auto dims = dims_of(*array);
  return take(Tensor::view(wanted.dtype, std::move(dims), data, std::move(array)));
}

OutputArray output_array(const TensorDesc& wanted, nb::handle given, const Place& place) {
  if (auto array = gpu_array<nb::ndarray<>>("out", wanted, given, place))
    return {array->data(), dims_of(*array), bytes_of(wanted.dtype, int64_t(array->size())),
            MemorySpace::kDevice};
  const nb::object source = as_bits(wanted, given);
  WriteArray array;
  if (!nb::try_cast<WriteArray>(source, array, false) || !fits(wanted.dtype, array.dtype()))
    refuse_array("out", wanted, given);
  return {array.data(), dims_of(array), bytes_of(wanted.dtype, int64_t(array.size())),
          MemorySpace::kHost};
}

nb::object to_numpy(const std::string& name, const Tensor& tensor) {
  const DataType type = tensor.dtype();
  if (travels_as_bits(type)) return share<nb::numpy>(tensor, bits_element(type));
  const auto dlpack = dlpack_of(type);
  if (!dlpack)
    throw StatusError(Status(Code::kUnsupported, name + ": NumPy has no element type " +
                                                     std::string(name_of(type))));
  return share<nb::numpy>(tensor, *dlpack);
}

void register_arrays(nb::module_& module) {
  nb::class_<Tensor>(module, "Tensor",
                     "A result in host memory that any library takes over by DLPack, without a copy.")
      .def_prop_ro("dtype", [](const Tensor& tensor) { return std::string(name_of(tensor.dtype())); },
                   "\"f32\", \"bf16\", ...")
      .def_prop_ro("shape", dims_tuple, nb::sig("def shape(self) -> tuple[int, ...]"))
      .def("to_numpy", [](const Tensor& tensor) { return to_numpy("tensor", tensor); },
           nb::sig("def to_numpy(self) -> numpy.typing.NDArray[typing.Any]"),
           "A NumPy array of the same memory. bf16 and 8-bit floats come as their bits.")
      .def("__dlpack__", [](const Tensor& tensor, const nb::kwargs& options) {
        return dlpack_array(tensor).attr("__dlpack__")(**options);
      }, nb::sig("def __dlpack__(self, **options: typing.Any) -> typing.Any"))
      .def("__dlpack_device__", [](const Tensor& tensor) {
        return dlpack_array(tensor).attr("__dlpack_device__")();
      }, nb::sig("def __dlpack_device__(self) -> tuple[int, int]"))
      .def("__array__", [](const Tensor& tensor, const nb::object& dtype, const nb::object& copy) {
        const nb::object array = to_numpy("tensor", tensor);
        return nb::module_::import_("numpy").attr("array")(array, "dtype"_a = dtype, "copy"_a = copy);
      }, "dtype"_a = nb::none(), "copy"_a = nb::none(),
           nb::sig("def __array__(self, dtype: typing.Any = None, copy: bool | None = None) "
                   "-> numpy.typing.NDArray[typing.Any]"))
      .def("__repr__", nb::overload_cast<const Tensor&>(repr));
  nb::class_<DeviceTensor>(module, "DeviceTensor",
                           "A result in a GPU's memory that any library takes over by DLPack, without "
                           "a copy. It is complete: the run has ended.")
      .def_prop_ro("dtype", [](const DeviceTensor& t) { return std::string(name_of(t.dtype)); },
                   "\"f32\", \"bf16\", ...")
      .def_prop_ro("shape", [](const DeviceTensor& t) {
        nb::list dims;
        for (int64_t dim : t.dims) dims.append(dim);
        return nb::tuple(dims);
      }, nb::sig("def shape(self) -> tuple[int, ...]"))
      .def("__dlpack__", [](const DeviceTensor& tensor, const nb::kwargs& options) {
        return dlpack_array(tensor).attr("__dlpack__")(**options);
      }, nb::sig("def __dlpack__(self, **options: typing.Any) -> typing.Any"))
      .def("__dlpack_device__", [](const DeviceTensor& tensor) {
        return nb::make_tuple(kDlCuda, tensor.gpu);
      }, nb::sig("def __dlpack_device__(self) -> tuple[int, int]"))
      .def("__repr__", nb::overload_cast<const DeviceTensor&>(repr));
}

}  // namespace planish::python
