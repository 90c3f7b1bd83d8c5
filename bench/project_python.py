"""Restarts a script of bench/ with the project's virtual environment, where there is one.

`./scripts/test` and `./scripts/demo` create `.venv` at the top of the checkout. A script that is
started with another Python calls `use()` before it imports numpy and the like; without `.venv`
the Python that runs is kept.
"""

import os
import pathlib
import sys

TOP = pathlib.Path(__file__).resolve().parents[1]


def use():
    python = TOP / ".venv" / "bin" / "python"
    inside = pathlib.Path(sys.prefix) == TOP / ".venv"
    if python.exists() and not inside and "PLANISH_BENCH_RESTARTED" not in os.environ:
        os.environ["PLANISH_BENCH_RESTARTED"] = "1"
        os.execv(python, [str(python), *sys.argv])
