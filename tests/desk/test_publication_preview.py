"""A proposed publication is looked at before anybody agrees: by those it concerns, and byte for byte."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import pytest
from django.test import override_settings
from django.utils import timezone

from havenline.figures.cube import Imprint
from havenline.figures.publication import cube_for, keep_copy, write_publication
from havenline.figures.synthetic import synthetic_snapshot
from havenline_desk.actions.propose import propose
from havenline_desk.gates import Act
from havenline_desk.queries.publications import publications_folder

from . import factories as make

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    snapshot = synthetic_snapshot(tmp_path_factory.mktemp("s") / "s", assessments=2_000, seed=3)
    folder = tmp_path_factory.mktemp("p") / "p"
    return folder, write_publication(folder, cube_for(snapshot, None, imprint=Imprint("HL-2026-7", "Drawn", "Hotline")))


def test_those_it_concerns_see_every_file_as_it_would_be_public(published: tuple[Path, str], tmp_path: Path) -> None:
    folder, digest = published
    at = timezone.now()
    people = make.world(at=at - dt.timedelta(days=1))
    what = {"investigation": make.investigation().audit_id.hex, "reference": "HL-2026-7", "title": "Drawn"}
    proposal = propose(
        Act.PUBLISH_FIGURES,
        {**what, "period": "2025-01-01 to 2025-12-31", "digest": digest},
        person=people["lead"],
        at=at,
    )
    looked = f"/proposals/{proposal.audit_id.hex}/publication"
    with override_settings(HOME=tmp_path):
        lead, auditor = make.client_of(people["lead"]), make.client_of(people["auditor"])
        assert "manifest.json" in lead.get(looked).content.decode(), "the page says what is missing"
        assert lead.get(looked).status_code == 409
        keep_copy(folder, publications_folder() / digest)
        assert looked in auditor.get("/proposals").content.decode()
        page = auditor.get(looked)
        assert (page.status_code, digest in page.content.decode()) == (200, True)
        names = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
        assert len(names) > 40
        for name in names:
            assert f"{looked}/{name}" in page.content.decode() or name == "manifest.json"
            shown = auditor.get(f"{looked}/{name}")
            assert shown.content == (folder / name).read_bytes(), name
            policy = shown.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "script-src" not in policy
            assert "http" not in policy
        assert auditor.get(f"{looked}/../../audit/journal").status_code == 404
        assert auditor.get(f"{looked}/nothing.csv").status_code == 404
        for name in ("liaison", "welfare", "admin"):
            assert make.client_of(people[name]).get(looked).status_code == 404, name
            assert make.client_of(people[name]).get(f"{looked}/index.html").status_code == 404, name
        assert make.client_of(people["analyst-one"]).get(looked).status_code == 403


def test_what_was_altered_after_the_proposal_is_not_shown(published: tuple[Path, str], tmp_path: Path) -> None:
    folder, digest = published
    at = timezone.now()
    people = make.world(at=at - dt.timedelta(days=1))
    what = {"investigation": make.investigation().audit_id.hex, "reference": "HL-2026-7", "title": "Drawn"}
    proposal = propose(Act.PUBLISH_FIGURES, {**what, "period": "2025", "digest": digest}, person=people["lead"], at=at)
    looked = f"/proposals/{proposal.audit_id.hex}/publication"
    with override_settings(HOME=tmp_path):
        kept = publications_folder() / digest
        keep_copy(folder, kept)
        keep_copy(tmp_path / "nothing", kept)
        senior = make.client_of(people["senior"])
        (kept / "tables" / "laws.csv").write_bytes(b"altered")
        assert senior.get(f"{looked}/tables/laws.csv").status_code == 404
        assert "Some files are not those that were proposed" in senior.get(looked).content.decode()
        assert f"{looked}/tables/laws.csv" not in senior.get(looked).content.decode()
        (kept / "manifest.json").write_bytes(b"{}")
        assert senior.get(looked).status_code == 409
        assert senior.get(f"{looked}/index.html").status_code == 404
        shutil.rmtree(kept)
        assert senior.get(f"{looked}/index.html").status_code == 404
    assert make.client_of(people["lead"]).get("/proposals/nothing/publication").status_code == 404
