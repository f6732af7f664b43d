"""Archives made by hand for the tests of containers, good and evil."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from havenline.media.containers import ContainerLimits, Posting, open_source


def listed(path: Path, limits: ContainerLimits | None = None) -> dict[str, bytes | str]:
    """Path to content, or to the reason of its refusal; fails on a path that comes twice."""
    found: dict[str, bytes | str] = {}
    for each in open_source(path) if limits is None else open_source(path, limits=limits):
        assert each.path not in found
        if isinstance(each, Posting):
            found[each.path] = each.read()
            assert each.size == len(each.read())
        else:
            assert "\n" not in each.refused.detail
            found[each.path] = each.refused.reason.value
    return found


def tar_bytes(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def tar_file(name: str, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    return member, content


def tar_special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member, b""


def zip_bytes(*members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def written(folder: Path, content: bytes, name: str = "source.bin") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


PLAIN = [("one.txt", b"first"), ("sub/two.txt", b"second"), ("empty", b"")]

ARCHIVES: dict[str, Callable[[], bytes]] = {
    "zip": lambda: zip_bytes(*PLAIN),
    "zip-stored": lambda: zip_bytes(*PLAIN, method=zipfile.ZIP_STORED),
    "zip-bzip2": lambda: zip_bytes(*PLAIN, method=zipfile.ZIP_BZIP2),
    "zip-lzma": lambda: zip_bytes(*PLAIN, method=zipfile.ZIP_LZMA),
    "tar": lambda: tar_bytes(*(tar_file(*each) for each in PLAIN)),
    "tar-gnu": lambda: tar_bytes(*(tar_file(*each) for each in PLAIN), form=tarfile.GNU_FORMAT),
    "tar.gz": lambda: gzip.compress(tar_bytes(*(tar_file(*each) for each in PLAIN))),
    "tar.bz2": lambda: bz2.compress(tar_bytes(*(tar_file(*each) for each in PLAIN))),
    "tar.xz": lambda: lzma.compress(tar_bytes(*(tar_file(*each) for each in PLAIN))),
}
