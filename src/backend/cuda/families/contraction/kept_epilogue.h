// An epilogue whose first result the kernel goes on with, and several epilogues in one kernel.
#pragma once
#include "backend/cuda/families/contraction/epilogue.h"

namespace planish::cuda {

// As print_epilogue(); finish() takes `float (&kept)[lanes]` behind `end` and leaves results[0] in it.
// `stores`: it is stored, too; else the text names no result.
Result<EpilogueText> print_kept_epilogue(const Epilogue& epilogue, const EpilogueStyle& style, bool stores);

// The text of one epilogue of several: functions in namespace `space`, the Epilogue named `name`, parameters
// that begin with the namespace's name.
EpilogueText named_epilogue(const EpilogueText& text, std::string_view space, std::string_view name);

}  // namespace planish::cuda
