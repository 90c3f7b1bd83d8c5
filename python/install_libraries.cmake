# Copies Planish's libraries from the build tree `build_dir` into the wheel, by way of `stage`: its
# own install rules strip them and replace the build tree's run path. A wheel holds no links, so each
# library gets the one name that is asked for: libplanish.so.0.1 by the linker, libplanish_cuda.so by
# the runtime.
file(REMOVE_RECURSE ${stage})
execute_process(COMMAND ${CMAKE_COMMAND} --install ${build_dir} --component libraries --strip
                        --prefix ${stage}
                OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
file(GLOB_RECURSE names RELATIVE ${stage} ${stage}/libplanish*.so*)
set(copied 0)
foreach(name IN LISTS names)
  get_filename_component(file ${name} NAME)
  if(file MATCHES "^libplanish(_runtime)?\\.so\\.[0-9]+\\.[0-9]+$"
     OR (file MATCHES "^libplanish_[a-z]+\\.so$" AND NOT file STREQUAL "libplanish_runtime.so"))
    file(REAL_PATH ${stage}/${name} real)
    set(target $ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}/planish/${file})
    file(COPY_FILE ${real} ${target} ONLY_IF_DIFFERENT)
    message(STATUS "Installing: ${target}")
    math(EXPR copied "${copied} + 1")
  endif()
endforeach()
if(copied LESS 2)
  message(FATAL_ERROR "${build_dir} installed no libplanish and libplanish_runtime: ${names}")
endif()
