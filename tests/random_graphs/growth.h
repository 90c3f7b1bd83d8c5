// Networks as people build them: convolutions, products, normalizations, branches and joins put
// behind a value whatever its shape is, with constant weights. The ops' cases cannot give these,
// because a case fixes its operands' shapes.
#pragma once
#include "graph_writer.h"

namespace planish::tests {

// Puts one such piece behind some value. False when it was not taken.
bool grow(GraphWriter& writer, Random& random);

}  // namespace planish::tests
