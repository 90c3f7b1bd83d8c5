"""What this machine offers."""

from __future__ import annotations

import os
from typing import List, NamedTuple, Union

from . import _planish


class DeviceInfo(NamedTuple):
    """A device of this machine; of one that is absent, `reason` says why."""

    kind: str
    name: str
    isa: str
    threads: int
    available: bool
    reason: str


def devices() -> List[DeviceInfo]:
    """Devices that engines can run on, and kinds that are absent with the reason."""
    return [DeviceInfo(*one) for one in _planish.devices()]


def load_plugin(path: Union[str, "os.PathLike[str]"]) -> None:
    """Loads operators and kernels of a shared object (planish/plugin.h). Its code runs."""
    _planish.load_plugin(os.fspath(path))
