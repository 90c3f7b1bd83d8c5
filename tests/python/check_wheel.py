#!/usr/bin/env python3
"""Checks what is in a wheel: all parts, nothing of the machine that built it, a manylinux name.

Usage: check_wheel.py WHEEL BUILD_DIR
"""

import pathlib
import re
import sys
import zipfile

from elftools.elf.elffile import ELFFile

# What the platform tag promises, and what is looked for at run time and may be missing.
SYSTEM = {"libc.so.6", "libm.so.6", "libgcc_s.so.1", "libstdc++.so.6", "ld-linux-x86-64.so.2"}
AT_RUN_TIME = {"libplanish_onednn.so": {"libdnnl.so.2", "libgomp.so.1"}}
# Debian 12's C library: what its compiler makes asks for no newer one.
NEWEST_GLIBC = (2, 36)


def dynamic(data):
    """Names needed and run paths of a shared object."""
    section = ELFFile(data).get_section_by_name(".dynamic")
    tags = list(section.iter_tags())
    needed = {tag.needed for tag in tags if tag.entry.d_tag == "DT_NEEDED"}
    paths = [getattr(tag, tag.entry.d_tag[3:].lower()) for tag in tags
             if tag.entry.d_tag in ("DT_RPATH", "DT_RUNPATH")]
    return needed, paths


def problems_of(wheel, build_dir):
    tag = re.search(r"-manylinux_(\d+)_(\d+)_x86_64\.whl$", wheel.name)
    if not tag:
        yield f"{wheel.name}: not named for manylinux"
    elif (int(tag[1]), int(tag[2])) > NEWEST_GLIBC:
        yield f"{wheel.name}: asks for a newer C library than {NEWEST_GLIBC}"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        libraries = {pathlib.PurePosixPath(name).name: name for name in names if ".so" in name}
        for wanted in ("planish/__init__.py", "planish/_planish.pyi", "planish/py.typed"):
            if wanted not in names:
                yield f"no {wanted}"
        for wanted in ("LICENSE", "THIRD_PARTY_NOTICES.md"):
            if not any(name.endswith(f".dist-info/licenses/{wanted}") for name in names):
                yield f"no {wanted}"
        for built in ("libplanish_onednn.so", "libplanish_cuda.so"):
            if (build_dir / "lib" / built).exists() and built not in libraries:
                yield f"the build has {built}, the wheel has not"
        for file, name in sorted(libraries.items()):
            with archive.open(name) as data:
                needed, paths = dynamic(data)
            strange = needed - SYSTEM - set(libraries) - AT_RUN_TIME.get(file, set())
            if strange:
                yield f"{name} needs {', '.join(sorted(strange))}"
            if any(path != "$ORIGIN" for path in paths):
                yield f"{name} looks for libraries in {paths}, expected $ORIGIN alone"
            if str(build_dir.parent).encode() in archive.read(name):
                yield f"{name} names a folder of the build, {build_dir.parent}"


def main():
    wheel, build_dir = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    problems = list(problems_of(wheel, build_dir))
    for problem in problems:
        print(f"{wheel.name}: {problem}")
    if not problems:
        print(f"{wheel.name}: all right, {wheel.stat().st_size / 1e6:.1f} MB")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
