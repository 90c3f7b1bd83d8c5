# Precompiled headers of the standard library and GoogleTest, for builds that are made to be thrown
# away (the sanitizers): half of a file's compile time. Off elsewhere, so that a header that a file
# forgets to include is found.
option(PLANISH_PRECOMPILED_HEADERS "Precompile the standard library's headers" OFF)
set(PLANISH_STANDARD_HEADERS
  <algorithm> <array> <atomic> <chrono> <cmath> <condition_variable> <cstdint> <cstring>
  <functional> <limits> <map> <memory> <mutex> <numeric> <optional> <set> <span>
  <string> <string_view> <thread> <unordered_map> <utility> <variant> <vector>)

if(PLANISH_PRECOMPILED_HEADERS)
  set(empty ${PROJECT_BINARY_DIR}/precompiled.cc)
  file(CONFIGURE OUTPUT ${empty} CONTENT "")
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    # A time stamp inside would keep the compiler cache from finding anything.
    add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:SHELL:-Xclang -fno-pch-timestamp>")
  endif()
  add_library(planish_precompiled_library STATIC ${empty})
  target_precompile_headers(planish_precompiled_library PRIVATE ${PLANISH_STANDARD_HEADERS})
  if(PLANISH_BUILD_TESTS)
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/precompiled_main.cc CONTENT "int main() {}\n")
    add_executable(planish_precompiled_test ${PROJECT_BINARY_DIR}/precompiled_main.cc)
    target_link_libraries(planish_precompiled_test PRIVATE GTest::gtest_main GTest::gmock)
    target_precompile_headers(planish_precompiled_test PRIVATE ${PLANISH_STANDARD_HEADERS}
                              <gtest/gtest.h>)
  endif()
endif()

# planish_precompile(TARGET library|test)
function(planish_precompile target kind)
  if(PLANISH_PRECOMPILED_HEADERS)
    target_precompile_headers(${target} REUSE_FROM planish_precompiled_${kind})
  endif()
endfunction()
