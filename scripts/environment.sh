# What every script of this folder shares: the repository's root, the compiler cache and the number
# of jobs. Sourced, never run.
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root"

# The cache is found again from another checkout, and does not care where the tree lies.
export CCACHE_BASEDIR="${CCACHE_BASEDIR:-$root}"
export CCACHE_NOHASHDIR=1
export CCACHE_SLOPPINESS="${CCACHE_SLOPPINESS:-pch_defines,time_macros}"
export CCACHE_MAXSIZE="${CCACHE_MAXSIZE:-10G}"

jobs="${PLANISH_JOBS:-$(nproc)}"
# The Python of tests and benches; the C++ build itself needs none beyond python3.
export PLANISH_PYTHON="${PLANISH_PYTHON:-$root/.venv/bin/python}"

say() { printf '\n== %s\n' "$*"; }
