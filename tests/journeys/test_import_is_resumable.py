"""An import killed at ten random moments and resumed leaves the records of an undisturbed one, and so does a repeat."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from havenline import testing
from havenline_desk.sites.cluster import OWNER_ROLE, Cluster

DRIVER = Path(__file__).with_name("import_driver.py")
SEED = int(os.environ.get("HAVENLINE_TEST_SEED", "20231"))

NATURAL_KEYS = {
    "files": "SELECT sha256, sha1, md5, size, media_type, width, height, refusal, refusal_detail FROM desk_file",
    "hashes": "SELECT sha256, pipeline, pdq, quality FROM desk_perceptualhash JOIN desk_file f ON f.id = file_id",
    "kept": "SELECT sha256 FROM desk_storedcontent JOIN desk_file f ON f.id = file_id",
    "items": """SELECT collection, path, sha256, kind, state, posted_at,
                (SELECT array_agg(r.reference ORDER BY 1) FROM desk_item_reports ir JOIN desk_report r
                  ON r.id = ir.report_id WHERE ir.item_id = i.id),
                (SELECT array_agg(l.url ORDER BY 1) FROM desk_item_locations il JOIN desk_location l
                  ON l.id = il.location_id WHERE il.item_id = i.id)
                FROM desk_item i LEFT JOIN desk_file f ON f.id = file_id""",
    "locations": "SELECT url, service, host, country FROM desk_location",
    "selections": "SELECT path, rule, viewed_by_person FROM desk_selection JOIN desk_item i ON i.id = item_id",
    "problems": "SELECT path, reason, detail FROM desk_importproblem",
    "members": """SELECT rep.sha256, v.number, m.sha256, place, why, distance, pipeline FROM desk_stackmember
                JOIN desk_file m ON m.id = file_id JOIN desk_stackrevision v ON v.id = revision_id
                JOIN desk_stack s ON s.id = v.stack_id JOIN desk_file rep ON rep.id = s.representative_id""",
    "assignments": """SELECT rep.sha256, v.number, step, person_id FROM desk_assignment
                JOIN desk_stackrevision v ON v.id = revision_id
                JOIN desk_stack s ON s.id = v.stack_id JOIN desk_file rep ON rep.id = s.representative_id""",
    "imports": "SELECT collection, finished_at IS NOT NULL FROM desk_import",
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    testing.draw_collection(folder, seed=7, originals=30, workers=2)
    with (folder / "manifest.csv").open("a") as manifest:
        manifest.write("a-link,https://forum.example/7,forum.example,,,,link,no\n")
        manifest.write("not/there.jpg,,,,,,picture,no\n")
    return folder


class World:
    """One database and one data folder; `run` starts the import there."""

    def __init__(self, cluster: Cluster, name: str, home: Path) -> None:
        cluster.create_database(name)
        self.conninfo = make_conninfo(**cluster.connection(role=OWNER_ROLE, database=name))
        self.home = home
        home.mkdir()

    def start(self, drawn: Path) -> subprocess.Popen[str]:
        environ = os.environ | {"HAVENLINE_DATABASE_URL": self.conninfo, "HAVENLINE_HOME": str(self.home)}
        child = subprocess.Popen(
            [sys.executable, DRIVER, drawn, "HL-1"], env=environ, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        return child

    def finish(self, drawn: Path) -> float:
        child = self.start(drawn)
        begun = time.monotonic()
        out, _ = child.communicate(timeout=120)
        assert (child.returncode, out) == (0, "done\n")
        return time.monotonic() - begun

    def dump(self) -> dict[str, list[str]]:
        with psycopg.connect(self.conninfo) as connection:
            return {name: sorted(map(repr, connection.execute(query))) for name, query in NATURAL_KEYS.items()}

    def objects(self) -> int:
        return len(list((self.home / "content").iterdir()))


@pytest.fixture(scope="module")
def worlds(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[World]]:
    root = tmp_path_factory.mktemp("worlds")
    names = ["undisturbed", "killed_one", "killed_two"]
    yield [World(cluster, name, root / name) for name in names]
    for name in names:
        cluster.drop_database(name)


def test_ten_kills_and_a_repeat_change_nothing(worlds: list[World], drawn: Path) -> None:
    undisturbed, *killed = worlds
    whole = undisturbed.finish(drawn)
    expected = undisturbed.dump()
    assert len(expected["files"]) > 100
    assert expected["imports"] == ["('drawn', True)"]
    assert {row.split("'")[1] for row in expected["problems"] if "manifest_no_file" in row} == {"not/there.jpg"}

    draw = random.Random(SEED)
    print(f"seed {SEED}, undisturbed {whole:.1f} s")
    for world in killed:
        for _ in range(5):
            child = world.start(drawn)
            time.sleep(draw.uniform(0, whole))
            child.kill()
            child.communicate()
        world.finish(drawn)
        assert world.dump() == expected
        assert world.objects() == undisturbed.objects() == len(expected["kept"]), "bytes that no row names are swept"

    undisturbed.finish(drawn)
    assert undisturbed.dump() == expected, "importing the same collection again changes nothing"
