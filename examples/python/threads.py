#!/usr/bin/env python3
"""One engine, several callers: a context per thread, futures, and a coroutine.

Python's lock is free while an engine runs, so that two threads keep two cores busy. A context of one
thread each shares the machine between callers better than contexts that all want every core.
Usage: threads.py [DIGITS_FOLDER]
"""

import asyncio
import pathlib
import sys
import threading

import numpy as np
import planish

folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else \
    pathlib.Path(__file__).resolve().parents[1] / "digits"
images = np.load(folder / "digits_test_images.npy")
engine = planish.build(folder / "digits.onnx")
expected = engine(images)["probability"].argmax(axis=1)
halves = np.array_split(images, 2)

# A context of its own for each thread.
found = {}


def work(number, batch):
    context = engine.context(threads=1)
    found[number] = context(batch)["probability"].argmax(axis=1)


threads = [threading.Thread(target=work, args=item) for item in enumerate(halves)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("threads agree:", np.array_equal(np.concatenate([found[0], found[1]]), expected))

# Futures: the engine finds threads and contexts.
futures = [engine.submit(batch) for batch in halves]
classes = [future.result()["probability"].argmax(axis=1) for future in futures]
print("futures agree:", np.array_equal(np.concatenate(classes), expected))


# The same in a coroutine.
async def classify():
    results = await asyncio.gather(*(asyncio.wrap_future(engine.submit(batch)) for batch in halves))
    return np.concatenate([result["probability"].argmax(axis=1) for result in results])


print("coroutine agrees:", np.array_equal(asyncio.run(classify()), expected))
