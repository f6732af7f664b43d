"""A data folder lies where it should, is closed, knows its kind, and is never mistaken for another."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from havenline_desk.sites.home import Home, HomeError, HomeKind

UID = os.geteuid()


def home_at(path: Path) -> Home:
    return Home.locate(environ={"HAVENLINE_HOME": str(path)}, uid=UID)


@pytest.fixture
def demo(tmp_path: Path) -> Home:
    home = home_at(tmp_path / "demo")
    home.create("demo")
    return home


@pytest.mark.parametrize(
    ("name", "environ", "uid", "path"),
    [
        ("desk", {"HAVENLINE_HOME": "/srv/hotline", "XDG_DATA_HOME": "/x"}, 1000, "/srv/hotline"),
        ("desk", {"HAVENLINE_HOME": "/srv/hotline"}, 0, "/srv/hotline"),
        ("desk", {"HOME": "/root"}, 0, "/var/lib/havenline/desk"),
        ("demo", {"HOME": "/root", "XDG_DATA_HOME": "/x"}, 0, "/var/lib/havenline/demo"),
        ("demo", {"HOME": "/home/a", "XDG_DATA_HOME": "/x"}, 1000, "/x/havenline/demo"),
        ("desk", {"HOME": "/home/a"}, 1000, "/home/a/.local/share/havenline/desk"),
        ("desk", {"HOME": "/home/a", "XDG_DATA_HOME": "relative"}, 1000, "/home/a/.local/share/havenline/desk"),
        ("desk", {"HOME": "/home/a", "HAVENLINE_HOME": ""}, 1000, "/home/a/.local/share/havenline/desk"),
    ],
)
def test_the_folder_is_found(name: str, environ: dict[str, str], uid: int, path: str) -> None:
    assert Home.locate(name, environ=environ, uid=uid) == Home(Path(path), uid)


@pytest.mark.parametrize("name", ["", "..", "a/b", "Desk", "-x"])
def test_a_strange_name_is_refused(name: str) -> None:
    with pytest.raises(HomeError, match="cannot name a data folder"):
        Home.locate(name, environ={}, uid=0)


def test_locating_makes_nothing(tmp_path: Path) -> None:
    home = home_at(tmp_path / "new")
    assert home.kind() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("umask", [0o000, 0o077], ids=oct)
def test_a_new_folder_is_closed_and_its_parents_are_left_alone(tmp_path: Path, umask: int) -> None:
    tmp_path.chmod(0o750)
    home = home_at(tmp_path / "between" / "home")
    previous = os.umask(umask)
    try:
        home.create("desk")
        home.secret_key()
    finally:
        os.umask(previous)
    modes = {path.relative_to(tmp_path): stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    root = UID == 0
    assert modes == {
        Path("between"): 0o755 if root else 0o700,
        Path("between/home"): 0o711 if root else 0o700,
        Path("between/home/content"): 0o700,
        Path("between/home/kind"): 0o600,
        Path("between/home/lock"): 0o600,
        Path("between/home/secret_key"): 0o600,
    }
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o750


def test_creating_again_changes_nothing(demo: Home) -> None:
    key = demo.secret_key()
    (demo.kept_content / "object").write_bytes(b"circle")
    demo.create("demo")
    assert demo.kind() is HomeKind.DEMO
    assert (demo.secret_key(), (demo.kept_content / "object").read_bytes()) == (key, b"circle")


@pytest.mark.parametrize(("made", "opened"), [("demo", "desk"), ("desk", "demo")])
def test_a_folder_is_never_opened_as_the_other_kind(tmp_path: Path, made: str, opened: str) -> None:
    home = home_at(tmp_path / "home")
    home.create(made)
    for attempt in (home.open, home.create):
        with pytest.raises(HomeError, match=rf"folder of a {made}, not of a {opened}") as caught:
            attempt(opened)
        assert "\n" not in str(caught.value)
    home.open(made)


def test_opening_before_creating_says_which_command_makes_it(tmp_path: Path) -> None:
    home = home_at(tmp_path / "home")
    with pytest.raises(HomeError, match="havenline up"):
        home.open("desk")
    with pytest.raises(HomeError, match="havenline demo"):
        home.open("demo")
    with pytest.raises(HomeError, match="make it first"):
        home.secret_key()


def test_a_folder_of_somebody_elses_files_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("mine")
    tmp_path.chmod(0o755)
    with pytest.raises(HomeError, match=r"other files \(letters.txt\)"):
        home_at(tmp_path).create("desk")
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_an_empty_folder_of_this_user_is_taken_and_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    home_at(tmp_path).create("desk")
    assert stat.S_IMODE(tmp_path.stat().st_mode) & 0o066 == 0


def test_a_folder_that_others_can_write_is_not_opened(demo: Home) -> None:
    demo.path.chmod(0o733)
    with pytest.raises(HomeError, match=r"others can write .*0733"):
        demo.open("demo")


def test_a_folder_of_another_user_is_not_opened(demo: Home) -> None:
    with pytest.raises(HomeError, match=r"belongs to .*run Havenline as that user"):
        Home(demo.path, demo.uid + 1).open("demo")


def test_a_damaged_kind_is_reported(demo: Home) -> None:
    demo.kind_file.write_text("toy")
    with pytest.raises(HomeError, match="put demo or desk in it"):
        demo.open("demo")


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeError, match="set HAVENLINE_HOME"):
        home_at(tmp_path / "file" / "home").create("desk")


def test_passwords_are_written_for_a_demonstration_alone(tmp_path: Path, demo: Home) -> None:
    assert demo.passwords_file.parent == demo.path
    desk = home_at(tmp_path / "desk")
    desk.create("desk")
    with pytest.raises(HomeError, match="passwords are never written down"):
        _ = desk.passwords_file


def test_each_secret_key_is_long_and_its_own(tmp_path: Path) -> None:
    keys = set()
    for number in range(3):
        home = home_at(tmp_path / str(number))
        home.create("desk")
        keys.add(home.secret_key())
    assert len(keys) == 3
    assert min(map(len, keys)) >= 50


@pytest.mark.parametrize(("content", "mode"), [("short", 0o600), ("x" * 64, 0o644)])
def test_a_weak_or_open_secret_key_is_refused(demo: Home, content: str, mode: int) -> None:
    demo.secret_key_file.write_text(content)
    demo.secret_key_file.chmod(mode)
    with pytest.raises(HomeError, match="closed to others"):
        demo.secret_key()


def test_several_makers_at_once_agree(tmp_path: Path) -> None:
    home, keys, failures = home_at(tmp_path / "home"), set(), []

    def make() -> None:
        try:
            home.create("desk")
            keys.add(home.secret_key())
        except HomeError as error:
            failures.append(error)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(keys) == 1
