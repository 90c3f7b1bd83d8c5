"""What `progress=` takes: a function, or True for a bar (tqdm's where it is installed)."""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import Any, Callable, Iterator, Optional, Union

ProgressFunction = Callable[[str, float, str], Any]
Progress = Union[None, bool, ProgressFunction]
Report = Callable[[str, float, str], bool]


class _Line:
    """One line on stderr, for where tqdm is not."""

    def __init__(self) -> None:
        self.width = 0

    def show(self, phase: str, fraction: float, message: str) -> None:
        text = f"planish: {fraction:4.0%} {phase} {message}"
        sys.stderr.write("\r" + text.ljust(self.width))
        sys.stderr.flush()
        self.width = len(text)

    def close(self) -> None:
        if self.width:
            sys.stderr.write("\n")


class _Bar:
    """tqdm's bar, in percent."""

    def __init__(self, tqdm: Any) -> None:
        self.bar = tqdm(total=100, desc="planish", bar_format="{l_bar}{bar}| {elapsed}{postfix}")

    def show(self, phase: str, fraction: float, message: str) -> None:
        self.bar.set_postfix_str(f"{phase} {message}".strip(), refresh=False)
        self.bar.update(100 * fraction - self.bar.n)

    def close(self) -> None:
        self.bar.close()


def _bar() -> Union[_Line, _Bar]:
    try:
        return _Bar(importlib.import_module("tqdm.auto").tqdm)
    except ImportError:
        return _Line()


@contextlib.contextmanager
def report_to(progress: Progress) -> Iterator[Optional[Report]]:
    """The function that the library calls: False of it cancels the build."""
    if progress is None or progress is False:
        yield None
        return
    if progress is not True:
        function = progress
        yield lambda phase, fraction, message: function(phase, fraction, message) is not False
        return
    bar = _bar()

    def show(phase: str, fraction: float, message: str) -> bool:
        bar.show(phase, fraction, message)
        return True

    try:
        yield show
    finally:
        bar.close()
