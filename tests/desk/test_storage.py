"""A desk keeps content only where two people declared why, and enough separated people and processes are there."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from pytest_django import Settings

from havenline_desk import evidence, gates
from havenline_desk.actions.declare_policy import PolicyRefused, declare_house, declare_policy, stop_storage
from havenline_desk.evidence import EvidenceError
from havenline_desk.models import House, InstallationKind, Person, Policy, Quorum, Role, StoredContent

from . import factories as make

AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
BASIS = {"legal_basis": "section and agreement, as counsel wrote"}
HOUSE = (
    ("analyst-one", Role.ANALYST),
    ("analyst-two", Role.ANALYST),
    ("lead", Role.LEAD),
    ("auditor", Role.AUDITOR),
    ("welfare", Role.WELFARE),
)

pytestmark = pytest.mark.django_db


def staffed(count: int, *, house: House = House.SIX) -> dict[str, Person]:
    declare_policy(InstallationKind.DESK, at=AT)
    declare_house(house, at=AT)
    return {name: make.make_person(name, role, at=AT) for name, role in HOUSE[:count]}


@pytest.mark.parametrize("count", range(6))
def test_with_fewer_separated_people_a_desk_keeps_hashes_only(
    count: int, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    staffed(count)
    settings.DECODERD, settings.AUDIT_FOLDER = "/run/decoderd", str(tmp_path_factory.mktemp("elsewhere"))
    missing = evidence.storage_missing(at=AT)
    assert "a key process (HAVENLINE_KEYD)" in missing
    people = [line for line in missing if "analysts" in line or "role" in line]
    wanted = [
        *(["two analysts with a certificate in date"] if count < 2 else []),
        *(["somebody with the role investigation lead"] if count < 3 else []),
        *(["somebody with the role auditor"] if count < 4 else []),
        *(["somebody with the role welfare lead"] if count < 5 else []),
    ]
    assert people == wanted
    assert not evidence.storage_declared(at=AT)


def test_nothing_but_an_agreement_turns_storage_on_and_one_person_turns_it_off(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = staffed(5)
    with pytest.raises(PolicyRefused, match="two people"):
        declare_policy(InstallationKind.DESK, content_legal_basis="because", at=AT)
    with pytest.raises(PolicyRefused, match="missing: a key process"):
        make.agree(gates.Act.DECLARE_STORAGE, BASIS, first=people["lead"], second=people["auditor"], at=AT)
    monkeypatch.setattr(evidence, "storage_missing", lambda *, at: ())
    with pytest.raises(gates.Denied):
        make.agree(gates.Act.DECLARE_STORAGE, BASIS, first=people["lead"], second=people["welfare"], at=AT)
    make.agree(gates.Act.DECLARE_STORAGE, BASIS, first=people["lead"], second=people["auditor"], at=AT)
    assert evidence.storage_declared(at=AT)
    assert Quorum.objects.count() >= 1
    with pytest.raises(gates.Denied):
        stop_storage(by=people["analyst-one"], at=AT)
    stop_storage(by=people["welfare"], at=AT)
    assert not evidence.storage_declared(at=AT)
    with pytest.raises(PolicyRefused, match="nothing to stop"):
        stop_storage(by=people["welfare"], at=AT)


def test_what_goes_missing_later_turns_storage_off_by_itself(settings: Settings) -> None:
    staffed(5)
    Policy.objects.create(kind=InstallationKind.DESK, content_legal_basis="once declared", declared_at=AT)
    assert not evidence.storage_declared(at=AT), "the processes are not there"
    with pytest.raises(EvidenceError, match="content storage is off"):
        evidence.keep({}, at=AT)
    assert not StoredContent.objects.exists()


@pytest.mark.parametrize(("inside", "house"), [(True, House.SIX), (False, House.ONE)])
def test_checkpoints_in_the_data_folder_and_a_house_of_one_are_not_enough(
    inside: bool, house: House, settings: Settings, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    staffed(5, house=house)
    settings.DECODERD = "/run/decoderd"
    settings.AUDIT_FOLDER = str(home / "audit") if inside else str(tmp_path_factory.mktemp("elsewhere"))
    missing = " ".join(evidence.storage_missing(at=AT))
    assert ("outside the data folder" in missing) is inside
    assert ("more than one person" in missing) is (house is House.ONE)
