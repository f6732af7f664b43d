"""The desk by the command line alone, as a new lead would use it: open, enrol, import badly made input, count."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

HAVENLINE = Path(sys.executable).with_name("havenline")


@dataclass(frozen=True)
class Desk:
    home: Path
    environ: dict[str, str]

    def run(self, *arguments: str | Path, code: int = 0) -> str:
        done = subprocess.run(
            [HAVENLINE, *arguments, "--home", self.home], env=self.environ, capture_output=True, text=True
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("HAVENLINE_", "DJANGO_"))}


@pytest.fixture(scope="module")
def desk(environ: dict[str, str]) -> Iterator[Desk]:
    """`havenline up` on an empty folder, left running; the other commands adopt its PostgreSQL."""
    from havenline_desk.sites.cluster import throwaway_folder

    folder = throwaway_folder()
    command = [HAVENLINE, "up", "--port", "0", "--house", "two", "--home", folder / "desk"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        first = child.stdout.readline()
        assert re.match(r"The desk is open at http://localhost:\d+/", first), first
        try:
            yield Desk(folder / "desk", environ)
        finally:
            child.send_signal(signal.SIGINT)
            assert child.wait(timeout=30) == 0
            shutil.rmtree(folder)


@pytest.fixture(scope="module")
def staffed(desk: Desk) -> Desk:
    desk.run("person", "add", "lead", "--role", "investigation_lead")
    desk.run("person", "add", "outside", "--role", "auditor")
    printed = desk.run("person", "add", "senior", "--role", "senior")
    password = printed.split()[-1]
    assert len(password) >= 20
    for kept in desk.home.rglob("*"):
        if kept.is_file() and "postgresql" not in kept.parts:
            assert password.encode() not in kept.read_bytes(), "a password is shown once and stored nowhere"
    desk.run(
        *("investigation", "create", "HL-2026-1", "--by", "lead", "--source", "forum", "--posted", "40"),
        *("--legal-basis", "drawn pictures of a test", "--expires", "2099-12-31", "--framework", "gb-eaw"),
    )
    return desk


def picture(path: Path, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((320, 240), Image.Resampling.BICUBIC).save(path)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.fixture(scope="module")
def badly_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("badly made")
    picture(folder / "good.png", 1)
    picture(folder / "good too.jpg", 2)
    (folder / "nothing.jpg").write_bytes(b"")
    (folder / "cut.png").write_bytes((folder / "good.png").read_bytes()[:2000])
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    (folder / "huge.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )
    (folder / "elsewhere").symlink_to("/etc/hostname")
    return folder


def problems(out: str) -> set[str]:
    return {line.strip() for line in out.splitlines() if line.startswith("  ")}


def test_a_badly_made_folder_ends_with_one_line_a_file_and_the_rest_is_taken_in(
    staffed: Desk, badly_made: Path
) -> None:
    arguments = ("investigation", "import", "HL-2026-1", badly_made, "--by", "lead", "--approved-by", "senior")
    out = staffed.run(*arguments, code=3)
    assert out.startswith("5 taken in, 0 known already, 1 problems, 0 files matched, 2 selected, 2 stacks formed.")
    assert problems(out) == {"elsewhere: a link is not followed; import the file it leads to"}
    again = staffed.run(*arguments, code=3)
    assert again.startswith("0 taken in, 5 known already, 1 problems, 0 files matched, 0 selected, 0 stacks formed.")
    status = json.loads(staffed.run("investigation", "status", "HL-2026-1", "--json"))[0]
    assert status["refused_files"] == {"broken": 1, "empty": 1, "too_many_pixels": 1}
    assert status["items"] == 5
    assert not any((staffed.home / "content").iterdir()), "a desk keeps no content"


def test_a_bad_zip_gives_each_member_its_reason(staffed: Desk, tmp_path: Path, badly_made: Path) -> None:
    bad = tmp_path / "bad.zip"
    with zipfile.ZipFile(bad, "w") as archive:
        archive.write(badly_made / "good.png", "inside/good.png")
        archive.writestr("../outside.png", b"x")
        archive.writestr(zipfile.ZipInfo("bomb.bmp"), b"\0" * (64 << 20), zipfile.ZIP_DEFLATED)
        archive.writestr("again.zip", (b"PK\x05\x06" + b"\0" * 18))
    out = staffed.run(
        *("investigation", "import", "HL-2026-1", bad, "--by", "lead", "--approved-by", "senior", "--json"), code=3
    )
    done = json.loads(out.splitlines()[-1])
    assert done["taken_in"] == 1
    assert sorted(line.split(":")[0] for line in done["problems"]) == ["../outside.png", "again.zip", "bomb.bmp"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"name,link\na,b\n", "path"),
        ("path\na\n".encode("utf-16"), "UTF-8"),
        (b"", "it is empty"),
    ],
    ids=["columns", "utf-16", "empty"],
)
def test_an_unusable_manifest_is_one_line_and_nothing_is_taken_in(
    staffed: Desk, badly_made: Path, tmp_path: Path, content: bytes, words: str
) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_bytes(content)
    before = staffed.run("investigation", "status", "--json")
    out = staffed.run(
        *("investigation", "import", "HL-2026-1", badly_made, "--manifest", manifest),
        *("--by", "lead", "--approved-by", "senior", "--collection", "other"),
        code=1,
    )
    assert len(out.strip().splitlines()) == 1
    assert "manifest.csv" in out
    assert words in out
    assert staffed.run("investigation", "status", "--json") == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("investigation", "import", "HL-2026-1", "/no/such/folder", "--by", "lead", "--approved-by", "senior"),
            "/no/such",
        ),
        (("investigation", "import", "HL-2026-1", "/etc/hostname", "--by", "lead", "--approved-by", "lead"), "approve"),
        (
            ("investigation", "import", "HL-2026-1", "/etc/hostname", "--by", "senior", "--approved-by", "lead"),
            "lead is needed",
        ),
        (("investigation", "import", "HL-9", "/etc/hostname", "--by", "lead", "--approved-by", "senior"), "HL-9"),
        (("person", "add", "lead", "--role", "auditor"), "enrolled already"),
        (("person", "add", "somebody", "--role", "boss"), "investigation_lead"),
        (("figures", "HL-9"), "HL-9"),
    ],
)
def test_what_is_refused_is_one_clear_line(staffed: Desk, arguments: tuple[str, ...], words: str) -> None:
    out = staffed.run(*arguments, code=1)
    assert len(out.strip().splitlines()) == 1, out
    assert out.startswith("havenline: ")
    assert words in out


def test_after_installation_two_people_give_a_role(staffed: Desk) -> None:
    assert "two people give a role" in staffed.run("person", "add", "late", "--role", "partner_liaison", code=1)
    assert "late" not in staffed.run("person", "list"), "a refusal leaves nobody half enrolled"
    staffed.run("person", "add", "late")
    told = staffed.run("proposal", "role", "late", "partner_liaison", "--by", "lead")
    assert "Give late the role partner liaison." in told
    waits = json.loads(staffed.run("proposal", "list", "--by", "outside", "--json").splitlines()[-1])
    assert [(each["standing"], each["proposed_by"]) for each in waits] == [("waits", "lead")]
    name, digest = waits[0]["proposal"], waits[0]["digest"]
    agree = ("proposal", "approve", name, "--digest", digest, "--by")
    assert "proposed themselves" in staffed.run(*agree, "lead", code=1)
    assert "2 people must agree" in staffed.run("proposal", "carry-out", name, "--by", "lead", code=1)
    staffed.run(*agree, "outside")
    staffed.run("proposal", "carry-out", name, "--by", "lead")
    assert "carried out already" in staffed.run("proposal", "carry-out", name, "--by", "lead", code=1)
    assert "partner liaison" in staffed.run("person", "list")


def test_figures_of_a_young_investigation_withhold_working_time(staffed: Desk) -> None:
    loaded = json.loads(staffed.run("figures", "HL-2026-1", "--json"))
    assert (loaded["posted"], loaded["assessed"], loaded["hours"]) == (40, 0, None)
    assert "gb-eaw" in json.dumps(loaded["table"])
    assert staffed.run("figures", "HL-2026-1", "--csv").startswith("figure,")


@pytest.mark.timeout(600)
def test_figures_are_published_by_two_people_and_made_again(staffed: Desk, tmp_path: Path) -> None:
    out, snapshot = tmp_path / "HL-2026-014", tmp_path / "snapshot"
    made = ("publish", "HL-2026-1", "--number", "HL-2026-014", "--title", "A first figure", "--to", out)
    told = staffed.run(*made, "--snapshot", snapshot, "--by", "lead")
    agreed = re.search(r"proposal approve (\w{32}) --digest (\w{64})", told)
    assert agreed is not None, told
    release = ("publish", "--release", out, "--proposal", agreed[1], "--by", "lead")
    assert "2 people must agree" in staffed.run(*release, code=1)
    assert not (out / "manifest.sig").exists()
    staffed.run("proposal", "approve", agreed[1], "--digest", agreed[2], "--by", "outside")
    staffed.run(*release)
    key = staffed.run("audit", "key").splitlines()[-1]
    verify = ("publish", "--verify", out, "--key", key, "--snapshot", snapshot)
    assert "The signature is that of the key." in staffed.run(*verify)
    assert "40 items were posted" in (out / "index.html").read_text()
    (out / "manifest.json").write_bytes((out / "manifest.json").read_bytes().replace(b"A first", b"Another"))
    said = staffed.run("publish", "--verify", out, "--key", key, code=1)
    assert "manifest.json is not what the cube gives" in said
    assert "manifest.sig: this signs another manifest" in said
    assert "not the one that was agreed to" in staffed.run(*release, code=1)


def test_a_desk_and_a_demonstration_never_share_a_folder(staffed: Desk) -> None:
    assert "not of a demo" in staffed.run("demo", "--no-serve", code=1)


@pytest.mark.timeout(200)
def test_the_study_of_october_2023_comes_out_as_published(environ: dict[str, str]) -> None:
    done = subprocess.run(
        [HAVENLINE, "figures", "--study", "2023-10", "--json"], env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout)
    expected = {
        "posted": 20_254,
        "not_selected": 9_146,
        "assessed": 11_108,
        "confirmed": 2_978,
        "realistic": 2_562,
        "prohibited": 416,
        "analysts": 12,
        "hours": 87.5,
        "seconds_per_item": 28.4,
    }
    assert {name: loaded[name] for name in expected} == expected


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda ending: ending.name)
def test_the_web_server_ends_with_the_command_however_that_ends(
    environ: dict[str, str], ending: signal.Signals
) -> None:
    from havenline_desk.sites.cluster import Cluster, throwaway_folder

    folder = throwaway_folder()
    cluster = Cluster(folder / "desk" / "postgresql", throwaway=True)
    try:
        command = [HAVENLINE, "up", "--port", "0", "--home", folder / "desk"]
        with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            port = re.search(r":(\d+)/", child.stdout.readline())
            assert port is not None
            child.send_signal(ending)
            code = child.wait(timeout=30)
        assert code == (-signal.SIGKILL if ending is signal.SIGKILL else 0)
        assert cluster.running() == (ending is signal.SIGKILL), "the database outlives a kill, to be adopted"
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(port[1]))) != 0:
                    break
            time.sleep(0.1)
        else:
            pytest.fail("the web server goes on without its command")
    finally:
        cluster.discard()
        shutil.rmtree(folder)


def test_a_secret_is_renewed_and_an_account_closed(desk: Desk) -> None:
    first = desk.run("person", "add", "newcomer")
    assert "good for 7 days" in first
    second = desk.run("person", "renew", "newcomer")
    assert first.split()[-1] != second.split()[-1]
    assert "is closed" in desk.run("person", "close", "newcomer")
    assert "is closed" in desk.run("person", "renew", "newcomer", code=1)
    assert "HAVENLINE_OIDC_ISSUER" in desk.run("person", "link", "newcomer", "--subject", "x", code=1)


def test_a_scheme_is_imported_line_by_line_shown_and_derived_under(staffed: Desk, tmp_path: Path) -> None:
    assert "ucs.v3             3            scheme" in staffed.run("framework", "list")
    assert "Investigative Elements: empty, to be imported" in staffed.run("framework", "show", "ucs.v3")
    listed = tmp_path / "list.csv"
    listed.write_text(
        "section,question,text,kind,code,label\nnowhere,c1,First?,fact,1,One\ndemographic,D,Second?,flag,,\n"
    )
    named = ("--id", "ucs.v3", "--version", "3-house", "--by", "lead")
    refused = staffed.run("framework", "import", listed, *named, code=1)
    assert "line 2: there is no section “nowhere”: categorisation, investigative, demographic" in refused
    assert "line 3: question is made of lower-case letters" in refused
    assert "2 lines to correct; nothing was imported" in refused
    listed.write_text("section,question,text,kind,code,label\ncategorisation,c1,First?,fact,1,One\n")
    assert "ucs.v3 3-house is known here: 1 questions, 0 rules." in staffed.run("framework", "import", listed, *named)
    assert "is there already" in staffed.run("framework", "import", listed, *named, code=1)
    assert "give --id and --version" in staffed.run("framework", "import", listed, "--by", "lead", code=1)
    shown = json.loads(staffed.run("framework", "show", "ucs.v3", "3-house", "--json"))
    assert [question["id"] for question in shown["questions"]] == ["c1"]
    broken = tmp_path / "broken.json"
    broken.write_text('{"id": "x",\n"version": }')
    assert "broken.json: line 2: not JSON" in staffed.run("framework", "import", broken, "--by", "lead", code=1)
    for name in ("interpol.baseline", "ncmec.industry"):
        assert "derives under" in staffed.run("framework", "configure", "HL-2026-1", name, "--by", "lead")
    derived = staffed.run("framework", "derived", "HL-2026-1")
    assert "gb-eaw 2023-09.2 (settled under, not approved)" in derived
    assert "interpol.baseline 1 (indicative, not approved)" in derived
    assert derived.count("undetermined") == 3


def test_calibration_is_set_up_once_and_a_sample_needs_decisions(staffed: Desk) -> None:
    assert "Calibration is set up." in staffed.run("calibration", "set-up", "--by", "lead")
    assert "set up already" in staffed.run("calibration", "set-up", "--by", "lead", code=1)
    # Drawn pictures are no investigation: the only one is still the only one.
    assert "nothing was settled" in staffed.run("quality", "sample", "--by", "senior", code=1)
    assert "the role senior analyst is needed" in staffed.run("quality", "sample", "--by", "lead", code=1)
