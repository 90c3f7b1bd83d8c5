#!/usr/bin/env bash
# Installs the build into a folder, moves that to another place and uses it from outside: find_package
# with and without a version, pkg-config for C++ and C, a program that links the runtime alone, and the
# installed command line. No installed file may name a folder of the build.
# Usage: check_package.sh SOURCE_DIR BUILD_DIR
set -euo pipefail
source_dir=$1
build_dir=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix="$work/moved here"
version=$(cat "$source_dir/VERSION")

cmake --install "$build_dir" --prefix "$work/prefix" > "$work/install.log"
mv "$work/prefix" "$prefix"
if grep -rlF -e "$build_dir/lib" -e "$work/prefix" "$prefix"; then
  echo "these installed files name a folder that a user's machine does not have"
  exit 1
fi

# configure VERSION FOLDER: whether a project that asks for this version is content.
configure() {
  cmake -S "$source_dir/tests/package/outside" -B "$work/$2" -DCMAKE_PREFIX_PATH="$prefix" \
    -Dwanted_version="$1" -DCMAKE_BUILD_TYPE=Release > "$work/configure.log" 2>&1
}
configure "${version%.*}" build || { cat "$work/configure.log"; exit 1; }
for other in 0.0 "${version%.*}.999" 999.0; do
  if configure "$other" "refused_$other"; then
    echo "find_package(planish $other) takes version $version"
    exit 1
  fi
done
cmake --build "$work/build" > "$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }

"$work/build/build_plan" "$work/y.plan"
if ldd "$work/build/run_plan" | grep -q 'libplanish\.so'; then
  echo "run_plan needs libplanish.so; it must need the runtime only"
  exit 1
fi
# Only the runtime is there: what it needs of the compiler would be missing now.
mkdir "$work/alone"
cp -P "$prefix"/lib*/libplanish_runtime.so* "$work/alone/" 2> /dev/null ||
  find "$prefix" -name 'libplanish_runtime.so*' -exec cp -P {} "$work/alone/" \;
cp "$work/build/run_plan" "$work/alone/"
(cd "$work/alone" && LD_LIBRARY_PATH="$work/alone" ./run_plan "$work/y.plan")
"$work/build/c_program"

export PKG_CONFIG_PATH
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name planish.pc)")
libraries=$(dirname "$PKG_CONFIG_PATH")
[[ $(pkg-config --modversion planish) == "$version" ]]
outside="$source_dir/tests/package/outside"
# by_pkg_config PROGRAM PACKAGE COMPILER...: builds PROGRAM by what pkg-config says of PACKAGE alone.
by_pkg_config() {
  local flags
  eval "flags=($(pkg-config --cflags --libs "$2"))"
  "${@:3}" -o "$work/pc_$1" "${flags[@]}"
}
by_pkg_config run_plan planish_runtime g++ -std=c++20 "$outside/run_plan.cc"
by_pkg_config c_program planish gcc "$outside/c_program.c"
LD_LIBRARY_PATH="$work/alone" "$work/pc_run_plan" "$work/y.plan"
LD_LIBRARY_PATH="$libraries" "$work/pc_c_program"

"$prefix/bin/planish" --version
"$prefix/bin/planish" inspect "$work/y.plan" > /dev/null
echo "package: all right"
