// The part of cuDNN's graph (backend) interface that is used, declared here so that building needs none
// of its headers. Names and numbers are those of NVIDIA's cuDNN 9 documentation, "cudnn_graph library";
// enumerations of theirs are plain numbers here.
#pragma once
#include <cstddef>
#include <cstdint>

namespace planish::cuda::cudnn {

using Handle = void*;
using Descriptor = void*;

enum : int { kSuccess = 0, kStatusAllocFailed = 4003 };
enum : int { kF32 = 0, kF16 = 2, kBF16 = 9 };                          // cudnnDataType_t
enum : int { kCrossCorrelation = 1, kPropagateNan = 1 };
enum : int { kPointwiseAdd = 0, kPointwiseRelu = 100 };                // cudnnPointwiseMode_t
enum : int { kHeuristicsFallback = 2, kHeuristicsA = 3 };              // cudnnBackendHeurMode_t
// cudnnBackendNumericalNote_t, cudnnBackendBehaviorNote_t: bits of a mask here.
enum : int { kNoteTensorCore = 0, kNoteDownConvert = 1, kNoteReducedReduction = 2, kNoteFft = 3,
             kNoteNondeterministic = 4, kNoteWinograd = 5, kNoteCount = 10 };
enum : int { kBehaviorRuntimeCompiled = 0, kBehaviorCount = 5 };
inline constexpr int kMostKnobs = 64;

// cudnnBackendDescriptorType_t
enum class Kind : int {
  kPointwise = 0, kConvolution = 1, kEngine = 2, kEngineConfig = 3, kHeuristics = 4, kPlan = 5,
  kKnobChoice = 7, kConvolutionForward = 10, kPointwiseOperation = 13, kGraph = 15, kVariantPack = 16,
  kTensor = 17,
};

// cudnnBackendAttributeType_t
enum class Type : int {
  kHandle = 0, kDataType = 1, kBoolean = 2, kInt64 = 3, kFloat = 4, kDouble = 5, kPointer = 6,
  kConvolutionMode = 7, kHeuristicsMode = 8, kKnobType = 9, kNanPropagation = 10, kNumericalNote = 11,
  kPointwiseMode = 14, kDescriptor = 15, kBehaviorNote = 19,
};

// cudnnBackendAttributeName_t
enum class Attribute : int {
  kPointwiseMode = 0, kPointwisePrecision = 1, kPointwiseNan = 2, kPointwiseUpperClip = 4,
  kConvolutionType = 100, kConvolutionMode = 101, kConvolutionDilations = 102, kConvolutionStrides = 103,
  kConvolutionPostPads = 104, kConvolutionPrePads = 105, kConvolutionSpatialDims = 106,
  kHeuristicsMode = 200, kHeuristicsGraph = 201, kHeuristicsResults = 202,
  kConfigEngine = 300, kConfigKnobs = 302,
  kPlanHandle = 400, kPlanConfig = 401, kPlanWorkspace = 402,
  kKnobType = 600, kKnobValue = 601,
  kForwardAlpha = 700, kForwardBeta = 701, kForwardConvolution = 702, kForwardW = 703, kForwardX = 704,
  kForwardY = 705,
  kOperationPointwise = 750, kOperationX = 751, kOperationB = 752, kOperationY = 753,
  kGraphHandle = 800, kGraphOperations = 801,
  kTensorAlignment = 900, kTensorType = 901, kTensorDims = 902, kTensorStrides = 903, kTensorId = 906,
  kTensorVirtual = 907,
  kPackIds = 1000, kPackPointers = 1001, kPackWorkspace = 1003,
  kEngineGraph = 1300, kEngineIndex = 1301, kEngineNumericalNote = 1303, kEngineBehaviorNote = 1305,
};

// name in the library, its result, parameters.
#define PLANISH_CUDNN_FUNCTIONS(X)                                                                       \
  X(cudnnGetVersion, size_t, ())                                                                         \
  X(cudnnGetErrorString, const char*, (int))                                                             \
  X(cudnnGetLastErrorString, void, (char*, size_t))                                                      \
  X(cudnnCreate, int, (Handle*))                                                                         \
  X(cudnnSetStream, int, (Handle, void* stream))                                                         \
  X(cudnnBackendCreateDescriptor, int, (Kind, Descriptor*))                                              \
  X(cudnnBackendDestroyDescriptor, int, (Descriptor))                                                    \
  X(cudnnBackendFinalize, int, (Descriptor))                                                             \
  X(cudnnBackendSetAttribute, int, (Descriptor, Attribute, Type, int64_t count, const void* values))     \
  X(cudnnBackendGetAttribute, int,                                                                       \
    (Descriptor, Attribute, Type, int64_t wanted, int64_t* count, void* values))                         \
  X(cudnnBackendExecute, int, (Handle, Descriptor plan, Descriptor variant_pack))

}  // namespace planish::cuda::cudnn
