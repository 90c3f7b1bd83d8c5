"""verify(): an engine against the reference interpreter."""

from __future__ import annotations

from typing import Any, Optional

from . import _planish
from ._build import load_network
from ._engine import Engine, Inputs
from .errors import InvalidArgumentError


def verify(engine: Engine, model: Any = None, *, inputs: Optional[Inputs] = None, seed: int = 1,
           atol: Optional[float] = None, rtol: Optional[float] = None,
           layers: bool = False) -> _planish.VerifyReport:
    """Compares the engine with the reference interpreter, element by element.

    model: what it was built from; not needed for an engine that build() gave.
    inputs: as a run takes them; random ones of `seed` otherwise. atol, rtol: instead of the bound
    that rounding alone explains. layers: values between the steps are compared, too.
    """
    network = engine._network if model is None else load_network(model)
    if network is None:
        raise InvalidArgumentError("the engine was loaded from a plan: give the model as well")
    arrays = [] if inputs is None else engine._ordered(inputs)
    return _planish.verify(network, engine._engine, arrays, seed, atol, rtol, layers)
