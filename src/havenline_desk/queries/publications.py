"""What a proposed publication would make public: the files of its folder, by the digest that is agreed to."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from havenline.figures import FiguresError
from havenline.figures.cube import Cube
from havenline.figures.publication import MANIFEST, manifest_digest, read_cube

from ..agreement import what_of
from ..gates import Act
from ..models import Person
from .proposals import proposal_of

PAGE, PDF = "index.html", "report.pdf"


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """One file that the manifest names, and its size in bytes. `whole`: its bytes are those that the manifest names."""

    name: str
    size: int
    sha256: str
    whole: bool


@dataclass(frozen=True, slots=True)
class PublicationPreview:
    """`problem` says in one line why there is nothing to look at; then `files` is empty and `cube` is None."""

    proposal: str
    reference: str
    title: str
    period: str
    digest: str
    files: tuple[PublishedFile, ...]
    cube: Cube | None
    problem: str

    @property
    def sound(self) -> bool:
        return not self.problem and all(file.whole for file in self.files)


def publications_folder() -> Path:
    """Where what was proposed is kept, each folder under the SHA-256 of its manifest."""
    folder: Path = settings.HOME / "publications"
    return folder


def preview_of(name: str, person: Person, *, at: dt.datetime) -> PublicationPreview | None:
    """The preview of a proposal to publish; None where it is no such proposal, or does not concern `person`.

    Every file is read and compared with the manifest, and that with the proposal. Not checked: that the cube makes
    these files, and the records this cube; `havenline publish --verify` does.
    """
    what = _proposed(name, person, at=at)
    if what is None:
        return None
    folder = publications_folder() / what["digest"]
    files: tuple[PublishedFile, ...] = ()
    cube, problem = None, ""
    try:
        if manifest_digest(folder) != what["digest"]:
            raise FiguresError("the manifest is not the one that was proposed")
        files, cube = _files(folder), read_cube(folder)
    except FiguresError as missing:
        problem = str(missing)
    return PublicationPreview(
        name, what["reference"], what["title"], what["period"], what["digest"], files, cube, problem
    )


def file_of(name: str, file: str, person: Person, *, at: dt.datetime) -> bytes | None:
    """One file of a proposed publication, exactly as it would be public; None where it is not that to the byte."""
    what = _proposed(name, person, at=at)
    if what is None:
        return None
    folder = publications_folder() / what["digest"]
    try:
        if manifest_digest(folder) != what["digest"]:
            return None
        if file == MANIFEST:
            return (folder / MANIFEST).read_bytes()
        named = _manifest(folder).get(file)
        content = (folder / file).read_bytes() if named is not None else b""
    except (FiguresError, OSError):
        return None
    return content if named is not None and hashlib.sha256(content).hexdigest() == named["sha256"] else None


def _proposed(name: str, person: Person, *, at: dt.datetime) -> dict[str, str] | None:
    proposal = proposal_of(name, person, at=at)
    if proposal is None or proposal.act != Act.PUBLISH_FIGURES.value:
        return None
    return {key: str(value) for key, value in what_of(proposal).items()}


def _manifest(folder: Path) -> dict[str, dict[str, str]]:
    files: dict[str, dict[str, str]] = json.loads((folder / MANIFEST).read_bytes())["files"]
    return files


def _files(folder: Path) -> tuple[PublishedFile, ...]:
    found = []
    for name, named in _manifest(folder).items():
        path = folder / name
        content = path.read_bytes() if path.is_file() else b""
        whole = hashlib.sha256(content).hexdigest() == named["sha256"]
        found.append(PublishedFile(name, int(named["bytes"]), named["sha256"], whole))
    return tuple(found)
