"""Everything in a folder, zip or tar becomes a posting or a named refusal."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import socket
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from made_archives import ARCHIVES, PLAIN, listed, tar_bytes, tar_file, tar_special, written, zip_bytes

from havenline.fingerprints import fingerprint_posting
from havenline.media import containers
from havenline.media.containers import (
    Posting,
    PostingUnreadableError,
    RefusedPosting,
    SourceError,
    open_source,
)
from havenline.vocabulary import Fingerprint, Refusal, Refused

# -- what is opened


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_is_opened_by_content_whatever_its_name(tmp_path: Path, kind: str) -> None:
    source = written(tmp_path, ARCHIVES[kind](), name="holiday.jpg")
    assert listed(source) == dict(PLAIN)
    assert [each.path for each in open_source(source)] == [name for name, _ in PLAIN]


def test_a_folder_comes_sorted_by_whole_relative_path(tmp_path: Path) -> None:
    names = ["b", "a/z", "a.txt", "a/b/c", "a-1", "B", "é", "a/b.txt"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "hollow").mkdir()
    found = listed(tmp_path)
    assert list(found) == sorted(names, key=os.fsencode)
    assert found == {name: name.encode() for name in names}


def test_one_file_is_a_source_of_one_posting(tmp_path: Path) -> None:
    assert listed(written(tmp_path, b"hello", "note.zip")) == {"note.zip": b"hello"}


def test_a_packed_file_that_is_no_tar_is_one_posting(tmp_path: Path) -> None:
    packed = gzip.compress(b"just text " * 100)
    assert listed(written(tmp_path, packed, "x.tar.gz")) == {"x.tar.gz": packed}


def test_the_source_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    written(tmp_path / "real", b"x", "a")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "file-link").symlink_to("real/a")
    assert listed(tmp_path / "link") == {"a": b"x"}
    assert listed(tmp_path / "file-link") == {"a": b"x"}


@pytest.mark.parametrize("content", [zip_bytes(), tar_bytes(), b""], ids=["zip", "tar", "file"])
def test_an_empty_source_is_no_error(tmp_path: Path, content: bytes) -> None:
    found = listed(written(tmp_path, content, "source"))
    assert found in ({}, {"source": content})


def test_postings_travel_to_other_processes(tmp_path: Path) -> None:
    written(tmp_path, b"on disk", "a")
    zipped = written(tmp_path, zip_bytes(("b", b"in an archive")), "b.zip")
    (first, *_), (second,) = open_source(tmp_path), open_source(zipped)
    assert isinstance(first, Posting)
    assert isinstance(second, Posting)
    assert len(pickle.dumps(first)) < 1000
    assert pickle.loads(pickle.dumps(first)).read() == b"on disk"
    assert pickle.loads(pickle.dumps(second)).read() == b"in an archive"


# -- sources that are none


def test_a_source_that_is_missing_or_no_file_is_one_clear_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("absent", "pipe", "loop", "dangling"):
        with pytest.raises(SourceError) as raised:
            open_source(tmp_path / name)
        assert name in str(raised.value)
        assert "\n" not in str(raised.value)


# -- what is refused in a folder


def test_links_pipes_and_sockets_in_a_folder_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, b"x", "file")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "outside").symlink_to("/etc/hostname")
    (tmp_path / "folder-link").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # a socket's path may not be long
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
    assert listed(tmp_path) == {
        "file": b"x",
        "folder-link": Refusal.LINK,
        "link": Refusal.LINK,
        "outside": Refusal.LINK,
        "pipe": Refusal.NOT_A_FILE,
        "socket": Refusal.NOT_A_FILE,
    }


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_inside_a_source_is_refused(tmp_path: Path, kind: str) -> None:
    inner = ARCHIVES[kind]()
    (tmp_path / "folder").mkdir()
    written(tmp_path / "folder", inner, "inner.png")
    assert listed(tmp_path / "folder") == {"inner.png": Refusal.ARCHIVE_NESTED}
    for outer in (
        zip_bytes(("inner.png", inner), ("a", b"x")),
        tar_bytes(tar_file("inner.png", inner), tar_file("a", b"x")),
    ):
        assert listed(written(tmp_path, outer)) == {"inner.png": Refusal.ARCHIVE_NESTED, "a": b"x"}


def test_what_cannot_be_read_in_a_folder_is_refused_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "locked", "shut/inside", "z"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        written(tmp_path, b"x", name)
    real_open, real_scan = containers.open_regular, os.scandir

    def no_open(file: Path) -> io.BufferedReader:
        if file.name == "locked":
            raise PermissionError(13, "Permission denied")
        return real_open(file)  # type: ignore[return-value]

    def no_scan(folder: Path) -> os._ScandirIterator[str]:
        if Path(folder).name == "shut":
            raise PermissionError(13, "Permission denied")
        return real_scan(folder)  # type: ignore[return-value]

    # Permission bits do not stop root, and the tests may run as root.
    monkeypatch.setattr(containers, "open_regular", no_open)
    monkeypatch.setattr(os, "scandir", no_scan)
    found = listed(tmp_path)
    assert found == {"a": b"x", "locked": Refusal.UNREADABLE, "shut": Refusal.UNREADABLE, "z": b"x"}


def test_a_file_that_vanishes_or_turns_into_a_link_is_not_read(tmp_path: Path) -> None:
    written(tmp_path, b"x", "gone")
    written(tmp_path, b"x", "swapped")
    gone, swapped = open_source(tmp_path)
    (tmp_path / "gone").unlink()
    (tmp_path / "swapped").unlink()
    (tmp_path / "swapped").symlink_to("/etc/hostname")
    for posting in (gone, swapped):
        assert isinstance(posting, Posting)
        with pytest.raises(PostingUnreadableError):
            posting.read()
        refused = fingerprint_posting(posting)
        assert isinstance(refused, Refused)
        assert refused.reason is Refusal.UNREADABLE


def test_a_posting_is_fingerprinted_wherever_it_lies(tmp_path: Path) -> None:
    written(tmp_path, b"plain text", "a")
    archive = written(tmp_path, tar_bytes(tar_file("a", b"plain text")), "b")
    prints = [
        fingerprint_posting(each)
        for each in (*open_source(tmp_path), *open_source(archive))
        if isinstance(each, Posting)
    ]
    assert len(prints) == 2
    assert prints[0] == prints[1]
    assert isinstance(prints[0], Fingerprint)


# -- names


def test_names_that_are_not_utf8_or_hold_controls_stay_distinct_and_printable(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for raw in (b"caf\xe9.png", b"caf\xe8.png", b"line\nbreak", "café".encode()):
        with open(os.path.join(os.fsencode(tmp_path / "folder"), raw), "wb") as out:  # noqa: PTH118, PTH123
            out.write(raw)
    found = listed(tmp_path / "folder")
    assert found == {
        "café": "café".encode(),
        "caf\\xe8.png": b"caf\xe8.png",
        "caf\\xe9.png": b"caf\xe9.png",
        "line\\x0abreak": b"line\nbreak",
    }
    for name in found:
        name.encode("utf-8")


def test_archive_names_that_are_not_utf8_lose_nothing(tmp_path: Path) -> None:
    member = tarfile.TarInfo("x")
    member.name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    member.size = 1
    tarred = tar_bytes((member, b"x"), form=tarfile.GNU_FORMAT)
    assert listed(written(tmp_path, tarred)) == {"caf\\xe9.png": b"x"}
    zipped = zip_bytes(("caf?.png", b"x")).replace(b"caf?.png", b"caf\xe9.png")
    assert listed(written(tmp_path, zipped)) == {"caf\\xe9.png": b"x"}
    unflagged = zip_bytes(("caf??.png", b"x")).replace(b"caf??.png", "café.png".encode())
    assert listed(written(tmp_path, unflagged)) == {"café.png": b"x"}
    assert listed(written(tmp_path, zip_bytes(("café.png", b"x")))) == {"café.png": b"x"}


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_members_of_the_same_name_get_names_of_their_own(tmp_path: Path) -> None:
    members = [
        ("a.jpg", b"1"),
        ("./a.jpg", b"2"),
        ("a (2).jpg", b"3"),
        ("a.jpg", b"4"),
        ("d/b", b"5"),
        ("d//b", b"6"),
    ]
    expected = {
        "a.jpg": b"1",
        "a (2).jpg": b"2",
        "a (2) (2).jpg": b"3",
        "a (3).jpg": b"4",
        "d/b": b"5",
        "d/b (2)": b"6",
    }
    assert listed(written(tmp_path, tar_bytes(*(tar_file(*each) for each in members)))) == expected
    assert listed(written(tmp_path, zip_bytes(*members))) == expected


EVIL = [
    "/etc/passwd",
    "../up",
    "a/../../up",
    "C:/windows",
    "c:evil",
    "a\\..\\b",
    "\\\\host\\share",
    "..",
    "/",
]


@pytest.mark.parametrize("name", EVIL)
def test_a_path_that_leads_out_of_the_archive_is_refused(tmp_path: Path, name: str) -> None:
    for content in (
        tar_bytes(tar_file(name, b"x"), tar_file("good", b"y")),
        zip_bytes((name.replace("/", "?"), b"x"), ("good", b"y")).replace(
            name.replace("/", "?").encode(), name.encode()
        ),
    ):
        found = list(open_source(written(tmp_path, content)))
        if not name.endswith("/"):  # a zip member whose name ends so is a folder
            assert isinstance(found[0], RefusedPosting)
            assert found[0].refused.reason is Refusal.ARCHIVE_PATH
        assert found[-1].path == "good"
        assert isinstance(found[-1], Posting)


def test_a_path_with_nul_is_refused_and_shown_without_it(tmp_path: Path) -> None:
    zipped = zip_bytes(("a?b.jpg", b"x"), ("good", b"y")).replace(b"a?b.jpg", b"a\0b.jpg")
    assert listed(written(tmp_path, zipped)) == {"a\\x00b.jpg": Refusal.ARCHIVE_PATH, "good": b"y"}
    member = tarfile.TarInfo("x")
    member.pax_headers, member.size = {"path": "a\0b.jpg"}, 1
    tarred = tar_bytes((member, b"x"), tar_file("good", b"y"))
    assert listed(written(tmp_path, tarred)) == {"a\\x00b.jpg": Refusal.ARCHIVE_PATH, "good": b"y"}


# -- members that are no files


def test_links_and_devices_in_archives_are_refused(tmp_path: Path) -> None:
    tarred = tar_bytes(
        tar_file("good", b"x"),
        tar_special("soft", tarfile.SYMTYPE, "/etc/passwd"),
        tar_special("hard", tarfile.LNKTYPE, "good"),
        tar_special("pipe", tarfile.FIFOTYPE),
        tar_special("disk", tarfile.BLKTYPE),
        tar_special("folder", tarfile.DIRTYPE),
        tar_file("last", b"y"),
    )
    assert listed(written(tmp_path, tarred)) == {
        "good": b"x",
        "soft": Refusal.LINK,
        "hard": Refusal.LINK,
        "pipe": Refusal.NOT_A_FILE,
        "disk": Refusal.NOT_A_FILE,
        "last": b"y",
    }
    link, pipe = zipfile.ZipInfo("link"), zipfile.ZipInfo("pipe")
    for entry, kind in ((link, stat.S_IFLNK), (pipe, stat.S_IFIFO)):
        entry.create_system, entry.external_attr = 3, (kind | 0o777) << 16
    zipped = zip_bytes((link, b"/etc/passwd"), (pipe, b""), ("good", b"x"))
    assert listed(written(tmp_path, zipped)) == {
        "link": Refusal.LINK,
        "pipe": Refusal.NOT_A_FILE,
        "good": b"x",
    }


def test_an_encrypted_member_is_refused_and_the_others_are_read(tmp_path: Path) -> None:
    content = bytearray(zip_bytes(("secret", b"x" * 40), ("good", b"y")))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    assert listed(written(tmp_path, bytes(content))) == {"secret": Refusal.ARCHIVE_ENCRYPTED, "good": b"y"}


def test_a_packing_method_that_is_not_read_is_named(tmp_path: Path) -> None:
    content = bytearray(zip_bytes(("deflate64", b"x" * 40), ("good", b"y")))
    for signature, method in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        content[content.index(signature) + method] = 9
    assert listed(written(tmp_path, bytes(content))) == {"deflate64": Refusal.UNSUPPORTED_KIND, "good": b"y"}
<<<<<<< HEAD


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
=======
>>>>>>> media
