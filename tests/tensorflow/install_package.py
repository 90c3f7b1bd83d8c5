#!/usr/bin/env python3
"""Installs the Python package from its wheel into a folder of the build tree, for the tests that import
planish.tensorflow. Skips (exit code 77) without TensorFlow and what building the wheel needs.

Usage: install_package.py SOURCE BUILD FOLDER
"""

import importlib.util
import pathlib
import shutil
import subprocess
import sys

source, build, folder = map(pathlib.Path, sys.argv[1:4])
missing = [name for name in ("tensorflow", "nanobind", "scikit_build_core", "pip")
           if importlib.util.find_spec(name) is None]
if missing:
    print(f"skipped: {sys.executable} has no {', '.join(missing)}")
    sys.exit(77)
shutil.rmtree(folder, ignore_errors=True)
sys.exit(subprocess.run(
    [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
     "--no-build-isolation", "--no-index", "--target", str(folder),
     "-C", f"build-dir={build}/tensorflow_package",
     "-C", f"cmake.define.PLANISH_BUILD_DIR={build}", str(source)]).returncode)
