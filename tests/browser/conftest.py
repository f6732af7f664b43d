"""A real demonstration desk in a process of its own, and Debian's Chromium in front of it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / ".artifacts" / "screenshots"
CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@dataclass(frozen=True)
class Desk:
    address: str
    passwords: dict[str, str]
    printed: str
    home: Path


@contextmanager
def _demonstration(home: Path) -> Iterator[Desk]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("HAVENLINE_", "DJANGO_"))}
    command = [Path(sys.executable).with_name("havenline"), "demo", "--pictures", "24", "--home", home]
    with subprocess.Popen([*command, "--port", "0"], env=environ, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        printed = ""
        for line in child.stdout:
            printed += line
            if line.startswith("Press Ctrl+C"):
                break
        address = re.search(r"http://127\.0\.0\.1:\d+/", printed)
        assert address is not None, printed
        passwords = dict(re.findall(r"^  ([a-z-]+) +([\w-]{16})$", printed, re.MULTILINE))
        try:
            yield Desk(address[0], passwords, printed, home)
        finally:
            child.send_signal(signal.SIGINT)
            assert child.wait(timeout=60) == 0


@pytest.fixture(scope="session")
def fresh_home() -> Iterator[Path]:
    """A demonstration that was made and closed again, to be copied."""
    from havenline_desk.sites.cluster import throwaway_folder

    folder = throwaway_folder()
    with _demonstration(folder / "demo"):
        pass
    yield folder / "demo"
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def desk(fresh_home: Path) -> Iterator[Desk]:
    """One for each file of tests: what the tests of one leave held, used up or answered does not reach another's."""
    from havenline_desk.sites.cluster import throwaway_folder

    folder = throwaway_folder()
    subprocess.run(["cp", "-a", fresh_home, folder / "demo"], check=True)
    with _demonstration(folder / "demo") as opened:
        yield opened
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.fail("Debian's chromium is not installed, so the browser tests cannot run: apt-get install chromium")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=20_000)  # a picture is decoded in another process, on a machine that does other work
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
        yield opened
        opened.close()
