"""The systemd units: closed off as they say, sound by systemd's own reading, and their commands serve a desk.

Not tried here: systemd running them, with the users and the walls that they name.
"""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from havenline_desk.sites.cluster import Cluster, throwaway_folder
from havenline_guard.decoder_client import DecoderClient, DecoderdUnreachable
from havenline_guard.keyd_client import KeyClient, KeydUnreachable

from .desk_rig import within

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = sorted(path.name for path in FOLDER.glob("*.service"))
PROGRAMS = Path(sys.executable).parent
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith(("HAVENLINE_", "DJANGO_"))}
ME = pwd.getpwuid(os.geteuid()).pw_name
HARDENED = {
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "ProtectProc": "invisible",
    "RestrictNamespaces": "yes",
    "RestrictSUIDSGID": "yes",
    "LimitCORE": "0",
    "MemorySwapMax": "0",
    "UMask": "0077",
    "Restart": "always",
}
AS_THE_DESK = ("exchanges", "match-api", "webhooks")
"""Units that work in the desk's data folder and on its database."""
OUTWARD = {f"havenline-{name}.service" for name in ("exchanges", "webhooks")}
"""Those that reach public addresses, and none of a private network."""


def read(name: str) -> dict[str, list[str]]:
    """The settings of a unit's service, each with all its values."""
    text = (FOLDER / name).read_text().replace("\\\n", " ")
    found: dict[str, list[str]] = {}
    for line in text.partition("[Service]")[2].partition("[Install]")[0].splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value.strip())
    return found


def users() -> set[str]:
    lines = (FOLDER / "havenline.sysusers.conf").read_text().splitlines()
    return {line.split()[1] for line in lines if line.startswith("u ")}


def test_there_is_a_unit_for_each_process_with_a_user_of_its_own() -> None:
    apart = [f"havenline-{name}.service" for name in ("decoderd", "desk", "keyd", "matchd")]
    with_the_desk = [f"havenline-{name}.service" for name in AS_THE_DESK]
    assert sorted([*apart, *with_the_desk]) == UNITS
    assert {read(name)["User"][0] for name in apart} == {name.removesuffix(".service") for name in apart} == users()
    assert {read(name)["User"][0] for name in with_the_desk} == {"havenline-desk"}


@pytest.mark.parametrize("name", UNITS)
def test_each_unit_is_closed_off(name: str) -> None:
    parsed = configparser.ConfigParser(strict=False, interpolation=None)
    parsed.read_string((FOLDER / name).read_text().replace("\\\n", " "))
    assert parsed.sections() == ["Unit", "Service", "Install"]
    said = read(name)
    assert {key: said[key] for key in HARDENED} == {key: [value] for key, value in HARDENED.items()}
    networked = said["User"] == ["havenline-desk"]
    assert said.get("PrivateNetwork") == (None if networked else ["yes"])
    assert said.get("IPAddressAllow") == (["localhost"] if networked else None)
    denied = set(" ".join(said["IPAddressDeny"]).split())
    assert denied >= {"10.0.0.0/8", "169.254.0.0/16", "fc00::/7"} if name in OUTWARD else denied == {"any"}
    assert set(said["RestrictAddressFamilies"][0].split()) <= {"AF_UNIX", "AF_INET", "AF_INET6"}
    named = {word for line in said["ExecStart"] for word in re.findall(r"havenline-[a-z]+(?=[\s:]|$)", line)}
    assert named <= users()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("name", UNITS)
def test_systemd_reads_each_unit_without_a_complaint(name: str, tmp_path: Path) -> None:
    for each in UNITS:  # the programs are looked for where they are
        text = (FOLDER / each).read_text().replace("/opt/havenline/.venv/bin", str(PROGRAMS))
        (tmp_path / each).write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", tmp_path / name], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    scored = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=30", tmp_path / name],
        capture_output=True,
        text=True,
    )
    assert scored.returncode == 0, scored.stdout


def keyd_answers(path: str) -> bool:
    with contextlib.suppress(KeydUnreachable), KeyClient(path) as client:
        client.status()
        return True
    return False


def decoderd_answers(path: str) -> bool:
    with contextlib.suppress(DecoderdUnreachable):
        return bool(DecoderClient(path).state()["ready"])
    return False


def test_the_commands_of_the_units_serve_a_desk_together() -> None:
    """As one user, with the folders of the units below a throw-away one; the lists' unit has tests of its own."""
    folder = throwaway_folder()
    for made in ("run/keyd", "run/decoderd", "lib", "etc"):
        (folder / made).mkdir(parents=True, mode=0o700)

    def here(text: str) -> str:
        for before, after in (
            ("/opt/havenline/.venv/bin", str(PROGRAMS)),
            ("/run/havenline-", f"{folder}/run/"),
            ("/var/lib/havenline-", f"{folder}/lib/"),
            ("/etc/havenline", f"{folder}/etc"),
        ):
            text = text.replace(before, after)
        return re.sub(r"(?<=[\s:=])havenline-desk(?=[:\s]|$)", ME, text)

    def command(name: str) -> list[str]:
        words = shlex.split(here(read(f"havenline-{name}.service")["ExecStart"][0]))
        if "--group" in words:  # this user may be in no group of its own name
            words[words.index("--group") + 1] = str(os.getegid())
        return words

    def environment(name: str) -> dict[str, str]:
        said = [each for line in read(f"havenline-{name}.service").get("Environment", []) for each in line.split()]
        return dict(here(each).split("=", 1) for each in said if each.startswith("HAVENLINE_"))

    settings = dict(
        line.split("=", 1) for line in here((FOLDER / "desk.env").read_text()).splitlines() if not line.startswith("#")
    )
    passphrase = folder / "etc" / "keyd.passphrase"
    passphrase.write_text("a passphrase of a test, not of a house\n")
    passphrase.chmod(0o600)
    serve = command("keyd")
    init = [*serve[: serve.index("serve")], "init", "--folder", folder / "lib" / "keyd" / "keys"]
    subprocess.run([*init, "--passphrase-file", passphrase], check=True)
    (folder / "lib" / "desk").mkdir()
    for passed in (folder / "lib", folder / "lib" / "desk"):  # by the database's system user, where root runs this
        passed.chmod(0o711 if os.geteuid() == 0 else 0o700)
    started = []
    try:
        started += [subprocess.Popen(command(name), env=ENVIRON) for name in ("keyd", "decoderd")]
        within(60, lambda: keyd_answers(settings["HAVENLINE_KEYD"]))
        within(120, lambda: decoderd_answers(settings["HAVENLINE_DECODERD"]))
        words = [word if word != "8640" else "0" for word in command("desk")]
        desk = subprocess.Popen(words, env=ENVIRON | settings, stdout=subprocess.PIPE, text=True)
        started.append(desk)
        assert desk.stdout is not None
        with desk.stdout:
            assert "The desk is open at http://localhost:" in desk.stdout.readline()
            done = subprocess.run(
                [PROGRAMS / "havenline", "status", "--json"], env=ENVIRON | settings, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            running = [row["name"] for row in json.loads(done.stdout)["processes"]]
            assert set(running) == {"supervisor", "postgresql", "sealer", "jobs", "web server"}, (
                "the rest are units of their own"
            )
            # The units that use its database, each until it has nothing to do or says that it began.
            sending = [*command("webhooks"), "--once"]
            subprocess.run(sending, env=ENVIRON | settings | environment("webhooks"), check=True)
            fetching = [*command("exchanges"), "--once"]
            subprocess.run(fetching, env=ENVIRON | settings | environment("exchanges"), check=True)
            desk.terminate()
            assert desk.wait(60) == 0
            late = subprocess.run(
                sending, env=ENVIRON | settings | environment("webhooks"), capture_output=True, text=True
            )
            assert "does not run yet" in late.stderr, "it starts no database of its own"
        assert keyd_answers(settings["HAVENLINE_KEYD"]), "what is not the desk's is left running"
    finally:
        for child in reversed(started):
            child.terminate()
            child.wait(60)
        Cluster(folder / "lib" / "desk" / "desk" / "postgresql").stop()
        shutil.rmtree(folder)
