"""Promises 2, 3, 4 and 8: the k-th operation on the disk fails, is cut short, kills, or finds the disk full."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SOAK = os.environ.get("HAVENLINE_SOAK") == "1"


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler here, which the shim that makes the disk fail needs")
    made = tmp_path_factory.mktemp("shim") / "shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", made, HERE / "fault_shim.c", "-ldl"], check=True)
    return made


def run(shim: Path, module: str, *arguments: str) -> str:
    environment = {**os.environ, "LD_PRELOAD": str(shim), "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=3_000).stdout


@pytest.mark.timeout(3_000 if SOAK else 300)
@pytest.mark.parametrize(
    ("mode", "first"),
    [pytest.param(0, 1, id="fails"), pytest.param(1, 2, id="cut-short"), pytest.param(2, 3, id="killed"),
     pytest.param(3, 4, id="full")],
)  # fmt: skip
def test_whatever_operation_goes_wrong_nothing_acknowledged_is_wrong_and_nothing_is_unwritten(
    shim: Path, tmp_path: Path, mode: int, first: int
) -> None:
    step = 1 if SOAK else 11
    told = json.loads(run(shim, "tests.guard.fault_driver", str(tmp_path), str(mode), str(first), str(step)))
    print(f"every {step}th of {told['operations']} operations from the {first}th: {told['runs']} runs")
    assert told["operations"] > 100
    assert told["runs"] >= (told["operations"] - first) // step
    assert told["wrong"] == []


def test_an_object_is_flushed_then_named_then_its_folder_flushed_before_it_is_acknowledged(
    shim: Path, tmp_path: Path
) -> None:
    lines = run(shim, "tests.guard.order_driver", str(tmp_path)).splitlines()
    acknowledged = [line.split()[1] for line in lines if line.startswith("acknowledged")]
    assert len(acknowledged) == 20
    for name in acknowledged:
        file = next(at for at, line in enumerate(lines) if line.startswith("fsync") and f"/store/.{name}." in line)
        renamed = lines.index(f"rename {tmp_path}/store/{name}")
        folder = lines.index(f"fsync {tmp_path}/store", renamed)
        written = [at for at, line in enumerate(lines) if line.startswith("write") and f"/store/.{name}." in line]
        assert written[-1] < file < renamed < folder < lines.index(f"acknowledged {name}")
        key = max(at for at, line in enumerate(lines[: written[0]]) if line == f"fsync {tmp_path}/keyd.sqlite-wal")
        assert lines[key + 1].startswith("write")
