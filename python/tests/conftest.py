"""What the tests share. PLANISH_SOURCE is the checkout: the tests themselves run outside of it."""

import os
import pathlib
import sys

import planish
import pytest


def pytest_configure(config):
    # The wheel is under test, not a build tree that happens to be found.
    for package in (planish, planish._planish):
        assert package.__file__.startswith(sys.prefix), package.__file__


@pytest.fixture(scope="session")
def source():
    return pathlib.Path(os.environ["PLANISH_SOURCE"])


@pytest.fixture(scope="session")
def digits(source):
    return source / "examples" / "digits" / "digits.onnx"


@pytest.fixture(scope="session")
def engine(digits):
    return planish.build(digits, deterministic=True)
