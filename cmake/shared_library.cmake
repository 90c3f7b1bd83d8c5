# planish_shared_library(TARGET OUTPUT_NAME name LAYERS targets... MAP file [LIBRARIES ...]): a shared
# object of the given layers' objects. What it exports is decided by the version script alone.
function(planish_shared_library target)
  cmake_parse_arguments(ARG "" "OUTPUT_NAME;MAP" "LAYERS;LIBRARIES" ${ARGN})
  set(objects)
  foreach(layer IN LISTS ARG_LAYERS)
    list(APPEND objects $<TARGET_OBJECTS:${layer}>)
  endforeach()
  add_library(${target} SHARED ${objects})
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME ${ARG_OUTPUT_NAME}
    EXPORT_NAME ${ARG_OUTPUT_NAME}
    LINKER_LANGUAGE CXX
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
    INSTALL_RPATH "$ORIGIN"
    LINK_DEPENDS ${ARG_MAP})
  # A library's own calls stay its own; nothing may be left undefined but what it links.
  target_link_options(${target} PRIVATE -Wl,--version-script=${ARG_MAP} -Wl,-Bsymbolic-functions)
  if(NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    target_link_options(${target} PRIVATE -Wl,-z,defs)
  endif()
  target_link_libraries(${target} PRIVATE ${ARG_LIBRARIES} Threads::Threads ${CMAKE_DL_LIBS})
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(${target} PUBLIC cxx_std_20)
endfunction()
