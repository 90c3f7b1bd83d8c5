#!/usr/bin/env bash
# Installs the build into a folder of its own and uses it from outside: find_package, pkg-config, a
# program that links the runtime alone, a C program, and the installed command line.
# Usage: check_package.sh SOURCE_DIR BUILD_DIR
set -euo pipefail
source_dir=$1
build_dir=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix="$work/prefix"

cmake --install "$build_dir" --prefix "$prefix" > "$work/install.log"
cmake -S "$source_dir/tests/package/outside" -B "$work/build" -DCMAKE_PREFIX_PATH="$prefix" \
  -DCMAKE_BUILD_TYPE=Release > "$work/configure.log" || { cat "$work/configure.log"; exit 1; }
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
prefix_option="--define-variable=prefix=$prefix"
# shellcheck disable=SC2046
g++ -std=c++20 "$source_dir/tests/package/outside/run_plan.cc" -o "$work/by_pkg_config" \
  $(pkg-config "$prefix_option" --cflags --libs planish_runtime)
LD_LIBRARY_PATH="$work/alone" "$work/by_pkg_config" "$work/y.plan"

"$prefix/bin/planish" --version
"$prefix/bin/planish" inspect "$work/y.plan" > /dev/null
echo "package: all right"
