#!/usr/bin/env python3
"""Every public header compiles alone, as the language it is for, and has at most 300 lines.

Usage: check_headers.py SOURCE_DIR CXX CC
"""

import pathlib
import subprocess
import sys

MAX_LINES = 300


def main():
    include = pathlib.Path(sys.argv[1]) / "include"
    problems = []
    for header in sorted(include.rglob("*.h")):
        name = header.relative_to(include).as_posix()
        lines = len(header.read_text().splitlines())
        if lines > MAX_LINES:
            problems.append(f"{name}: {lines} lines, expected at most {MAX_LINES}")
        runs = [[sys.argv[2], "-std=c++20", "-x", "c++"]]
        if name.startswith("planish/c/") or name == "planish/plugin.h":
            runs.append([sys.argv[3], "-std=c99", "-x", "c"])
        for command in runs:
            done = subprocess.run(
                [*command, "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only",
                 f"-I{include}", "-"],
                input=f"#include <{name}>\n", capture_output=True, text=True)
            if done.returncode:
                problems.append(f"{name} ({command[0]}):\n{done.stderr[:2000]}")
    print("\n".join(problems) or "all headers are right")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
