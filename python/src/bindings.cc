// The extension module: what planish/*.py is made of.
#include "bindings.h"

#include "partition.h"

NB_MODULE(_planish, module) {
  using namespace planish::python;
  module.doc() = "Planish's C++ interface, as far as the package uses it.";
  register_errors(module);
  register_arrays(module);
  register_network(module);
  register_engine(module);
  register_context(module);
  register_build(module);
  register_verify(module);
  register_partition(module);
}
