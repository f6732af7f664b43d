"""No archive can do harm: bombs and lies are refused in bounded memory, and damage costs only what it hit."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import random
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from made_archives import ARCHIVES, PLAIN, listed, tar_bytes, tar_file, written, zip_bytes

from havenline.media.containers import ContainerLimits, RefusedPosting, open_source
from havenline.vocabulary import Refusal

# -- bombs


def peak_while(path: Path) -> tuple[dict[str, bytes | str], int]:
    tracemalloc.start()
    try:
        found = listed(path)
        return found, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_zip_bomb_is_refused_without_being_unpacked(tmp_path: Path) -> None:
    bomb = zip_bytes(("bomb", bytes(64 << 20)), ("good", b"y"))
    found, peak = peak_while(written(tmp_path, bomb))
    assert found == {"bomb": Refusal.ARCHIVE_RATIO, "good": b"y"}
    assert peak < 8 << 20


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_that_holds_more_than_it_declares_is_refused(tmp_path: Path, method: int) -> None:
    content = bytearray(zip_bytes(("liar", bytes(8 << 20)), ("good", b"y"), method=method))
    for signature, size in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = content.index(signature) + size
        content[at : at + 4] = struct.pack("<I", 1000)
    found, peak = peak_while(written(tmp_path, bytes(content)))
    assert found == {"liar": Refusal.ARCHIVE_RATIO, "good": b"y"}
    assert peak < 40 << 20  # four thousand packed bytes at a time, whatever they unpack to


def test_a_member_that_holds_less_than_it_declares_is_broken(tmp_path: Path) -> None:
    content = bytearray(zip_bytes(("liar", b"abc" * 50), ("good", b"y")))
    for signature, size in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = content.index(signature) + size
        content[at : at + 4] = struct.pack("<I", 1000)
    assert listed(written(tmp_path, bytes(content))) == {"liar": Refusal.ARCHIVE_BROKEN, "good": b"y"}


def test_members_that_share_their_packed_bytes_end_the_archive(tmp_path: Path) -> None:
    one = zip_bytes(("a", os.urandom(64) * 3000))
    start = one.index(b"PK\x01\x02")
    record, end = one[start : one.index(b"PK\x05\x06")], one[one.index(b"PK\x05\x06") :]
    count = 400
    many = (
        one[:start]
        + record * count
        + end[:8]
        + struct.pack("<HHII", count, count, len(record) * count, start)
        + b"\0\0"
    )
    limits = ContainerLimits(max_ratio=20, ratio_from=1 << 20)
    assert len(many) * 20 < 192_000 * count
    found = listed(written(tmp_path, many), limits)
    assert found["source.bin"] == Refusal.ARCHIVE_RATIO
    assert len(found) < count


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gz", "bz2", "xz"])
def test_a_packed_tar_bomb_stops_early(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(tar_bytes(tar_file("good", b"y"), tar_file("bomb", bytes(24 << 20)), tar_file("late", b"z")))
    found, peak = peak_while(written(tmp_path, bomb))
    assert found["good"] == b"y"
    assert found["source.bin"] == Refusal.ARCHIVE_RATIO
    assert "late" not in found
    assert peak < 20 << 20


def test_a_tar_header_cannot_ask_for_endless_memory(tmp_path: Path) -> None:
    header = tarfile.TarInfo("long")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 16 << 20
    content = header.tobuf(tarfile.GNU_FORMAT) + os.urandom(16 << 20)
    found, peak = peak_while(written(tmp_path, tar_bytes(tar_file("good", b"y"))[:1024] + content))
    assert found == {"good": b"y", "source.bin": Refusal.ARCHIVE_RATIO}
    assert peak < 8 << 20


def test_a_sparse_member_is_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo("sparse")
    member.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.size": str(100 << 20),
        "GNU.sparse.map": f"0,0,{100 << 20},0",
    }
    found = listed(written(tmp_path, tar_bytes((member, b""), tar_file("good", b"y"))))
    assert found == {"sparse": Refusal.ARCHIVE_RATIO, "good": b"y"}


def test_a_member_beyond_the_size_limit_is_too_large(tmp_path: Path) -> None:
    limits, content = ContainerLimits(max_member_bytes=100), os.urandom(101)
    expected = {"big": Refusal.TOO_LARGE, "fits": content[:100]}
    zipped = zip_bytes(("big", content), ("fits", content[:100]))
    tarred = tar_bytes(tar_file("big", content), tar_file("fits", content[:100]))
    assert listed(written(tmp_path, zipped), limits) == expected
    assert listed(written(tmp_path, tarred), limits) == expected


def test_more_members_than_allowed_end_in_one_refusal(tmp_path: Path) -> None:
    limits = ContainerLimits(max_members=3)
    members = [(f"m{k}", b"x") for k in range(5)]
    for content in (zip_bytes(*members), tar_bytes(*(tar_file(*each) for each in members))):
        source = written(tmp_path, content)
        assert listed(source, limits) == {
            "m0": b"x",
            "m1": b"x",
            "m2": b"x",
            "source.bin": Refusal.ARCHIVE_TOO_MANY,
        }
        assert len(listed(source, ContainerLimits(max_members=5))) == 5


def test_a_list_of_members_that_is_too_long_is_not_even_parsed(tmp_path: Path) -> None:
    content = zip_bytes(*((f"m{k}", b"") for k in range(50)))
    limits = ContainerLimits(max_directory_bytes=1000)
    assert listed(written(tmp_path, content), limits) == {"source.bin": Refusal.ARCHIVE_TOO_MANY}


# -- damage


def test_a_damaged_member_is_refused_and_the_others_are_read(tmp_path: Path) -> None:
    content = bytearray(
        zip_bytes(("a", b"AAAA" * 9), ("bad", b"BBBB" * 9), ("c", b"CCCC" * 9), method=zipfile.ZIP_STORED)
    )
    content[content.index(b"BBBB")] ^= 1
    assert listed(written(tmp_path, bytes(content))) == {
        "a": b"AAAA" * 9,
        "bad": Refusal.ARCHIVE_BROKEN,
        "c": b"CCCC" * 9,
    }


def test_a_zip_without_its_directory_is_one_refusal(tmp_path: Path) -> None:
    content = zip_bytes(*PLAIN)
    assert listed(written(tmp_path, content[: content.index(b"PK\x01\x02")])) == {"source.bin": Refusal.ARCHIVE_BROKEN}


@pytest.mark.parametrize("cut", [600, 1024, 1300, 2048, 2100])
def test_a_tar_that_is_cut_short_says_so_after_what_was_whole(tmp_path: Path, cut: int) -> None:
    whole = tar_bytes(
        tar_file("a", b"A" * 512), tar_file("b", b"B" * 512), tar_file("c", b"C"), form=tarfile.USTAR_FORMAT
    )
    found = listed(written(tmp_path, whole[:cut]))
    assert found.pop("source.bin") == Refusal.ARCHIVE_BROKEN
    assert found == {name: name.upper().encode() * 512 for name in ("a", "b")[: cut // 1024]}


def test_a_tar_with_a_damaged_header_does_not_end_in_silence(tmp_path: Path) -> None:
    whole = bytearray(tar_bytes(tar_file("a", b"A"), tar_file("b", b"B"), form=tarfile.USTAR_FORMAT))
    whole[1024 + 150] ^= 0xFF
    assert listed(written(tmp_path, bytes(whole))) == {"a": b"A", "source.bin": Refusal.ARCHIVE_BROKEN}


@pytest.mark.parametrize("kind", ["tar.gz", "tar.bz2", "tar.xz"])
def test_a_packed_tar_that_is_damaged_later_keeps_what_came_before(tmp_path: Path, kind: str) -> None:
    pack = {"tar.gz": gzip.compress, "tar.bz2": bz2.compress, "tar.xz": lzma.compress}[kind]
    content = pack(
        tar_bytes(tar_file("first", b"x"), tar_file("noise", os.urandom(1 << 20 if kind == "tar.bz2" else 1 << 18)))
    )
    found = listed(written(tmp_path, content[: len(content) * 9 // 10]))
    assert found == {"first": b"x", "source.bin": Refusal.ARCHIVE_BROKEN}


def test_an_endless_chain_of_tar_headers_is_a_refusal(tmp_path: Path) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 0
    content = tar_bytes(tar_file("a", b"x"))[:1024] + header.tobuf(tarfile.USTAR_FORMAT) * 1500
    assert listed(written(tmp_path, content)) == {"a": b"x", "source.bin": Refusal.ARCHIVE_BROKEN}


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_no_changed_byte_makes_an_archive_raise(tmp_path: Path, kind: str) -> None:
    whole = ARCHIVES[kind]()
    chance = random.Random(7)
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        for each in open_source(written(tmp_path, bytes(content))):
            assert isinstance(each, RefusedPosting) or isinstance(each.read(), bytes)
