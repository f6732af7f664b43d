"""Promise 4: a full disk refuses, loses nothing, shows nothing unlogged, and the desk goes on when there is space."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from havenline_desk.sites.binaries import system_user
from tests.desk.factories import draw
from tests.small_disk import SmallDisk

from .desk_rig import DeskRig, desk_rig, supervised_rig, within

HAVENLINE = Path(sys.executable).with_name("havenline")


def _database(rig: DeskRig) -> None:
    group = system_user().pw_gid
    rig.disks.append(SmallDisk.mount(rig.home.postgresql, megabytes=160, mode="0710", group=group))


def _audit(rig: DeskRig) -> None:
    rig.disks.append(SmallDisk.mount(rig.home.path / "audit", megabytes=1))


@pytest.mark.parametrize("place", [_database, _audit], ids=["database", "audit folder"])
def test_a_full_disk_refuses_with_a_time_to_come_back_and_nothing_is_lost_or_unlogged(
    place: Callable[[DeskRig], None],
) -> None:
    with desk_rig(place) as rig:
        (disk,) = rig.disks
        with rig.web():
            within(60, lambda: rig.count() > 20)
            disk.fill()
            full = time.time()
            within(60, lambda: any(each["at"] > full for each in refusals(rig)))
            time.sleep(5)
            disk.free()
            free = time.time()
            rig.cluster.start()  # as its supervisor does: out of space for its log, PostgreSQL ends
            before = rig.count()
            again = within(60, lambda: rig.count() > before + 4)
        counted = rig.reckon()
        refused = [each for each in refusals(rig) if full < each["at"] < free]
    print(f"{len(refused)} refused, {counted.total()} acknowledged, 0 lost; at work again after {again:.1f} s")
    assert {each["status"] for each in refused} == {503}
    assert {each["again"] for each in refused} == {"60"}
    assert again < 10


def test_a_full_disk_of_content_stops_an_import_in_one_line_and_it_goes_on_when_there_is_space(tmp_path: Path) -> None:
    with supervised_rig(due=0) as rig:
        content, aside, source = rig.home / "content", tmp_path / "aside", tmp_path / "source"
        shutil.copytree(content, aside)
        disk = SmallDisk.mount(content, megabytes=4)
        try:
            shutil.copytree(aside, content, dirs_exist_ok=True)
            source.mkdir()
            for number in range(3):
                (source / f"{number}.png").write_bytes(draw(9_000 + number))

            def havenline(*words: str | Path, code: int) -> str:
                command = [HAVENLINE, *words, "--home", rig.home]
                done = subprocess.run(command, env=rig.environ, capture_output=True, text=True, timeout=300)
                assert done.returncode == code, done.stdout + done.stderr
                assert "Traceback" not in done.stderr
                return done.stdout + done.stderr

            said = ("--by", "lead", "--source", "forum", "--posted", "3", "--legal-basis", "drawn pictures")
            opened = ("investigation", "create", "FULL-1", *said, "--expires", "2099-12-31")
            havenline(*opened, "--framework", "demo.shapes", code=0)
            taking = ("investigation", "import", "FULL-1", source, "--by", "lead", "--approved-by", "senior")
            disk.fill()
            assert "No space left" in havenline(*taking, "--workers", "1", code=1)
            status = json.loads(havenline("investigation", "status", "FULL-1", "--json", code=0))[0]
            assert status["selected"] == status["stacks"] == 0
            havenline("scrub", code=0)
            disk.free()
            assert "3 taken in" in havenline(*taking, "--workers", "1", code=0)
            assert "0 damaged, 0 missing" in havenline("scrub", "--sweep", code=0)
            status = json.loads(havenline("investigation", "status", "FULL-1", "--json", code=0))[0]
            assert status["files"] == status["stacks"] == 3
            assert "as its entry vouches for" in havenline("audit", "check", code=0)
        finally:
            disk.take_away()


def refusals(rig: DeskRig) -> list[dict[str, Any]]:
    return [each for each in rig.acknowledged() if each["act"] == "refused"]
