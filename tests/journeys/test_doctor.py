"""`havenline doctor` finds what is wrong with a machine, a data folder and a database, and says what to do."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import typer
from typer.testing import CliRunner

from havenline_cli.doctor import (
    GIB,
    Check,
    Verdict,
    check_clock,
    check_cores,
    check_disk,
    check_kernel_cache,
    check_leftovers,
    check_memory,
    check_processor,
    check_python,
    check_swap,
    compile_kernels,
    doctor,
    examine,
    judge_durability,
    kernel_cache,
)
from havenline_desk.sites.cluster import Cluster, throwaway_folder
from havenline_desk.sites.home import Home

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
DURABLE = {
    "server_version": "18.4",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "data_checksums": "on",
}


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    """A desk with a cluster that was set up and stopped."""
    folder = throwaway_folder()
    home = Home.locate(environ={"HAVENLINE_HOME": str(folder / "desk")}, uid=os.geteuid())
    cluster = Cluster(home.postgresql, throwaway=True)
    try:
        home.create("desk")
        home.secret_key()
        cluster.start()
        cluster.stop()
        yield home
    finally:
        cluster.discard()
        shutil.rmtree(folder)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CACHE_HOME": str(tmp_path)}


def named(checks: list[Check], name: str) -> Check:
    return next(check for check in checks if check.name == name)


def run(*arguments: str, env: dict[str, str]) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(doctor)
    result = CliRunner().invoke(app, [*arguments], env={"HAVENLINE_DATABASE_URL": None, **env})
    return result.exit_code, result.output


def test_it_works(home: Home, environ: dict[str, str]) -> None:
    checks = examine(home, environ=environ)
    assert [check for check in checks if check.verdict is Verdict.FAIL] == []
    assert named(checks, "PostgreSQL").found.startswith("18.")
    for setting in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums"):
        assert (named(checks, setting).verdict, named(checks, setting).found) == (Verdict.OK, "on")
    assert named(checks, "data folder").found == f"{home.path}, a desk"


def test_the_database_is_left_as_it_was_found(home: Home, environ: dict[str, str]) -> None:
    cluster = Cluster(home.postgresql, throwaway=True)
    examine(home, environ=environ)
    assert not cluster.running()
    cluster.start()
    examine(home, environ=environ)
    assert cluster.running()
    cluster.stop()


def test_a_server_of_the_operators_own_is_asked_instead(home: Home, environ: dict[str, str]) -> None:
    cluster = Cluster(home.postgresql, throwaway=True)
    cluster.start()
    try:
        with psycopg.connect(
            **cluster.connection(role="havenline_cluster", database="postgres"), autocommit=True
        ) as admin:
            admin.execute("ALTER DATABASE postgres SET synchronous_commit = off")
            url = psycopg.conninfo.make_conninfo(**cluster.connection(role="havenline_cluster", database="postgres"))
            check = named(examine(home, environ={**environ, "HAVENLINE_DATABASE_URL": url}), "synchronous_commit")
            admin.execute("ALTER DATABASE postgres RESET synchronous_commit")
        assert (check.verdict, check.found) == (Verdict.FAIL, "off")
        assert "set synchronous_commit = on" in check.advice
    finally:
        cluster.stop()


def test_a_server_that_does_not_answer_fails_without_showing_its_password(home: Home, environ: dict[str, str]) -> None:
    url = "postgresql://someone:THE-PASSWORD@127.0.0.1:1/nothing"
    check = named(examine(home, environ={**environ, "HAVENLINE_DATABASE_URL": url}), "PostgreSQL")
    assert check.verdict is Verdict.FAIL
    assert check.advice
    assert "THE-PASSWORD" not in check.found


def test_before_anything_is_made_nothing_is_made(tmp_path: Path) -> None:
    home = Home(tmp_path / "desk", os.geteuid())
    checks = examine(home, environ={"XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert "not made yet" in named(checks, "data folder").found
    assert "18." in named(checks, "PostgreSQL").found
    assert list(tmp_path.iterdir()) == []


def test_every_warning_and_failure_comes_with_advice(home: Home, environ: dict[str, str]) -> None:
    assert [
        check for check in examine(home, environ=environ) if check.verdict is not Verdict.OK and not check.advice
    ] == []


SWAP = "Filename\tType\tSize\tUsed\tPriority\n"


@pytest.mark.parametrize(
    ("check", "verdict"),
    [
        (check_python((3, 10)), Verdict.FAIL),
        (check_python((3, 11)), Verdict.OK),
        (check_python((4, 0)), Verdict.OK),
        (check_cores(1), Verdict.WARN),
        (check_cores(2), Verdict.OK),
        (check_memory("MemTotal:        1000000 kB\n"), Verdict.WARN),
        (check_memory("MemFree: 1 kB\nMemTotal:       24684092 kB\n"), Verdict.OK),
        (check_memory(""), Verdict.WARN),
        (check_processor("flags\t\t: fpu sse2 avx2 avx512f avx512_vpopcntdq\n"), Verdict.OK),
        (check_processor("Features\t: fp asimd\n"), Verdict.OK),
        (check_processor("flags\t\t: fpu sse2 avx\n"), Verdict.WARN),
        (check_processor(""), Verdict.WARN),
        (check_swap(SWAP), Verdict.OK),
        (check_swap(""), Verdict.OK),
        (check_swap(SWAP + "/dev/zram0 partition 1 0 100\n"), Verdict.OK),
        (check_swap(SWAP + "/dev/sda2 partition 1 0 -2\n"), Verdict.WARN),
        (check_clock(dt.datetime(1970, 1, 1, tzinfo=dt.UTC), made=None), Verdict.FAIL),
        (check_clock(NOW, made=None), Verdict.OK),
        (check_clock(NOW, made=NOW.timestamp() - 9), Verdict.OK),
        (check_clock(NOW, made=NOW.timestamp() + 9000), Verdict.FAIL),
        (check_disk(20 * GIB), Verdict.OK),
        (check_disk(2 * GIB), Verdict.WARN),
        (check_disk(GIB // 2), Verdict.FAIL),
    ],
    ids=lambda value: f"{value.name}: {value.found}" if isinstance(value, Check) else "",
)
def test_the_machine_is_judged(check: Check, verdict: Verdict) -> None:
    assert check.verdict is verdict
    assert bool(check.advice) is (verdict is not Verdict.OK)


def test_a_durable_server_passes() -> None:
    assert {check.verdict for check in judge_durability(DURABLE)} == {Verdict.OK}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("fsync", "off"),
        ("full_page_writes", "off"),
        ("synchronous_commit", "off"),
        ("data_checksums", "off"),
        ("server_version", "13.9 (Debian 13.9-1)"),
        ("server_version", ""),
    ],
)
def test_production_is_refused_on_a_server_that_could_lose_records(setting: str, value: str) -> None:
    failed = [check for check in judge_durability({**DURABLE, setting: value}) if check.verdict is Verdict.FAIL]
    assert [check.name for check in failed] == ["PostgreSQL" if setting == "server_version" else setting]
    assert failed[0].advice


def test_a_server_that_says_nothing_is_not_trusted() -> None:
    assert {check.verdict for check in judge_durability({})} == {Verdict.FAIL}


@pytest.mark.parametrize("part", ["content", "secret_key", "."])
def test_an_open_data_folder_fails(home: Home, environ: dict[str, str], part: str) -> None:
    path = home.path / part
    before = path.stat().st_mode
    path.chmod(0o755)
    try:
        found = [check for check in examine(home, environ=environ) if check.name == "data folder"]
    finally:
        path.chmod(before)
    failed = [check for check in found if check.verdict is Verdict.FAIL]
    assert [check.advice for check in failed] == [f"chmod go-rw {path}"]


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"NUMBA_CACHE_DIR": "/k", "XDG_CACHE_HOME": "/x"}, "/k"),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/havenline/kernels"),
        ({"XDG_CACHE_HOME": "x", "HOME": "/h"}, "/h/.cache/havenline/kernels"),
        ({"HOME": "/h"}, "/h/.cache/havenline/kernels"),
    ],
)
def test_the_kernel_cache_is_found(environ: dict[str, str], folder: str) -> None:
    assert kernel_cache(environ) == Path(folder)


@pytest.mark.parametrize(
    ("mode", "verdict"), [(0o700, Verdict.OK), (0o755, Verdict.OK), (0o775, Verdict.FAIL), (0o1777, Verdict.FAIL)]
)
def test_a_kernel_cache_that_others_can_write_fails(tmp_path: Path, mode: int, verdict: Verdict) -> None:
    tmp_path.chmod(mode)
    assert check_kernel_cache(tmp_path, uid=os.geteuid()).verdict is verdict


def test_compiling_fills_the_kernel_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", os.environ.get("NUMBA_CACHE_DIR", ""))
    assert compile_kernels(kernel_cache(os.environ)) > 0
    assert list(kernel_cache(os.environ).rglob("*.nbi"))


def test_leftovers_of_a_killed_program_are_named_once_they_are_old(tmp_path: Path) -> None:
    home = Home(tmp_path, uid=1)
    (tmp_path / "content").mkdir()
    left = tmp_path / "content" / "0123.part"
    left.write_bytes(b"")
    os.utime(left, (NOW.timestamp() - 60, NOW.timestamp() - 60))
    assert check_leftovers(home, at=NOW).verdict is Verdict.OK
    check = check_leftovers(home, at=NOW + dt.timedelta(hours=2))
    assert check.verdict is Verdict.WARN
    assert f"rm -r {left}" in check.advice


def test_text_gives_each_finding_its_advice_and_exit_code_0(home: Home, environ: dict[str, str]) -> None:
    code, output = run("--home", str(home.path), env=environ)
    assert code == 0
    assert "synchronous_commit" in output
    assert "0 failed" in output


def test_json_is_one_document_and_a_failure_is_exit_code_1(home: Home, environ: dict[str, str]) -> None:
    home.kept_content.chmod(0o755)
    try:
        code, output = run("--home", str(home.path), "--json", env=environ)
    finally:
        home.kept_content.chmod(0o700)
    report = json.loads(output)
    assert code == 1
    assert (report["ok"], report["home"]) == (False, str(home.path))
    assert {"name", "verdict", "found", "advice"} == set(report["checks"][0])
    assert [check["found"] for check in report["checks"] if check["verdict"] == "fail"] == [
        f"{home.kept_content} is open to others (mode 0755)"
    ]
