// TensorFlow operators that Planish knows and leaves to TensorFlow, with the reason that the user reads.
// scripts/generate_docs makes a table of docs/operators.md from the rows.
#include "base/text.h"
#include "opdef/op_def.h"

namespace planish::ops {
namespace {

struct Row {
  const char* reason;
  const char* op_types;
};

constexpr Row kRows[] = {
    {"it computes with text",
     "AsString,DecodeBase64,EncodeBase64,RegexFullMatch,RegexReplace,StaticRegexFullMatch,"
     "StaticRegexReplace,StringFormat,StringJoin,StringLength,StringLower,StringNGrams,StringSplit,"
     "StringSplitV2,StringStrip,StringToHashBucket,StringToHashBucketFast,StringToHashBucketStrong,"
     "StringToNumber,StringUpper,Substr,UnicodeDecode,UnicodeEncode,UnicodeScript,UnicodeTranscode,"
     "UnsortedSegmentJoin"},
    {"a table: its entries belong to TensorFlow",
     "AnonymousHashTable,HashTable,HashTableV2,InitializeTable,InitializeTableFromTextFile,"
     "InitializeTableFromTextFileV2,InitializeTableV2,LookupTableFind,LookupTableFindV2,LookupTableImportV2,"
     "LookupTableInsertV2,LookupTableSize,LookupTableSizeV2,MutableDenseHashTableV2,MutableHashTable,"
     "MutableHashTableV2"},
    {"part of an input pipeline: name the tensor behind it as an input (--from-node)",
     "AnonymousIteratorV3,BatchDatasetV2,DecodeCSV,FIFOQueue,FIFOQueueV2,FixedLengthRecordReaderV2,"
     "Iterator,IteratorGetNext,IteratorV2,MapDataset,OneShotIterator,PaddingFIFOQueueV2,ParseExample,"
     "ParseExampleV2,ParseSingleExample,QueueDequeue,QueueDequeueMany,QueueDequeueManyV2,"
     "QueueDequeueUpToV2,QueueDequeueV2,QueueEnqueueV2,QueueSizeV2,RandomShuffleQueueV2,ReadFile,"
     "ReaderReadV2,TensorDataset,TensorSliceDataset,TFRecordReaderV2,WholeFileReaderV2,WriteFile"},
    {"it decodes or encodes a file: the application's work",
     "DecodeAndCropJpeg,DecodeBmp,DecodeCompressed,DecodeGif,DecodeImage,DecodeJpeg,DecodePaddedRaw,"
     "DecodePng,DecodeRaw,DecodeWebP,EncodeJpeg,EncodePng,EncodeWav"},
    {"it runs code of the application", "EagerPyFunc,PyFunc,PyFuncStateless"},
    {"an engine of another library", "TRTEngineOp"},
    {"random numbers, which no two libraries draw alike",
     "Multinomial,ParameterizedTruncatedNormal,RandomGamma,RandomPoissonV2,RandomShuffle,RandomUniformInt,"
     "RngReadAndSkip,StatefulStandardNormalV2,StatefulUniform,StatelessMultinomial,"
     "StatelessRandomGetAlg,StatelessRandomGetKeyCounter,StatelessRandomNormal,StatelessRandomNormalV2,"
     "StatelessRandomUniform,StatelessRandomUniformInt,StatelessRandomUniformIntV2,"
     "StatelessRandomUniformV2,StatelessTruncatedNormal,StatelessTruncatedNormalV2,TruncatedNormal"},
    {"it gives rows of different lengths (a ragged tensor)",
     "RaggedBincount,RaggedCross,RaggedGather,RaggedRange,RaggedTensorFromVariant,RaggedTensorToSparse,"
     "RaggedTensorToTensor,RaggedTensorToVariant"},
    {"it gives a sparse tensor whose entries depend on the data",
     "SparseAdd,SparseConcat,SparseCross,SparseFillEmptyRows,SparseReduceSum,SparseReorder,SparseReshape,"
     "SparseSlice,SparseSoftmax,SparseSplit"},
    {"a factorization that there is no kernel for",
     "BatchSvd,Eig,LogMatrixDeterminant,Lu,MatrixExponential,MatrixLogarithm,MatrixSquareRoot,Qr,"
     "SelfAdjointEig,SelfAdjointEigV2,Svd"},
    {"an operator that there is no kernel for",
     "Conv,Conv2DBackpropInputV2,CumulativeLogsumexp,DrawBoundingBoxesV2,ExtractGlimpseV2,FractionalAvgPool,"
     "FractionalMaxPool,GenerateBoundingBoxProposals,ImageProjectiveTransformV2,ImageProjectiveTransformV3,"
     "MaxPool3DGrad,NonMaxSuppressionWithOverlaps,TensorStridedSliceUpdate,UnravelIndex"},
    {"a search over beams", "CTCBeamSearchDecoder,CTCBeamSearchDecoderV2"},
    {"a special function",
     "BesselI0,BesselI0e,BesselI1,BesselI1e,BesselJ0,BesselJ1,BesselK0,BesselK1,BesselY0,BesselY1,"
     "Betainc,Dawsn,Digamma,Erfinv,Expint,FresnelCos,FresnelSin,Igamma,Igammac,Lgamma,Ndtri,NextAfter,"
     "Polygamma,Spence,Zeta"},
    {"a recurrent layer for NVIDIA's library, whose weights it alone can read; the same layer without "
     "cuDNN is taken",
     "CudnnRNN,CudnnRNNCanonicalToParams,CudnnRNNCanonicalToParamsV2,CudnnRNNParamsSize,"
     "CudnnRNNParamsToCanonical,CudnnRNNParamsToCanonicalV2,CudnnRNNV2,CudnnRNNV3"},
    {"an integer kernel of TensorFlow's quantized graphs",
     "QuantizeDownAndShrinkRange,QuantizedAdd,QuantizedAvgPool,QuantizedBatchNormWithGlobalNormalization,"
     "QuantizedBiasAdd,QuantizedConcat,QuantizedConcatV2,QuantizedConv2D,QuantizedConv2DAndRelu,"
     "QuantizedConv2DWithBias,QuantizedConv2DWithBiasAndRelu,QuantizedDepthwiseConv2D,"
     "QuantizedInstanceNorm,QuantizedMatMul,QuantizedMatMulWithBias,QuantizedMaxPool,QuantizedMul,"
     "QuantizedRelu,QuantizedRelu6,QuantizedReshape,QuantizedResizeBilinear,RequantizationRange,"
     "RequantizationRangePerChannel,Requantize,RequantizePerChannel,UniformDequantize,UniformQuantize,"
     "UniformQuantizedConvolution,UniformQuantizedDot"},
    {"a gradient",
     "AvgPoolGrad,BiasAddGrad,BroadcastGradientArgs,Conv2DBackpropFilter,DepthwiseConv2dNativeBackpropFilter,"
     "DepthwiseConv2dNativeBackpropInput,EluGrad,FusedBatchNormGradV3,InvGrad,LeakyReluGrad,MaxPoolGrad,"
     "MirrorPadGrad,ReciprocalGrad,Relu6Grad,ReluGrad,ResizeBilinearGrad,RsqrtGrad,SeluGrad,SigmoidGrad,"
     "SoftplusGrad,SoftsignGrad,SqrtGrad,SymbolicGradient,TanhGrad"},
    {"it changes a variable",
     "ApplyAdam,ApplyGradientDescent,ApplyMomentum,Assign,AssignAdd,AssignAddVariableOp,AssignSub,"
     "AssignSubVariableOp,AssignVariableOp,ResourceScatterAdd,ResourceScatterNdUpdate,"
     "ResourceScatterUpdate,ScatterAdd,ScatterNdUpdate,ScatterUpdate"},
};

}  // namespace

void register_refused_tensorflow(opdef::OpRegistry& registry) {
  for (const Row& row : kRows)
    for (std::string& name : split(row.op_types, ','))
      registry.add_refusal("tensorflow", std::move(name), row.reason);
}

}  // namespace planish::ops
