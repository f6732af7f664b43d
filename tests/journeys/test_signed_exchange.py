"""Two installations by the command line: keys, root, telephone, publishing, following, withdrawing, letting go."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from havenline_cli import main
from havenline_desk.sites.cluster import throwaway_folder
from tests.core.connectors.publisher_rig import LIST, House, canaries
from tests.journeys import exchange_driver

PASSPHRASE = "correct horse battery\n"  # of drawn keys in a temporary folder
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a command in this process, as one installation or the other."""

    def command(home: str, *arguments: object, stdin: str = "") -> tuple[int, str]:
        monkeypatch.setenv("HAVENLINE_HOME", str(tmp_path / home))
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        code = main.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        assert "correct horse" not in captured.out + captured.err
        assert "AGE-SECRET-KEY" not in captured.out + captured.err
        return code, captured.out + captured.err

    return command


def told(run: Run, home: str, *arguments: object) -> dict[str, Any]:
    code, text = run(home, *arguments, "--json")
    assert code == 0, text
    read: dict[str, Any] = json.JSONDecoder().raw_decode(text)[0]
    return read


def entries(run: Run) -> int:
    (only,) = told(run, "b", "exchange", "status")["exchanges"]
    return int(only["entries"])


def test_from_keys_to_a_followed_list_by_commands_alone(run: Run, tmp_path: Path) -> None:
    code, key = run("b", "exchange", "identity")
    assert code == 0
    house = House(tmp_path / "house")
    house.keys["there"] = key.strip()
    house.edition(range(5))
    at = exchange_driver.now()
    house.stage(at)

    # Two approvers have their keys in the root of this house: a second root says so.
    folder = house.repository.folder
    for name in ("one", "two"):
        code, text = run("signer", "repository", "key", tmp_path / name, stdin=PASSPHRASE)
        assert code == 0, text
    from havenline.repository.keys import read_public

    publics = [read_public(tmp_path / f"{name}.pub") for name in ("one", "two")]
    house.repository.rotate_root("two", root=publics, targets=publics, new_online=False, at=at)
    root = house.repository.staged / "root.json"
    house.sign("root", house.people[:2])
    code, text = run("a", "repository", "publish", "--folder", folder)
    assert code == 1, text
    assert "2 more of the root keys must sign" in text
    for name in ("one", "two"):
        sign(run, root, tmp_path / name)
    assert run("a", "repository", "publish", "--folder", folder)[0] == 0

    house.stage(at)
    targets = house.repository.staged / "targets.json"
    code, text = run("signer", "repository", "sign", targets, "--key", tmp_path / "one", "--look")
    assert f"{LIST}: edition 1 (+5, -0) for 1 partners, 9 entries with canaries" in text
    for name in ("one", "two"):
        sign(run, targets, tmp_path / name)
    assert run("a", "repository", "publish", "--folder", folder)[0] == 0
    status = told(run, "a", "repository", "status", "--folder", folder)
    assert status["roles"]["root"]["version"] == 2
    assert status["waiting"] is None

    add_publisher(run, house.public, status["recipients"]["there"], LIST)
    code, text = run("b", "exchange", "fetch", "of-a")
    assert code == 1
    assert "two people" in text
    wrong = "0" * 64
    assert run("b", "exchange", "confirm-publisher", "of-a", "--by", "one", "--fingerprint", wrong)[0] == 1
    for person in ("one", "two"):
        heard = status["root_sha256"]
        assert run("b", "exchange", "confirm-publisher", "of-a", "--by", person, "--fingerprint", heard)[0] == 0
    assert run("b", "exchange", "fetch", "of-a", "--from", house.public)[0] == 0
    assert entries(run) == 5 + len(canaries("there"))

    code, lines = run("b", "exchange", "gossip", "of-a")
    (tmp_path / "theirs").write_text(lines)
    assert "1 editions that both saw" in run("b", "exchange", "gossip", "of-a", "--compare", tmp_path / "theirs")[1]
    (tmp_path / "theirs").write_text(lines.replace(lines.split()[-1], "a" * 64))
    assert run("b", "exchange", "gossip", "of-a", "--compare", tmp_path / "theirs")[0] == 1
    assert "ALARM since" in run("b", "exchange", "status")[1]

    code, text = run("b", "exchange", "revoke-publisher", "of-a")
    assert code == 0, text
    assert "9 entries are in no list any more" in text
    assert "revoked" in run("b", "exchange", "status")[1]
    assert run("b", "exchange", "fetch", "of-a")[0] == 1


@pytest.fixture
def house_a() -> Iterator[Path]:
    """A data folder that PostgreSQL's own system user can reach."""
    folder = throwaway_folder()
    yield folder / "a"
    shutil.rmtree(folder)


@pytest.mark.skipif(
    os.environ.get("HAVENLINE_SOAK") != "1", reason="long form: starts a PostgreSQL for each of five commands"
)
def test_from_the_desk_of_one_house_to_the_lists_of_another_and_a_withdrawal_follows(
    run: Run, house_a: Path, tmp_path: Path
) -> None:
    _, key = run("b", "exchange", "identity")
    files = on_the_desk(house_a, "-m", "tests.journeys.exchange_driver", house_a, "release", key.strip()).split()
    for name in ("one", "two", "three"):
        assert run("signer", "repository", "key", tmp_path / name, stdin=PASSPHRASE)[0] == 0
    keys = [f"--{sort}-key={tmp_path / name}.pub" for sort in ("root", "list") for name in ("one", "two", "three")]
    on_the_desk(house_a, *HAVENLINE, "repository", "init", "--name", "House A", *keys)
    signed_and_published(run, house_a, tmp_path, "root")
    on_the_desk(house_a, *HAVENLINE, "repository", "stage")
    signed_and_published(run, house_a, tmp_path, "targets")
    status = json.loads(on_the_desk(house_a, *HAVENLINE, "repository", "status", "--json"))
    add_publisher(run, house_a / "repository" / "public", status["recipients"]["there"], "house-csam")
    for person in ("one", "two"):
        heard = status["root_sha256"]
        assert run("b", "exchange", "confirm-publisher", "of-a", "--by", person, "--fingerprint", heard)[0] == 0
    assert run("b", "exchange", "fetch", "of-a")[0] == 0
    assert entries(run) == len(files) + 32

    on_the_desk(house_a, "-m", "tests.journeys.exchange_driver", house_a, "withdraw")
    on_the_desk(house_a, *HAVENLINE, "repository", "stage")
    signed_and_published(run, house_a, tmp_path, "targets")
    assert run("b", "exchange", "fetch", "of-a")[0] == 0
    assert entries(run) == len(files) - 1 + 32


HAVENLINE = ("-c", "from havenline_cli.main import main; main()")


def on_the_desk(home: Path, *arguments: object) -> str:
    """What people of the desk do, in a process of its own; what it printed."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("HAVENLINE_", "DJANGO_"))}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**environ, "HAVENLINE_HOME": str(home)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def signed_and_published(run: Run, home: Path, keys: Path, role: str) -> None:
    for name in ("one", "three"):
        sign(run, home / "repository" / "staged" / f"{role}.json", keys / name)
    on_the_desk(home, *HAVENLINE, "repository", "publish")


def sign(run: Run, file: Path, key: Path) -> None:
    """As two signers do who read the digest to one another."""
    _, text = run("signer", "repository", "sign", file, "--key", key, "--look")
    digest = "".join(text.rpartition("digest ")[2].split())
    code, text = run("signer", "repository", "sign", file, "--key", key, "--digest", digest, stdin=PASSPHRASE)
    assert code == 0, text


def add_publisher(run: Run, public: Path, recipient: str, theirs: str) -> None:
    code, text = run(
        "b",
        *("exchange", "add-publisher", "of-a", "--from", public.as_uri(), "--recipient", recipient),
        *("--root", public / "metadata" / "1.root.json", "--their-list", theirs),
    )
    assert code == 0, text
