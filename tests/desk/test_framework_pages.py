"""Importing a scheme and deriving under one more, on pages: every faulty line is named, and nothing typed is lost."""

from __future__ import annotations

import datetime as dt

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from havenline_desk.models import AuditAct, AuditEntry, ConfiguredFramework, Derivation, ImportedFramework, Person, Plan

from . import factories as make

pytestmark = pytest.mark.django_db
SCHEME = """question,text,kind,code,label
tone,Which tone?,fact,dark,Dark
tone,,,light,Light
"""
HEAD = {"format": "csv", "id": "tones", "version": "1", "effective": "2026-01-01"}


@pytest.fixture
def people() -> dict[str, Person]:
    return make.world(at=timezone.now() - 2 * make.DAY, plan=Plan.SINGLE, stacks=2)


def test_a_scheme_is_imported_from_a_file_and_from_what_was_pasted(people: dict[str, Person]) -> None:
    lead = make.client_of(people["lead"])
    file = SimpleUploadedFile("tones.csv", SCHEME.encode())
    answer = lead.post("/frameworks/import", HEAD | {"format": "", "file": file})
    assert (answer.status_code, answer["Location"]) == (302, "/frameworks/tones/1")
    assert lead.post("/frameworks/import", HEAD | {"version": "2", "text": SCHEME}).status_code == 302
    assert [row.version for row in ImportedFramework.objects.order_by("pk")] == ["1", "2"]
    assert AuditEntry.objects.filter(act=AuditAct.FRAMEWORK_IMPORTED).count() == 2
    again = lead.post("/frameworks/import", HEAD | {"text": SCHEME})
    assert "is there already and was not changed" in again.content.decode()
    assert ImportedFramework.objects.count() == 2


def test_every_faulty_line_is_named_beside_the_text_and_the_text_stays(people: dict[str, Person]) -> None:
    lead = make.client_of(people["lead"])
    faulty = SCHEME + "Tone,Which?,fact,x,X\ntone,,,dark,Dark\n"
    answer = lead.post("/frameworks/import", HEAD | {"text": "", "file": SimpleUploadedFile("t.csv", faulty.encode())})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert 'aria-describedby="problem-text faults"' in page
    assert "Line 4:" in page
    assert "Line 5:" in page
    assert "Tone,Which?,fact,x,X" in page, "what was in the file is there to be corrected"
    assert 'value="tones"' in page
    assert not ImportedFramework.objects.exists()


@pytest.mark.parametrize(
    ("sent", "field", "said"),
    [
        ({"format": "pdf", "text": SCHEME}, "format", "Choose what the file is"),
        ({"text": " "}, "text", "Choose a file"),
        ({"text": SCHEME, "id": ""}, "id", "does not say what it is"),
        ({"text": SCHEME, "effective": "soon"}, "effective", "A day, as"),
        ({"text": "{", "format": "json"}, "text", "JSON: line 1: not JSON"),
        ({"text": "[]", "format": "json"}, "text", "one object"),
        ({"text": "a = ", "format": "toml"}, "text", "not TOML"),
        ({"text": "a\x00b"}, "text", "Choose a file"),
    ],
)
def test_what_cannot_be_imported_is_said_at_its_field(
    people: dict[str, Person], sent: dict[str, str], field: str, said: str
) -> None:
    answer = make.client_of(people["lead"]).post("/frameworks/import", HEAD | sent)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert said in page.split(f'id="problem-{field}"')[1].split("</div>")[0]
    assert not ImportedFramework.objects.exists()


@pytest.mark.parametrize(
    ("content", "said"), [(b"ok\n\xff", "Line 2 is not UTF-8"), (b"a" * ((1 << 20) + 1), "Larger than 1 MiB")]
)
def test_a_file_that_cannot_be_read_is_refused(people: dict[str, Person], content: bytes, said: str) -> None:
    file = SimpleUploadedFile("tones.csv", content)
    answer = make.client_of(people["lead"]).post("/frameworks/import", HEAD | {"file": file})
    assert answer.status_code == 422
    assert said in answer.content.decode()


def test_an_investigation_derives_under_one_more_at_once(people: dict[str, Person]) -> None:
    make.assess(people["analyst-one"], make.TRIANGLE, at=timezone.now() - dt.timedelta(hours=1))
    lead, address = make.client_of(people["lead"]), "/investigations/HL-1/law"
    assert 'value="demo.colours 1"' in lead.get(address).content.decode()
    wrong = lead.post(f"{address}/add", {"framework": "demo.shapes 1"})
    assert wrong.status_code == 422
    assert "Choose the framework" in wrong.content.decode()
    assert lead.post(f"{address}/add", {"framework": "demo.colours 1"}).status_code == 302
    assert ConfiguredFramework.objects.get().framework == "demo.colours"
    assert Derivation.objects.filter(run__framework="demo.colours").exists()
    assert 'value="demo.colours 1"' not in lead.get(address).content.decode()
    for name in ("senior", "auditor"):
        other = make.client_of(people[name])
        assert "Derive under one more" not in other.get(address).content.decode()
        assert other.post(f"{address}/add", {"framework": "demo.colours 1"}).status_code == 403
        assert other.post("/frameworks/import", HEAD | {"text": SCHEME}).status_code == 403
        assert "Import a version" not in other.get("/frameworks").content.decode()
