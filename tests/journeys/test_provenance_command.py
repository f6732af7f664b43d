"""`havenline provenance` as a person runs it: what it tells, what it never tells, and what it never does."""

from __future__ import annotations

import hashlib
import json
import pickle
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from havenline.provenance import ABSENCE, STATE_MEANS
from havenline.testing.drawing import choose_subject, draw_subject
from havenline_cli import main
from tests.core.provenance import drawn_marks as marks
from tests.core.provenance.invisible_marks import package_made
from tests.core.provenance.signed import signed, signing_chain


@pytest.fixture
def havenline(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs a command in an empty folder and gives its exit code, what it wrote, and its JSON."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Any:
        code = main.run([str(each) for each in arguments])
        told = capfd.readouterr()
        summary = json.loads(told.out) if "--json" in arguments and code != 2 else None
        return SimpleNamespace(code=code, out=told.out, err=told.err, summary=summary)

    return run


class Trap:
    """What a hostile checkpoint would have run."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (__import__("os").system, (f"touch {self.marker}",))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    (made / "a1111.png").write_bytes(marks.png({"parameters": marks.A1111}))
    (made / "comfy.png").write_bytes(marks.png({"prompt": marks.COMFY_PROMPT, "workflow": marks.COMFY_WORKFLOW}))
    (made / "signed.jpg").write_bytes(signed(marks.drawn("JPEG"), "image/jpeg")[0])
    (made / "plain.gif").write_bytes(marks.drawn("GIF"))
    (made / "trap.pt").write_bytes(pickle.dumps({marks.MODEL: Trap(tmp_path / "sprung")}))
    (made / "letter.txt").write_text(marks.CANARY)
    return made


@pytest.mark.parametrize("sandbox", ["required", "off"])
def test_marks_in_pixels_are_looked_for_where_asked_in_closed_workers_too(
    havenline: Any, tmp_path: Path, sandbox: str
) -> None:
    marked = tmp_path / "marked"
    marked.mkdir()
    forms: dict[str, dict[str, Any]] = {
        "a.jpg": {"quality": 95, "subsampling": 0},
        "b.png": {},
        "c.webp": {"lossless": True},
    }
    for name, options in forms.items():
        Image.fromarray(package_made("sdxl")).save(marked / name, **options)
    asked = ("provenance", str(marked), "--json", "--sandbox", sandbox)
    assert [each["observed"] for each in havenline(*asked).summary["files"]] == [[], [], []]
    told = havenline(*asked, "--pixels").summary["files"]
    assert [[row["value"] for row in each["observed"]] for each in told] == [["stable-diffusion"]] * 3
    assert {row["strength"] for each in told for row in each["observed"]} == {"hint"}


def test_signals_are_told_with_their_limits_and_no_text_of_a_file(havenline: Any, folder: Path, tmp_path: Path) -> None:
    for form in (["--json"], []):
        ran = havenline("provenance", "in", "--sandbox", "required", *form)
        assert ran.code == 3
        said = (ran.out + ran.err).lower()
        assert not [word for word in marks.SECRETS if word in said]
        assert ABSENCE.lower() in said
    assert not (tmp_path / "sprung").exists()
    found = havenline("provenance", "in", "--json").summary
    files = {each["path"]: each for each in found["files"]}
    assert set(files) == {"a1111.png", "comfy.png", "signed.jpg", "plain.gif", "trap.pt"}
    assert found["refusals"]["unknown_kind"]["count"] == 1
    assert files["plain.gif"]["observed"] == files["plain.gif"]["inferred"] == []
    values = {path: {(row["signal"], row["value"]) for row in each["observed"]} for path, each in files.items()}
    assert ("generator", "a1111") in values["a1111.png"]
    assert ("generator", "comfyui") in values["comfy.png"]
    assert {("c2pa_state", "Valid"), ("source_type", "trainedAlgorithmicMedia")} <= values["signed.jpg"]
    assert ("pickle_name", "dangerous") in values["trap.pt"]
    assert files["signed.jpg"]["inferred"]
    assert all(row["does_not_show"] for each in files.values() for row in each["observed"] + each["inferred"])


def test_digests_of_two_runs_compare_under_one_key_alone(havenline: Any, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"sixteen bytes or more")
    one, two, other = (
        {
            row["digest"]
            for row in havenline("provenance", "in/a1111.png", "--json", *key).summary["files"][0]["observed"]
        }
        for key in (("--key-file", "key"), ("--key-file", "key"), ())
    )
    assert one == two
    assert one & other == {None}


def test_a_short_key_is_wrong_usage(havenline: Any, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"short")
    assert havenline("provenance", "in", "--key-file", "key").code == 2
    assert havenline("provenance", "nothing").code == 1


def test_nothing_is_asked_of_a_network(havenline: Any, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/manifest.c2pa"
        content, _ = signed(marks.drawn("PNG"), "image/png", remote=address)
        (tmp_path / "remote.png").write_bytes(content)
        for sandbox in ("required", "off"):
            ran = havenline("provenance", "remote.png", "--json", "--sandbox", sandbox)
            (file,) = ran.summary["files"]
            assert {(row["signal"], row["value"]) for row in file["observed"]} == {
                ("c2pa_remote", "elsewhere, not fetched")
            }
            assert "127.0.0.1" not in ran.out
        with pytest.raises(BlockingIOError):
            server.accept()


def test_two_pictures_are_compared_one_to_one_in_closed_workers(havenline: Any, tmp_path: Path) -> None:
    subject = choose_subject(7, 3)
    one = Image.fromarray(draw_subject(subject, seed=7, number=3, attempt=0))
    one.save(tmp_path / "one.png")
    one.crop((0, 0, one.width // 2, one.height)).save(tmp_path / "part.jpg", quality=60)
    (tmp_path / "words.txt").write_text(marks.CANARY)
    for form in (["--json"], []):
        ran = havenline("picture", "compare", "one.png", "part.jpg", "--sandbox", "required", *form)
        assert ran.code == 0, ran.err
        assert "Does not show which of the two was first" in ran.out or form
        if form:
            assert ran.summary["compared"]["score"] > 0.9
            assert 0.4 < ran.summary["compared"]["overlap"] < 0.6
            assert [row[15] for row in ran.summary["compared"]["cells"]] == ["outside"] * 16
    refused = havenline("picture", "compare", "one.png", "words.txt", "--sandbox", "required", "--json")
    assert (refused.code, refused.summary["compared"], refused.summary["refused"]) == (3, None, 1)
    assert marks.CANARY not in refused.out
    assert havenline("picture", "compare", "one.png", ".").code == 2


def test_a_list_of_signers_makes_a_state_trusted_and_is_named(havenline: Any, folder: Path, tmp_path: Path) -> None:
    listed = tmp_path / "signers.pem"
    listed.write_bytes(b"-----BEGIN" + signing_chain()[0].split(b"-----BEGIN")[2])
    ran = havenline("provenance", folder / "signed.jpg", "--signers", listed)
    assert ran.code == 0
    assert f"Trusted: {STATE_MEANS['Trusted']}" in ran.out
    assert hashlib.sha256(listed.read_bytes()).hexdigest() in ran.out
    assert "Trusted" not in havenline("provenance", folder / "signed.jpg").out
    listed.write_bytes(b"no certificate")
    refused = havenline("provenance", folder / "signed.jpg", "--signers", listed)
    assert refused.code == 2
    assert "no certificates in PEM" in refused.err
    assert havenline("provenance", folder / "signed.jpg", "--signers", tmp_path / "none").code == 2
