"""The wheel as users meet it: its libraries, its types, the examples."""

import importlib.metadata
import os
import pathlib
import shutil
import subprocess
import sys
import textwrap

import planish
import pytest

PACKAGE = pathlib.Path(planish.__file__).parent


def test_only_the_wheels_own_libraries_are_loaded(engine):
    mapped = {line.split()[-1] for line in open("/proc/self/maps") if "libplanish" in line}
    assert {pathlib.Path(path).name for path in mapped} >= {"libplanish.so.0.1",
                                                           "libplanish_runtime.so.0.1"}
    assert {pathlib.Path(path).parent for path in mapped} == {PACKAGE}
    assert engine.device == "cpu"


def test_backends_are_found_or_their_absence_is_told():
    kinds = {device.kind: device for device in planish.devices()}
    for kind, library in (("onednn", "libplanish_onednn.so"), ("cuda", "libplanish_cuda.so")):
        if (PACKAGE / library).exists():
            assert "not installed" not in kinds[kind].reason


WITHOUT_ONEDNN = """
    import numpy as np, planish, sys
    print({device.kind: device for device in planish.devices()}["onednn"].reason)
    engine = planish.build(sys.argv[1], deterministic=True)
    print(engine(np.zeros((1, 1, 8, 8), np.float32))["probability"].shape, planish.__file__)
"""


def test_a_machine_without_onednn(tmp_path, digits):
    library, patchelf = "libplanish_onednn.so", shutil.which("patchelf")
    if patchelf is None or not (PACKAGE / library).exists():
        pytest.skip("no patchelf, or a build without oneDNN")
    copy = tmp_path / "planish"
    shutil.copytree(PACKAGE, copy)
    subprocess.run([patchelf, "--replace-needed", "libdnnl.so.2", "libdnnl_that_is_absent.so.2",
                    copy / library], check=True)
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(WITHOUT_ONEDNN), str(digits)],
                          cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0 and not done.stderr, done.stderr
    reason, result = done.stdout.splitlines()
    assert library in reason and "libdnnl_that_is_absent.so.2" in reason
    assert result == f"(1, 10) {copy / '__init__.py'}"


def test_metadata():
    about = importlib.metadata.metadata("planish")
    assert about["Version"] == planish.__version__
    assert about["License-Expression"] == "Apache-2.0"
    assert set(about.get_all("License-File")) == {"LICENSE", "NOTICE", "THIRD_PARTY_NOTICES.md"}


TYPED = '''
import numpy as np
import planish
engine = planish.build("model.onnx", shapes={"x": (1, 4)}, progress=True)
result = engine(np.zeros((1, 4), np.float32))
reveal_type(result)
reveal_type(engine.inputs[0].shape)
reveal_type(planish.verify(engine).outputs[0].ratio)
reveal_type(engine.submit(x=result["y"]))
engine.save(3)
planish.build("model.onnx", presision="fp16")
'''


def test_types(tmp_path):
    pytest.importorskip("mypy")
    user = tmp_path / "user.py"
    user.write_text(TYPED)
    cache = os.environ.get("PLANISH_MYPY_CACHE", str(tmp_path / "cache"))
    modules = ["planish"] + [f"planish.{path.stem}" for path in sorted(PACKAGE.glob("*.py*"))
                             if path.stem != "__init__" and path.suffix in (".py", ".pyi")]
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", cache, "-m", "user"]
    done = subprocess.run(mypy + [arg for module in modules for arg in ("-m", module)],
                          cwd=tmp_path, capture_output=True, text=True)
    said = done.stdout
    of_the_package = [line for line in said.splitlines() if not line.startswith(("user.py", "Found"))]
    assert not of_the_package and not done.stderr, said + done.stderr
    assert "dict[str, numpy.ndarray" in said and "tuple[int | str, ...]" in said
    assert 'Revealed type is "float"' in said or 'Revealed type is "builtins.float"' in said
    assert "Future[" in said
    assert 'Argument 1 to "save"' in said and '"presision"' in said and "Found 2 errors" in said


@pytest.mark.parametrize("name, said", [
    ("classify", ["446 of 450 test images right", "VerifyReport, good"]),
    ("threads", ["threads agree: True", "futures agree: True", "coroutine agrees: True"]),
    ("dlpack", ["shares its memory: True", "written in place: True"])])
def test_examples(source, tmp_path, name, said):
    done = subprocess.run([sys.executable, source / "examples" / "python" / f"{name}.py"],
                          cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and not done.stderr, done.stderr  # nanobind tells leaks there
    for text in said:
        assert text in done.stdout
