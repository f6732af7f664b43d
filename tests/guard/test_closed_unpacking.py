"""Archives are unpacked in a process that is closed off: the same members, and what it does is nobody else's harm."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from havenline.media import archives
from havenline.media.containers import open_source
from havenline.media.postings import ContainerLimits, Posting, RefusedPosting
from havenline.scan import fingerprint_source
from havenline.unpacking import unpacked_by
from havenline.vocabulary import Refusal
from havenline_guard.sandbox import close_worker
from tests.guard import bombs
from tests.guard.closed_probes import ESCAPED, PROBES, attempt

MEMBERS = {"one.txt": b"first", "sub/two.txt": b"second", "empty": b"", "\u00e4.png": bombs.saved("PNG")}


def zipped(method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in MEMBERS.items():
            archive.writestr(name, content)
        link = zipfile.ZipInfo("link")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("../slip", b"out")
    return out.getvalue()


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in MEMBERS.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return out.getvalue()


ARCHIVES = {
    "zip": zipped,
    "zip-stored": lambda: zipped(zipfile.ZIP_STORED),
    "zip-bzip2": lambda: zipped(zipfile.ZIP_BZIP2),
    "zip-lzma": lambda: zipped(zipfile.ZIP_LZMA),
    "tar": tarred,
    "tar.gz": lambda: gzip.compress(tarred()),
    "tar.bz2": lambda: bz2.compress(tarred()),
    "tar.xz": lambda: lzma.compress(tarred()),
    "zip cut short": lambda: zipped()[:-30],
    "tar cut short": lambda: tarred()[:1500],
    "zip of 600 MiB": lambda: bombs.zipped(("a", bytes(600 << 20)), ("b", b"b")),
    "tar.gz of 600 MiB": lambda: gzip.compress(tarred() + bytes(600 << 20), 9),
    "zip in a zip": bombs.PICTURES["zip in a zip"],
    "torch model": bombs.PICTURES["torch model"],
}


def listed(path: Path, *, closed: bool, seconds: float = 60) -> list[Posting | RefusedPosting]:
    return list(open_source(path, unpacking=unpacked_by(close_worker, seconds=seconds) if closed else archives.members))


@pytest.mark.parametrize("name", ARCHIVES)
def test_the_members_are_those_of_unpacking_in_process(tmp_path: Path, name: str) -> None:
    (tmp_path / "source.bin").write_bytes(ARCHIVES[name]())
    begun = time.monotonic()
    found = listed(tmp_path / "source.bin", closed=True)
    assert time.monotonic() - begun < 30
    assert found
    assert found == listed(tmp_path / "source.bin", closed=False)


def test_a_scan_of_an_archive_is_closed_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "source.bin").write_bytes(zipped())
    found = list(fingerprint_source(tmp_path / "source.bin", workers=1, close_off=close_worker))
    assert found == list(fingerprint_source(tmp_path / "source.bin", workers=1))
    assert [each.path for each in found] == [*MEMBERS, "link", "../slip"]


def trying(stream: io.BufferedReader, whole: str, kind: str, limits: ContainerLimits) -> Iterator[RefusedPosting]:
    """In place of `members_of`: what the archive names is tried."""
    name = stream.read().decode()
    yield Posting("before", 1, content=b"x")  # type: ignore[misc]
    refused = attempt(name.encode()).refusal
    assert refused is not None
    yield RefusedPosting("probe", refused)


class Trying:
    """Closes the process off, then has it try: sent along in place of `close_worker`, since nothing else travels."""

    def __call__(self, keep: int) -> None:
        archives.members_of = trying  # type: ignore[assignment]
        close_worker(keep)


@pytest.mark.parametrize("name", [*PROBES, "spin"])
def test_an_archive_that_took_its_process_over_reaches_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "source.bin").write_text(name)
    unpacking = unpacked_by(Trying(), seconds=2)
    before, after = unpacking(tmp_path / "source.bin", "application/zip", ContainerLimits())
    assert isinstance(before, Posting)
    assert isinstance(after, RefusedPosting)
    if after.path == "probe":
        assert after.refused.detail == "refused"
    else:
        assert after.refused.reason is Refusal.ARCHIVE_BROKEN
        assert "what came before was read" in after.refused.detail
    assert not ESCAPED.exists()


def test_random_bytes_are_never_members(tmp_path: Path) -> None:
    content = bytearray(zipped())
    chance = np.random.default_rng(5)
    for at in chance.integers(0, len(content), 40):
        content[at] = int(chance.integers(256))
    (tmp_path / "source.bin").write_bytes(content)
    assert listed(tmp_path / "source.bin", closed=True) == listed(tmp_path / "source.bin", closed=False)
