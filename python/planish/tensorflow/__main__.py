"""python -m planish.tensorflow: compiles the operator library now, and says where it lies."""

from planish.tensorflow import build_library

print(build_library())
