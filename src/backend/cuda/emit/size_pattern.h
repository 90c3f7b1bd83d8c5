// SizePattern: a kernel's text with its sizes left open.
//
// Families print every size as a number. The same problem at other sizes mostly prints the same text
// with other numbers; a pattern is what a set of such texts has in common. Its varying numbers become
// parameters of the kernel (any_size_source.h), and a text that some other size prints fits when it
// differs from the pattern in those numbers alone. So nothing about families needs to be known, and what
// runs computes what the fitting text says.
//
// Numbers that always vary together are one parameter. A number that C++ wants to know when it compiles
// (the length of an array, a template's argument) cannot vary: texts that differ there are of different
// patterns (see fixed_numbers()).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backend/cuda/emit/emitted_kernel.h"
#include "backend/cuda/emit/tokens.h"
#include "base/hash.h"
#include "base/status.h"

namespace planish::cuda {

struct NumberSlot {
  uint32_t token = 0;      // behind the prelude
  uint32_t parameter = 0;
  friend bool operator==(const NumberSlot&, const NumberSlot&) = default;
};

// What a parameter is in C: "int", "u32", "i64", "u64", "float", "double".
enum class NumberType : uint8_t { kI32, kU32, kI64, kU64, kF32, kF64 };
std::string_view c_type(NumberType type);

struct SizePattern {
  Hash128 common;  // of all tokens, varying numbers by their type alone
  std::vector<NumberType> parameters;
  std::vector<NumberSlot> slots;  // in the order of tokens
  friend bool operator==(const SizePattern&, const SizePattern&) = default;
};

// Whether the token is a number that could vary, and of which type.
std::optional<NumberType> number_type(const Token& token);

// The texts' tokens, all of equal numbers of tokens that differ in numbers of equal types only (see
// same_shape()). kUnsupported when a varying number is no number of the types above.
Result<SizePattern> pattern_of(const std::vector<std::vector<Token>>& texts);
// Equal for texts that differ in numbers alone.
Hash128 shape_of(const std::vector<Token>& text);

// The kernel's arguments for a text that fits.
std::optional<std::vector<KernelArg>> match(const SizePattern& pattern,
                                            const std::vector<Token>& text);

}  // namespace planish::cuda
