#!/usr/bin/env python3
"""Looks at the symbols of the two libraries.

libplanish_runtime.so must hold no pass, tuner, wire format, compiler, check or test case; both must
export nothing but their API and, under PLANISH_INTERNAL_<version>, what they share.
Usage: check_symbols.py LIB_DIR VERSION
"""

import pathlib
import re
import subprocess
import sys

FORBIDDEN = re.compile(
    r"\b(planish::(passes|tuner|compiler|frontend|check|partition|quant)::|protozero::|"
    r"planish::v1::(Network|Plan|build|verify)\b|testing::|planish::ops::\w*cases)"
)


def symbols(library, *options):
    """Demangled names of the library's symbols, with their version where it has one."""
    text = subprocess.run(["nm", "-C", "--defined-only", *options, library], check=True,
                          capture_output=True, text=True)
    lines = re.findall(r"^[0-9a-f]+ (\w) (.*)$", text.stdout, re.MULTILINE)
    return [name for kind, name in lines if kind != "w"]


def check(lib_dir, version):
    problems = []
    runtime = lib_dir / "libplanish_runtime.so"
    compiler = lib_dir / "libplanish.so"
    for name in symbols(runtime):
        if FORBIDDEN.search(name):
            problems.append(f"{runtime.name} holds {name}")
    internal = f"PLANISH_INTERNAL_{version}"
    counts = {}
    for library in (runtime, compiler):
        for name in symbols(library, "-D", "--with-symbol-versions"):
            symbol, _, tag = name.rpartition("@@") if "@@" in name else name.rpartition("@")
            if not symbol:  # the version nodes themselves
                continue
            public = symbol.startswith("planish_") or "planish::v1::" in symbol
            counts[library.name, tag] = counts.get((library.name, tag), 0) + 1
            if library is compiler and tag != "PLANISH_1":
                problems.append(f"{library.name} exports {symbol} as {tag}")
            if tag == "PLANISH_1" and not public:
                problems.append(f"{library.name} exports {symbol} as public")
            if tag == internal and "planish::" not in symbol:
                problems.append(f"{library.name} exports {symbol} as internal")
    for library in (runtime, compiler):
        if not counts.get((library.name, "PLANISH_1")):
            problems.append(f"{library.name} exports no public symbol")
    if not counts.get((runtime.name, internal)):
        problems.append(f"{runtime.name} exports nothing as {internal}")
    # One copy of what both worlds use.
    for name in symbols(compiler):
        if re.match(r"planish::(ir::Graph::add_node|plan::read_plan|runtime::Engine::create)\(", name):
            problems.append(f"{compiler.name} holds a copy of {name}")
    return problems, counts


def main():
    problems, counts = check(pathlib.Path(sys.argv[1]), sys.argv[2])
    for problem in problems[:50]:
        print(problem)
    for (library, tag), count in sorted(counts.items()):
        print(f"{library}: {count} symbols as {tag}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
