// Operators that Planish knows and will not take, with the reason that the user reads: what works
// on strings, sequences and optional values (tensors only here), what trains, and the classical
// machine learning of ai.onnx.ml.
#include "opdef/op_def.h"

namespace planish::ops {
namespace {

constexpr const char* kStrings = "tensors of strings are not supported";
constexpr const char* kSequences = "sequences of tensors are not supported";
constexpr const char* kOptionals = "optional values are not supported";
constexpr const char* kTraining = "training is not supported, only inference";
constexpr const char* kClassical =
    "classical machine learning (trees, vectorizers, linear models) is not supported";

struct Row {
  const char* domain;
  const char* op_type;
  const char* reason;
};

constexpr Row kRows[] = {
    {"", "ConcatFromSequence", kSequences},
    {"", "ImageDecoder", "decoding image files is the application's work"},
    {"", "Optional", kOptionals},
    {"", "OptionalGetElement", kOptionals},
    {"", "OptionalHasElement", kOptionals},
    {"", "RegexFullMatch", kStrings},
    {"", "SequenceAt", kSequences},
    {"", "SequenceConstruct", kSequences},
    {"", "SequenceEmpty", kSequences},
    {"", "SequenceErase", kSequences},
    {"", "SequenceInsert", kSequences},
    {"", "SequenceLength", kSequences},
    {"", "SequenceMap", kSequences},
    {"", "SplitToSequence", kSequences},
    {"", "StringConcat", kStrings},
    {"", "StringNormalizer", kStrings},
    {"", "StringSplit", kStrings},
    {"ai.onnx.ml", "", kClassical},
    {"ai.onnx.preview.training", "", kTraining},
    {"ai.onnx.training", "", kTraining},
};

}  // namespace

void register_refused(opdef::OpRegistry& registry) {
  for (const Row& row : kRows) registry.add_refusal(row.domain, row.op_type, row.reason);
}

}  // namespace planish::ops
