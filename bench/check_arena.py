"""Recomputes a plan's activation memory from scratch and judges its layout.

  python3 bench/check_arena.py PLAN... [--planish COMMAND]
  python3 bench/check_arena.py --json FILE...      the saved output of `planish inspect --json`

From the lifetimes and offsets in `memory.values` (both steps included; views and values outside
the arena are not listed) it checks that
  - no two values that live at the same step share a byte,
  - `arena_bytes`, `sum_bytes` and `lower_bound_bytes` are what the values say,
  - the arena is at most 1.1 times the lower bound: the largest sum of what is alive at a step.
Values take whole units of ALIGNMENT bytes.
It shares no code with the planner. Exit status 1 if a check fails.
"""

import argparse
import json
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[1]
ALIGNMENT = {"cpu": 64}  # other devices: 256
MAX_OVER_BOUND = 1.1


def lower_bound(values):
    """The largest number of bytes alive at any one step: no layout can do with fewer."""
    changes = {}
    for value in values:
        first, last = value["first_step"], value["last_step"]
        changes[first] = changes.get(first, 0) + value["bytes"]
        changes[last + 1] = changes.get(last + 1, 0) - value["bytes"]
    alive = most = 0
    for step in sorted(changes):
        alive += changes[step]
        most = max(most, alive)
    return most


def overlaps(values):
    """Pairs of values that are alive together and share bytes."""
    values = sorted((v for v in values if v["bytes"]), key=lambda v: v["offset"])
    for at, a in enumerate(values):
        end = a["offset"] + a["bytes"]
        for b in values[at + 1 :]:
            if b["offset"] >= end:
                break
            if a["first_step"] <= b["last_step"] and b["first_step"] <= a["last_step"]:
                yield a, b


def place(value):
    return (
        f"'{value['name']}' [{value['offset']}, {value['offset'] + value['bytes']}) "
        f"in steps {value['first_step']}-{value['last_step']}"
    )


def check(report):
    """The list of faults of a plan's memory map, and its arena, sum and lower bound."""
    memory, unit = report["memory"], ALIGNMENT.get(report["device"]["kind"], 256)
    values = [{**v, "bytes": -(-v["bytes"] // unit) * unit} for v in memory["values"]]
    faults = [f"{place(a)} and {place(b)} share bytes" for a, b in overlaps(values)]
    for value in values:
        if value["first_step"] > value["last_step"] or value["offset"] < 0 or value["bytes"] < 0:
            faults.append(f"{place(value)} is no valid entry")
    end = max((v["offset"] + v["bytes"] for v in values), default=0)
    arena, total, bound = (
        memory["arena_bytes"],
        sum(v["bytes"] for v in values),
        lower_bound(values),
    )
    if end > arena:
        faults.append(f"a value ends at {end}, arena_bytes is {arena}")
    for name, expected in [("sum_bytes", total), ("lower_bound_bytes", bound)]:
        if memory[name] != expected:
            faults.append(f"{name} is {memory[name]}, recomputed {expected}")
    if arena > MAX_OVER_BOUND * bound:
        faults.append(f"the arena is {arena / max(bound, 1):.3f} times the lower bound, "
                      f"allowed are {MAX_OVER_BOUND}")  # fmt: skip
    return faults, arena, total, bound


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", metavar="PLAN")
    parser.add_argument("--json", action="store_true", help="the files are inspect's output")
    parser.add_argument("--planish", default=str(TOP / "build" / "release" / "bin" / "planish"))
    arguments = parser.parse_args()
    failed = False
    for file in arguments.files:
        if arguments.json:
            text = pathlib.Path(file).read_text()
        else:
            line = [arguments.planish, "inspect", file, "--json"]
            text = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout
        faults, arena, total, bound = check(json.loads(text))
        state = "FAILED" if faults else "ok"
        sizes = "arena {:.2f} MiB, lower bound {:.2f} MiB, sum {:.2f} MiB".format(
            *(count / 2**20 for count in (arena, bound, total))
        )
        print(f"{file}: {state}, {sizes}, {arena / max(bound, 1):.3f}x the bound")
        for fault in faults:
            print(f"  {fault}")
        failed = failed or bool(faults)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
