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

from havenline.fingerprints import fingerprint_stream
from havenline.media import containers
from havenline.media.containers import (
    Posting,
    PostingUnreadableError,
    RefusedPosting,
    SourceError,
    open_source,
)
from havenline.vocabulary import Fingerprint, Refusal

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


def read_through(posting: Posting) -> Fingerprint:
    with posting.open() as stream:
        return fingerprint_stream(stream)


def test_a_posting_is_fingerprinted_wherever_it_lies(tmp_path: Path) -> None:
    written(tmp_path, b"plain text", "a")
    archive = written(tmp_path, tar_bytes(tar_file("a", b"plain text")), "b")
    prints = [
        read_through(each) for each in (*open_source(tmp_path), *open_source(archive)) if isinstance(each, Posting)
    ]
    assert len(prints) == 2
    assert prints[0] == prints[1]


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
