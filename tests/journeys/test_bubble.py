"""`decoderd` in namespaces of its own, where bubblewrap is installed and allowed: what is there, what is not."""

from __future__ import annotations

import io
import os
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from havenline.testing.films import still
from havenline_cli import bubble as bubbles
from havenline_cli.bubble import bubble
from havenline_guard.decoder_wire import Decoded
from tests.guard.decoder_rig import Rig
from tests.guard.told import HAVENLINE

NAMESPACES = ("mnt", "net", "pid", "ipc", "uts")


@pytest.fixture
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("b")
    made = bubble(folder=folder)
    if not made.before:
        pytest.skip(made.why)
    rig = Rig(folder, [*made.before, *HAVENLINE, "decoderd", "--socket"])
    yield rig
    if rig.process.poll() is None:
        rig.process.kill()
        rig.process.wait()


def namespaces(process: int | str) -> set[Path]:
    return {Path(f"/proc/{process}/ns/{name}").readlink() for name in NAMESPACES}


def inside(rig: Rig) -> list[int]:
    """Process numbers of bubblewrap and of all that descends from it."""
    found, at = [rig.process.pid], 0
    while at < len(found):
        children = Path(f"/proc/{found[at]}/task/{found[at]}/children").read_text().split()
        found += [int(each) for each in children]
        at += 1
    return found


def test_it_opens_pictures_and_reaches_neither_network_nor_files_nor_processes(rig: Rig) -> None:
    drawn, content = Image.fromarray(still(3)), io.BytesIO()
    drawn.save(content, "PNG")
    answer = rig.client.decode(content.getvalue(), width=32, height=32)
    assert isinstance(answer, Decoded)
    assert (answer.width, answer.height) == drawn.size
    for pid in inside(rig)[2:]:  # the first two are bubblewrap's own
        assert not namespaces(pid) & namespaces("self")
        root = Path(f"/proc/{pid}/root")
        assert not (root / "etc/passwd").exists()
        assert not (root / "var").exists()
        networks = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
        assert [line.split(":")[0].strip() for line in networks] == ["lo"]
        capabilities = next(each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if "CapEff" in each)
        assert int(capabilities.split()[1], 16) == 0
        assert set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")) <= {
            *(f"{name}={value}".encode() for name, value in (("HOME", "/tmp"), ("PATH", "/usr/bin"), ("PWD", "/"))),
            b"LANG=C.UTF-8",
            f"NUMBA_CACHE_DIR={os.environ['NUMBA_CACHE_DIR']}".encode(),
            b"",
        }


def test_nothing_of_it_is_left_after_its_end_by_force_and_the_next_one_answers_there(rig: Rig) -> None:
    all_of_it = inside(rig)
    assert len(all_of_it) >= 4
    rig.process.kill()
    rig.process.wait()
    for _ in range(500):
        if not any(Path(f"/proc/{pid}").exists() for pid in all_of_it):
            break
        time.sleep(0.02)
    assert [pid for pid in all_of_it if Path(f"/proc/{pid}").exists()] == []
    rig.log.unlink()
    again = Rig(rig.path.parent, [*bubble(folder=rig.path.parent).before, *HAVENLINE, "decoderd", "--socket"])
    assert again.client.state()["ready"]
    again.process.kill()
    again.process.wait()


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (None, "bubblewrap is not installed"),
        ("echo 'bwrap: No permissions to create new namespace' >&2; exit 1", "No permissions to create new namespace"),
        ("exit 3", "ended with 3"),
        ("exec /bin/sleep 60", "did not end within 0 seconds"),
    ],
)
def test_where_it_cannot_be_had_the_command_runs_as_it_is_and_why_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, why: str
) -> None:
    if script is not None:
        program = tmp_path / "bwrap"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(bubbles, "_SECONDS", 0.4 if "sleep" in script else 60.0)
    monkeypatch.setenv("PATH", str(tmp_path))
    made = bubble(folder=tmp_path)
    assert made.before == ()
    assert why in made.why


def test_one_that_is_set_user_id_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bwrap"
    shutil.copy("/bin/true", program)
    program.chmod(0o755 | stat.S_ISUID)
    monkeypatch.setenv("PATH", str(tmp_path))
    made = bubble(folder=tmp_path)
    assert made.before == ()
    assert "set-user-id" in made.why
