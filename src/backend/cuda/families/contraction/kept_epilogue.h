// An epilogue whose first result the kernel goes on with.
#pragma once
#include "backend/cuda/families/contraction/epilogue.h"

namespace planish::cuda {

// As print_epilogue(); finish() takes `float (&kept)[lanes]` as its last and leaves results[0] in it.
// `stores`: it is stored, too; else the text names no result.
Result<EpilogueText> print_kept_epilogue(const Epilogue& epilogue, const EpilogueStyle& style, bool stores);

}  // namespace planish::cuda
