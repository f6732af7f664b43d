"""Promise 15: seeded words, digests and bytes go through intake, work, backup and errors, and turn up nowhere.

Looked through: what commands and servers print, PostgreSQL's log, answers to the browser, their headers and addresses,
temporary folders, core files, every column of the database but those that are theirs, the audit log, backups.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import psycopg
import pyrage
import pytest
from PIL import Image, PngImagePlugin
from psycopg import sql

from havenline.fingerprints.pdq import hash_picture
from havenline_desk.sites.server import free_port
from tests.desk.factories import TRIANGLE, draw

from .desk_rig import DeskRig, desk_rig, within

HAVENLINE = Path(sys.executable).with_name("havenline")

THEIR_COLUMNS = {
    ("desk_file", "sha256"): "digest",
    ("desk_file", "sha1"): "digest",
    ("desk_file", "md5"): "digest",
    ("desk_perceptualhash", "pdq"): "digest",
    ("desk_item", "path"): "name",
    ("desk_item", "collection"): "name",
    ("desk_import", "collection"): "name",
    ("desk_importproblem", "path"): "name",
    ("desk_importproblem", "detail"): "name",
    ("desk_location", "url"): "name",
    ("desk_location", "host"): "name",
    ("desk_location", "service"): "name",
    ("desk_investigation", "reference"): "name",
    ("desk_investigation", "legal_basis"): "name",
    ("desk_report", "reference"): "name",
}
"""Where a seeded value belongs; a new column that holds one is a decision, and a line here."""


@dataclass
class Seeded:
    """What must turn up nowhere: words by kind, each in every form in which it could be written."""

    word: str
    case: str
    prompt: str
    values: dict[str, bytes] = field(default_factory=dict)

    def add(self, kind: str, value: str | bytes) -> None:
        raw = value.encode() if isinstance(value, str) else value
        self.values[f"{kind} {len(self.values)}"] = raw

    def digest(self, value: bytes) -> None:
        for form in (value.hex().encode(), value.hex().upper().encode(), base64.b64encode(value)[:-2], value):
            self.add("digest", form)

    def within(self, text: bytes, *, but: tuple[str, ...] = ()) -> list[str]:
        return [kind for kind, value in self.values.items() if value in text and not kind.startswith(but or ("\0",))]


def _settings(seeded: Seeded) -> str:
    """What a generator would write: a made-up word where the words of a prompt, a model and an adapter stand."""
    word = seeded.prompt
    return f"{word} <lora:{word}a:1>\nSteps: 20, Sampler: Euler, Seed: 1, Model: {word}m, Version: v1.10.1"


def seeded_folder(folder: Path) -> Seeded:
    """A collection of two pictures and one broken file with its manifest; every name and place is the test's own."""
    word = f"zq{secrets.token_hex(6)}"
    print(f"seeded word {word}")
    seeded = Seeded(word, f"zc{secrets.token_hex(6)}", f"zp{secrets.token_hex(6)}")
    seeded.add("case", seeded.case)
    seeded.add("name", word)
    seeded.add("content", f"{word}-comment")
    for text in (seeded.prompt, _settings(seeded)):
        seeded.add("prompt", text)
        seeded.digest(hashlib.sha256(text.encode()).digest())
    collection = folder / "collection"
    collection.mkdir(parents=True)
    lines = ["path,url,host,service,kind"]
    for number in (1, 2):
        said = PngImagePlugin.PngInfo()
        said.add_text("Comment", f"{word}-comment")
        said.add_text("parameters", _settings(seeded))
        out = io.BytesIO()
        with Image.open(io.BytesIO(draw(7000 + number))) as picture:
            picture.save(out, "PNG", pnginfo=said)
            seeded.digest(bytes.fromhex(hash_picture(np.asarray(picture.convert("RGB")))[0]))
        content = out.getvalue()
        (collection / f"{word}-{number}.png").write_bytes(content)
        for made in (hashlib.sha256, hashlib.sha1, hashlib.md5):
            seeded.digest(made(content).digest())
        seeded.add("content", content[2000:2064])
        host = f"{word}.invalid"
        lines.append(f"{word}-{number}.png,https://{host}/{number},{host},{word}-service,picture")
    (collection / f"{word}-broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + word.encode())
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return seeded


@pytest.fixture(scope="module")
def worked() -> Iterator[tuple[DeskRig, Seeded, dict[str, bytes]]]:
    """A desk into which the seeded collection was taken and looked at, and everything that was said meanwhile."""
    with desk_rig() as rig:
        (rig.folder / "tmp").mkdir(mode=0o777)
        rig.environ["TMPDIR"] = str(rig.folder / "tmp")
        seeded = seeded_folder(rig.folder / "source")
        said: dict[str, bytes] = {}
        words = ["take-in", str(rig.folder / "source"), seeded.case, seeded.word]
        command = [sys.executable, "-m", "tests.journeys.fault_desk", *words]
        said["import"] = _output(rig, command)
        said["collision"] = _output(rig, [sys.executable, "-m", "tests.journeys.fault_desk", "collide"])
        assert b"IntegrityError" in said["collision"]
        said["backup"] = _output(rig, [HAVENLINE, "backup", rig.folder / "backup", "--home", rig.home.path])
        recipient = str(pyrage.x25519.Identity.generate().to_public())
        sealing = [HAVENLINE, "backup", rig.folder / "sealed", "--recipient", recipient, "--home", rig.home.path]
        said["sealed backup"] = _output(rig, sealing)
        said["restore --check"] = _output(rig, [HAVENLINE, "restore", "--check", rig.folder / "backup"])
        said |= dict(_browsing(rig, seeded))
        yield rig, seeded, said


def _output(rig: DeskRig, command: list[object]) -> bytes:
    environ = {name: value for name, value in rig.environ.items() if name != "HAVENLINE_DATABASE_URL"}
    if "-m" in command:
        environ = rig.environ
    done = subprocess.run([str(each) for each in command], env=environ, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout + done.stderr


def _browsing(rig: DeskRig, seeded: Seeded) -> Iterator[tuple[str, bytes]]:
    """Answers and log of the web server: work on seeded and other pictures, pages, and everything that goes wrong."""
    port = free_port(0)
    analyst, *_, lead = rig.run("sessions").split()
    with (rig.folder / "web-log").open("wb") as log:
        supervisor = rig.serve(port, stderr=log)
    assert supervisor.stdout is not None
    supervisor.stdout.readline()

    def ask(method: str, path: str, body: object = None, session: str = analyst, *, form: bool = False) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"Cookie": f"sessionid={session}; csrftoken={'t' * 32}", "X-CSRFToken": "t" * 32}
        content = None if body is None else urlencode(body) if isinstance(body, dict) and form else json.dumps(body)
        kind = "application/x-www-form-urlencoded" if form else "application/json"
        connection.request(method, path, content, headers | {"Content-Type": kind})
        answer = connection.getresponse()
        read = f"{method} {path}\n{answer.headers}".encode() + answer.read()
        connection.close()
        return read

    try:
        yield "start", ask("POST", "/work/start", {})
        page = ask("GET", "/work")
        yield "work", page
        found = re.search(rb'data-member="(\d+)"', page)
        assert found is not None
        for step in (1, 4):
            granted = ask("POST", "/work/reveal", {"member": int(found[1]), "step": step})
            url = json.loads(granted[granted.rindex(b"{") :])["url"]
            yield f"grant {step}", granted.replace(url.encode(), b"")
            yield f"view {step}", ask("GET", url)
            yield f"view {step} again", ask("GET", url)
        yield from _assessing(ask)
        for path in ("/nothing", f"/reveal/{seeded.word}", f"/investigations/{seeded.word}-none", "/work?x=%00"):
            yield path.replace(seeded.word, "…"), ask("GET", path, session=lead).replace(path.encode(), b"")
        yield "nonsense", ask("POST", "/work/reveal", {"member": seeded.word})
        yield "home of a lead", ask("GET", "/", session=lead)
        rig.cluster.stop()
        case = f"/investigations/{seeded.case}"
        yield "without a database", ask("GET", case, session=lead).replace(case.encode(), b"")
        yield "no grant without a database", ask("POST", "/work/reveal", {"member": int(found[1]), "step": 2})
    finally:
        rig.cluster.start()
        supervisor.communicate(timeout=60)
    yield "the web server's log", (rig.folder / "web-log").read_bytes()


def _assessing(ask: Callable[..., bytes]) -> Iterator[tuple[str, bytes]]:
    """One person assesses everything that there is, the seeded pictures among it: take, look, answer, take back."""
    for turn in range(9):
        ask("POST", "/work/start", {})
        page = ask("GET", "/work")
        yield f"workspace {turn}", page
        member = re.search(rb'data-member="(\d+)"', page)
        assignment = re.search(rb'name="assignment" value="(\d+)"', page)
        if member is None or assignment is None:
            assert turn > 5, "the seeded pictures are among those assessed"
            return
        granted = ask("POST", "/work/reveal", {"member": int(member[1]), "step": 2})
        url = json.loads(granted[granted.rindex(b"{") :])["url"]
        yield f"look {turn}", ask("GET", url)
        answers = {f"fact.{question}": answer for question, answer in TRIANGLE.items()}
        sent = answers | {"assignment": assignment[1].decode(), "active_seconds": "9.5"}
        yield f"unanswered {turn}", ask("POST", "/work/submit", sent | {"fact.shapes": ""}, form=True)
        yield f"submitted {turn}", ask("POST", "/work/submit", sent, form=True)
        yield f"taken back {turn}", ask("POST", "/work/undo", {})
        ask("POST", "/work/submit", sent, form=True)
        yield f"recorded {turn}", ask("POST", "/work/record", {})
    raise AssertionError("the work does not end")


Worked = tuple[DeskRig, Seeded, dict[str, bytes]]


def test_no_answer_and_no_output_has_them(worked: Worked) -> None:
    _, seeded, said = worked
    assert len(said) > 50
    # The lead's own page names the cases whose figures there are, the workspace the case of its item.
    named = re.compile("home of a lead|(workspace|unanswered|taken back) [0-9]")
    found = {where: seeded.within(text, but=("case",) if named.match(where) else ()) for where, text in said.items()}
    assert {where: kinds for where, kinds in found.items() if kinds} == {}


def test_no_log_temporary_folder_or_core_file_has_them(worked: Worked) -> None:
    rig, seeded, _ = worked
    logs = list((rig.home.postgresql / "log").iterdir())
    assert logs
    places = [*logs, *_files(rig.folder / "tmp"), *_files(rig.home.path / "audit")]
    assert {path.name: found for path in places if (found := seeded.within(path.read_bytes()))} == {}
    cores = [path for path in rig.folder.rglob("core*") if path.is_file()]
    assert [path for path in cores if not path.is_relative_to(rig.home.postgresql)] == []


def test_the_database_has_them_in_their_own_columns_alone(worked: Worked) -> None:
    rig, seeded, _ = worked
    found = set()
    with psycopg.connect(rig.environ["HAVENLINE_DATABASE_URL"]) as database:
        columns = database.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        ).fetchall()
        for table, column in columns:
            query = sql.SQL("SELECT {}::text FROM {}").format(sql.Identifier(column), sql.Identifier(table))
            text = "\n".join(value for (value,) in database.execute(query).fetchall() if value).encode()
            # A column of bytes is shown as hexadecimal digits.
            if seeded.within(text):
                found.add((table, column))
    assert len(columns) > 100
    assert found - THEIR_COLUMNS.keys() == set()
    assert {("desk_file", "sha256"), ("desk_item", "path"), ("desk_location", "url")} <= found, "they were taken in"


def test_the_audit_log_and_what_goes_beside_a_backup_have_none_of_them(worked: Worked) -> None:
    rig, seeded, _ = worked
    rig.run("check")
    places = [rig.home.path / "export.ndjson", rig.folder / "backup" / "manifest.json", *_files(rig.folder / "sealed")]
    places += _files(rig.folder / "backup" / "audit")
    assert len(places) > 8
    assert {path.name: found for path in places if (found := seeded.within(path.read_bytes()))} == {}


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def test_no_scan_tells_them(tmp_path: Path) -> None:
    """Files are named where they are refused, and in the table that was asked for; nothing else of them is."""
    seeded, scratch = seeded_folder(tmp_path / "source"), tmp_path / "t"
    scratch.mkdir()
    collection = tmp_path / "source" / "collection"
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("HAVENLINE_", "DJANGO_"))}
    environ["TMPDIR"] = str(scratch)
    said: dict[str, bytes] = {}

    def run(*words: object, code: int) -> bytes:
        command = [str(each) for each in (HAVENLINE, *words)]
        done = subprocess.run(command, env=environ, capture_output=True, timeout=300, cwd=tmp_path)
        assert done.returncode == code, done.stderr.decode()
        said[f"{len(said)} {words[0]}"] = done.stderr + done.stdout
        return done.stdout

    pictures = sorted(collection.glob(f"{seeded.word}-[12].png"))
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures]
    with Image.open(pictures[0]) as picture:
        pdq = hash_picture(np.asarray(picture.convert("RGB")))[0]
    lines = ["entry,sha256,pdq,pdq_quality,label", f"{seeded.word}-e1,{digests[0]},{pdq},100,{seeded.word}-label"]
    lines += [f"{seeded.word}-e2,{digests[1]},,,", f"{seeded.word}-e3,{seeded.word},,,", f"{seeded.word}-e1,,{pdq},1,"]
    (tmp_path / "partner.csv").write_text("\n".join(lines) + "\n")
    run("list", "import", "partner.csv", "-o", "partner.snapshot", "--name", "Partner", code=3)
    run("list", "show", "partner.snapshot", code=0)
    with (tmp_path / "log").open("wb") as log:
        words = [str(HAVENLINE), "matchd", "partner.snapshot", "--socket", "m", "--workers", "1"]
        matchd = subprocess.Popen(words, env=environ, stdout=log, stderr=log, cwd=tmp_path)
    try:
        within(120, lambda: (tmp_path / "m").exists())
        run("scan", collection, "--matchd", "m", "-o", "by-matchd.csv", "--workers", "1", code=3)
    finally:
        matchd.terminate()
        matchd.wait(60)
    run("scan", collection, "--list", "partner.snapshot", "-o", "alone.csv", "--workers", "1", code=3)
    for table in ("by-matchd.csv", "alone.csv"):
        found = (tmp_path / table).read_bytes()
        assert found.count(b"Partner") >= 2, "both pictures were found"
        assert not seeded.within(found, but=("digest", "name"))
    run("scan", tmp_path / "none", "--list", "partner.snapshot", code=1)
    told = run("provenance", collection, "--workers", "1", code=0)
    assert seeded.word.encode() in told, "it says of which file it speaks"
    said["matchd's log"] = (tmp_path / "log").read_bytes()
    assert {where: kinds for where, text in said.items() if (kinds := seeded.within(text, but=("name",)))} == {}
    importing = [text for where, text in said.items() if "list" in where]
    assert [seeded.within(text) for text in (*importing, said["matchd's log"])] == [[], [], []]
    assert {path.name: found for path in _files(scratch) if (found := seeded.within(path.read_bytes()))} == {}
    assert [path for path in tmp_path.rglob("core*") if path.is_file()] == []
