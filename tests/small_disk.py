"""A disk of a few megabytes that a test fills and frees: a tmpfs, which only root can mount."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """Mounted at `path`; `fill` leaves no byte free, `free` gives the space back."""

    path: Path

    @classmethod
    def mount(cls, path: Path, *, megabytes: int, mode: str = "0700", group: int = 0) -> SmallDisk:
        """Mount one, or skip the test and say why."""
        if os.geteuid() != 0:
            pytest.skip("only root can mount the small disk that this test fills")
        path.mkdir(exist_ok=True)
        options = f"size={megabytes}m,mode={mode},gid={group}"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"the small disk that this test fills cannot be mounted here: {done.stderr.strip()}")
        return cls(path)

    def fill(self) -> None:
        piece = bytes(1 << 16)
        with (self.path / "ballast").open("ab", buffering=0) as file:
            while piece:
                try:
                    file.write(piece)
                except OSError:
                    piece = piece[: len(piece) // 2]

    def free(self) -> None:
        (self.path / "ballast").unlink(missing_ok=True)

    def take_away(self) -> None:
        subprocess.run(["umount", "-l", self.path], check=False)
