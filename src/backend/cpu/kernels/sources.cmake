# The raw CPU kernels: sources by instruction set. The includer links them into one target and sets nothing else; the
# flags below belong to the files, because each set has files of its own.
set(PLANISH_CPU_KERNEL_DIR ${CMAKE_CURRENT_LIST_DIR})

set(PLANISH_CPU_KERNEL_FAMILIES attention depthwise pointwise pool reorder rows tile winograd)

set(PLANISH_CPU_KERNEL_SOURCES
  ${PLANISH_CPU_KERNEL_DIR}/attention/attention.cc
  ${PLANISH_CPU_KERNEL_DIR}/bottleneck/bottleneck.cc
  ${PLANISH_CPU_KERNEL_DIR}/depthwise/depthwise.cc
  ${PLANISH_CPU_KERNEL_DIR}/direct_conv/direct_conv.cc
  ${PLANISH_CPU_KERNEL_DIR}/direct_conv/direct_conv_tactics.cc
  ${PLANISH_CPU_KERNEL_DIR}/isa.cc
  ${PLANISH_CPU_KERNEL_DIR}/matmul/matmul.cc
  ${PLANISH_CPU_KERNEL_DIR}/matmul/pack.cc
  ${PLANISH_CPU_KERNEL_DIR}/pointwise/pointwise.cc
  ${PLANISH_CPU_KERNEL_DIR}/pointwise/pointwise.cc
  ${PLANISH_CPU_KERNEL_DIR}/pool/pool.cc
  ${PLANISH_CPU_KERNEL_DIR}/reorder/reorder.cc
  ${PLANISH_CPU_KERNEL_DIR}/rows/rows.cc
  ${PLANISH_CPU_KERNEL_DIR}/tile/tile.cc
  ${PLANISH_CPU_KERNEL_DIR}/winograd/winograd.cc)

set(PLANISH_CPU_KERNEL_TESTS
  ${PLANISH_CPU_KERNEL_DIR}/attention/attention_test.cc
  ${PLANISH_CPU_KERNEL_DIR}/bottleneck/bottleneck_test.cc
  ${PLANISH_CPU_KERNEL_DIR}/depthwise/depthwise_test.cc
  ${PLANISH_CPU_KERNEL_DIR}/direct_conv/direct_conv_test.cc
  ${PLANISH_CPU_KERNEL_DIR}/matmul/matmul_test.cc
  ${PLANISH_CPU_KERNEL_DIR}/pointwise/pointwise_test.cc
  ${PLANISH_CPU_KERNEL_DIR}/pool/pool_test.cc
  ${PLANISH_CPU_KERNEL_DIR}/reorder/reorder_test.cc
  ${PLANISH_CPU_KERNEL_DIR}/rows/rows_test.cc
  ${PLANISH_CPU_KERNEL_DIR}/winograd/winograd_test.cc)

set(PLANISH_CPU_KERNEL_BENCHES
  ${PLANISH_CPU_KERNEL_DIR}/bottleneck/bottleneck_bench.cc
  ${PLANISH_CPU_KERNEL_DIR}/direct_conv/direct_conv_bench.cc
  ${PLANISH_CPU_KERNEL_DIR}/matmul/matmul_bench.cc
  ${PLANISH_CPU_KERNEL_DIR}/winograd/winograd_bench.cc)

# Kernels are useless unoptimised: they get -O3 in every build type but debug.
set_source_files_properties(${PLANISH_CPU_KERNEL_SOURCES} PROPERTIES COMPILE_OPTIONS "$<$<NOT:$<CONFIG:Debug>>:-O3>")
foreach(family ${PLANISH_CPU_KERNEL_FAMILIES})
  set(base ${PLANISH_CPU_KERNEL_DIR}/${family}/${family})
  list(APPEND PLANISH_CPU_KERNEL_SOURCES ${base}_portable.cc)
  set_source_files_properties(${base}_portable.cc PROPERTIES COMPILE_OPTIONS "$<$<NOT:$<CONFIG:Debug>>:-O3>")
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    list(APPEND PLANISH_CPU_KERNEL_SOURCES ${base}_avx2.cc ${base}_avx512.cc)
    set_source_files_properties(${base}_avx2.cc PROPERTIES COMPILE_OPTIONS
      "$<$<NOT:$<CONFIG:Debug>>:-O3>;-mavx2;-mfma")
    set_source_files_properties(${base}_avx512.cc PROPERTIES COMPILE_OPTIONS
      "$<$<NOT:$<CONFIG:Debug>>:-O3>;-mavx2;-mfma;-mavx512f;-mavx512dq;-mavx512bw;-mavx512vl")
    # Other target flags than a precompiled header's.
    set_source_files_properties(${base}_avx2.cc ${base}_avx512.cc PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
  endif()
endforeach()
