"""Several callers at once, Python's lock, cancelling, deadlines."""

import asyncio
import threading
import time

import models
import numpy as np
import planish
import pytest


def image(n=2, seed=0):
    return np.random.default_rng(seed).uniform(0, 1, (n, 1, 8, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def slow():
    """Runs for seconds unless it is stopped."""
    return planish.build(models.products(400, 768), deterministic=True)


@pytest.fixture
def zeros():
    return [np.zeros((768, 768), np.float32)]


class Canceller(threading.Thread):
    """A Python thread that does something of its own for a while, then cancels: who is cancelled by
    it has let Python go on meanwhile.
    """

    def __init__(self, ticks=50):
        super().__init__()
        self.token, self.ticks = planish.CancelToken(), ticks

    def run(self):
        while self.ticks > 0:
            self.ticks -= 1
            time.sleep(0.001)
        self.token.cancel()

    def __enter__(self):
        self.start()
        return self.token

    def __exit__(self, *_):
        self.join()
        assert self.ticks == 0 and self.token.cancelled


def test_threads_of_an_engine(engine):
    inputs = [image(2, seed) for seed in range(4)]
    want = [engine(one)["probability"] for one in inputs]
    wrong = []

    def work(k, call):
        for _ in range(20):
            if not np.array_equal(call(inputs[k])["probability"], want[k]):
                wrong.append(k)

    shared = engine.context()
    calls = [engine, engine.context(threads=1), shared, shared]
    threads = [threading.Thread(target=work, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_futures(engine):
    inputs = [image(2, seed) for seed in range(8)]
    for one, future in [(one, engine.submit(one)) for one in inputs]:
        np.testing.assert_array_equal(future.result()["probability"], engine(one)["probability"])
    with pytest.raises(planish.InvalidArgumentError, match="expected f32"):
        engine.submit(image().astype(np.float64)).result()


def test_coroutines(engine):
    async def both():
        futures = [asyncio.wrap_future(engine.submit(image(2, seed))) for seed in (1, 2)]
        return await asyncio.gather(*futures)

    for seed, result in zip((1, 2), asyncio.run(both())):
        np.testing.assert_array_equal(result["probability"], engine(image(2, seed))["probability"])


def test_python_goes_on_during_a_run(slow, zeros):
    with Canceller() as token, pytest.raises(planish.CancelledError):
        slow.run(zeros, cancel=token)
    assert repr(token) == "<planish.CancelToken, cancelled>"


def test_a_context_runs_again_after_a_deadline(slow, zeros):
    context = slow.context()
    for _ in range(2):
        with pytest.raises(planish.DeadlineExceededError, match="deadline"):
            context.run(zeros, timeout_s=0.01)


def test_python_goes_on_during_a_build():
    with Canceller() as token, pytest.raises(planish.CancelledError):
        planish.build(models.towers(200), timing_cache="", cancel=token)


def test_builds_in_threads(digits, engine):
    plans = []
    threads = [threading.Thread(target=lambda: plans.append(
        planish.build(digits, deterministic=True).plan_bytes())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert plans == [engine.plan_bytes()] * 3
