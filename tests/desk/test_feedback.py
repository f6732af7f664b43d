"""What our people decided about a partner's entry goes back: where it is on, what is settled, until it is there."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from havenline.connectors.ncmec.simulator import NcmecSimulator, Shared
from havenline.connectors.simulator import Given
from havenline.connectors.stopncii.simulator import StopNciiSimulator
from havenline.connectors.threatexchange.simulator import ThreatExchangeSimulator
from havenline_desk.actions.keep_feedback import FeedbackRefused, retry_feedback, stop_feedback, switch_feedback
from havenline_desk.actions.record_deconfliction import record_deconfliction
from havenline_desk.actions.send_feedback import MOST_TRIES
from havenline_desk.agreement import What
from havenline_desk.gates import Act, Denied
from havenline_desk.models import (
    AuditEntry,
    DeconflictionAnswer,
    FeedbackOpinion,
    FeedbackSwitch,
    FeedbackTry,
    File,
    Match,
    Outcome,
    Person,
)

from . import factories as make
from .feedback_rig import AT, MINUTE, Partner, acts, cleared_by_police, steps, views

pytestmark = pytest.mark.django_db
SOON = AT + 20 * MINUTE
UNDECIDED = make.NO_SHAPES | {"shapes": "cannot_determine"}


@pytest.fixture
def people() -> dict[str, Person]:
    return make.world(at=AT, stacks=2)


@pytest.fixture
def threats() -> Iterator[tuple[ThreatExchangeSimulator, str]]:
    simulator = ThreatExchangeSimulator(seconds=lambda: int(AT.timestamp()))
    with simulator.serving() as base:
        yield simulator, base


@pytest.fixture
def threat(home: Path, people: dict[str, Person], threats: tuple[ThreatExchangeSimulator, str]) -> Partner:
    """ThreatExchange with the first file of ours by its MD5, and near it by nothing."""
    simulator, base = threats
    simulator.put("1", File.objects.order_by("pk")[0].md5, kind="HASH_MD5")
    made = Partner(
        home,
        base,
        connector="threatexchange",
        secrets={"access_token": simulator.token},
        settings={"privacy_group": simulator.group},
    )
    made.fetch(at=AT)
    made.match(at=AT)
    return made


def on(people: dict[str, Person], name: str = "threatexchange", against: str = "NON_MALICIOUS") -> None:
    switch_feedback(name, against=[against], by=people["liaison"], at=AT)


def correct(people: dict[str, Person], outcome: Outcome, facts: dict[str, str], *, at: dt.datetime) -> None:
    what: What = {"outcome": outcome.audit_id.hex, "facts": json.dumps(facts), "reason": "reviewed"}
    make.agree(Act.CORRECT_OUTCOME, what, first=people["senior"], second=people["adjudicator"], at=at)


def test_a_confirmed_outcome_of_the_very_bytes_is_told_where_the_source_is_on(
    people: dict[str, Person], threat: Partner, threats: tuple[ThreatExchangeSimulator, str]
) -> None:
    on(people)
    make.assess(people["analyst-one"], make.TEXTURED, at=AT + MINUTE)
    assert (views(), threat.send(at=SOON)) == ([], 0)  # one of two has assessed: nothing is settled
    make.assess(people["analyst-two"], make.TEXTURED, at=AT + 3 * MINUTE)
    assert views() == ["for"]
    assert acts("outcome_settled", "feedback_proposed") == ["outcome_settled", "feedback_proposed"]
    assert threat.send(at=SOON) == 0  # the police were not heard
    cleared_by_police(people, at=SOON)
    assert threat.send(at=SOON) == 1
    assert threats[0].reactions == [("d1", "HELPFUL")]
    assert (steps(), acts("feedback_sent")) == (["begun", "sent"], ["feedback_sent"])
    assert threat.send(at=SOON + MINUTE) == 0
    assert "HELPFUL" not in str(list(AuditEntry.objects.values_list("purpose", flat=True)))


def test_nothing_is_sent_while_it_is_off_and_what_was_settled_before_goes_when_it_is_on(
    people: dict[str, Person], threat: Partner, threats: tuple[ThreatExchangeSimulator, str]
) -> None:
    make.settle(people, make.NO_SHAPES, at=AT + MINUTE)
    asked = len(threats[0].asked)
    assert (views(), threat.send(at=SOON)) == ([], 0)
    on(people)
    assert views() == ["against"]
    stop_feedback("threatexchange", by=people["lead"], at=SOON)
    assert threat.send(at=SOON) == 0
    assert (len(threats[0].asked), steps()) == (asked, [])
    on(people)
    assert (views(), threat.send(at=SOON)) == (["against"], 1)
    assert threats[0].reactions == [("d1", "NON_MALICIOUS")]
    with pytest.raises(FeedbackRefused, match="already"):
        stop_feedback("other", by=people["lead"], at=SOON)


def test_a_corrected_outcome_changes_what_the_partner_was_told_and_takes_it_back(
    people: dict[str, Person], threat: Partner, threats: tuple[ThreatExchangeSimulator, str]
) -> None:
    on(people)
    make.settle(people, make.NO_SHAPES, at=AT + MINUTE)
    threat.send(at=SOON)
    cleared_by_police(people, at=SOON)
    correct(people, Outcome.objects.get(), make.TEXTURED, at=SOON)
    assert (views(), threat.send(at=SOON + MINUTE)) == (["against", "for"], 1)
    assert threats[0].reactions == [("d1", "HELPFUL")]
    correct(people, Outcome.objects.get(correction=None), UNDECIDED, at=SOON + 2 * MINUTE)
    assert (views()[-1], threat.send(at=SOON + 3 * MINUTE)) == ("none", 1)
    assert threats[0].reactions == []


def test_a_near_match_says_nothing_of_the_partners_own_file(
    people: dict[str, Person], threat: Partner, threats: tuple[ThreatExchangeSimulator, str]
) -> None:
    Match.objects.update(kind="pdq", distance=0)
    on(people)
    make.settle(people, make.TEXTURED, at=AT + MINUTE)
    cleared_by_police(people, at=SOON)
    assert (views(), threat.send(at=SOON)) == ([], 0)


def test_while_the_police_ask_to_hold_nothing_goes(
    people: dict[str, Person], threat: Partner, threats: tuple[ThreatExchangeSimulator, str]
) -> None:
    on(people)
    make.settle(people, make.NO_SHAPES, at=AT + MINUTE)
    investigation = make.investigation()
    record_deconfliction(
        investigation, DeconflictionAnswer.HOLD, reference="police 1", person=people["lead"], at=AT + 5 * MINUTE
    )
    assert threat.send(at=SOON) == 0
    cleared_by_police(people, at=SOON)
    assert threat.send(at=SOON) == 1


@pytest.mark.parametrize("name", ["analyst-one", "senior", "adjudicator", "lead", "admin", "auditor", "welfare"])
def test_nobody_but_the_liaison_switches_it_on_sends_or_retries(
    people: dict[str, Person], threat: Partner, threats: tuple[ThreatExchangeSimulator, str], name: str
) -> None:
    with pytest.raises(Denied):
        switch_feedback("threatexchange", against=["NON_MALICIOUS"], by=people[name], at=AT)
    assert not FeedbackSwitch.objects.exists()
    on(people)
    make.settle(people, make.NO_SHAPES, at=AT + MINUTE)
    asked = len(threats[0].asked)
    with pytest.raises(Denied):
        threat.send(by=people[name], at=SOON)
    with pytest.raises(Denied):
        retry_feedback(FeedbackOpinion.objects.get(), by=people[name], at=SOON)
    assert (len(threats[0].asked), threats[0].reactions, steps()) == (asked, [], [])


def test_a_partner_without_a_place_for_opinions_and_a_missing_reason_are_refused(
    home: Path, people: dict[str, Person], threat: Partner
) -> None:
    Partner(home, "https://hma.example", connector="hma", secrets={}, settings={"bank": "A"})
    with pytest.raises(FeedbackRefused, match="has no place for an opinion"):
        switch_feedback("hma", against=["any"], by=people["liaison"], at=AT)
    with pytest.raises(FeedbackRefused, match="name the partner's reasons"):
        switch_feedback("threatexchange", against=[" "], by=people["liaison"], at=AT)
    assert not FeedbackSwitch.objects.exists()


def test_it_is_tried_again_ever_later_as_the_partner_asks_and_then_given_up_and_a_person_tries_again(
    people: dict[str, Person], threat: Partner, threats: tuple[ThreatExchangeSimulator, str]
) -> None:
    simulator, at = threats[0], SOON
    on(people)
    make.settle(people, make.NO_SHAPES, at=AT + MINUTE)
    simulator.faults.instead.append(Given(status=429, headers={"Retry-After": "600"}))
    assert threat.send(at=at) == 0
    asked = len(simulator.asked)
    assert (threat.send(at=at + 9 * MINUTE), len(simulator.asked)) == (0, asked)
    at += 10 * MINUTE
    for tries in range(2, MOST_TRIES + 1):
        simulator.faults.instead.append(Given(status=500))
        assert (threat.send(at=at), len(simulator.asked)) == (0, asked)
        last = FeedbackTry.objects.order_by("-pk")[0]
        assert last.step == ("dead" if tries == MOST_TRIES else "failed")
        if last.next_at is not None:
            assert min(last.at + 2 ** (tries - 1) * MINUTE, last.at + dt.timedelta(hours=12)) == last.next_at
            at = last.next_at
    assert acts("feedback_given_up") == ["feedback_given_up"]
    at += dt.timedelta(days=9)
    assert threat.send(at=at) == 0
    retry_feedback(FeedbackOpinion.objects.get(), by=people["liaison"], at=at)
    assert (threat.send(at=at), simulator.reactions) == (1, [("d1", "NON_MALICIOUS")])
    with pytest.raises(FeedbackRefused, match="not given up"):
        retry_feedback(FeedbackOpinion.objects.get(), by=people["liaison"], at=at)


def test_killed_between_sending_and_writing_it_down_it_sends_again_without_harm(
    people: dict[str, Person],
    threat: Partner,
    threats: tuple[ThreatExchangeSimulator, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on(people)
    make.settle(people, make.NO_SHAPES, at=AT + MINUTE)
    threats[0].faults.instead.extend([None, None])
    with monkeypatch.context() as patch:
        patch.setattr("havenline_desk.actions.send_feedback.audit.append", _killed)
        with pytest.raises(KeyboardInterrupt):
            threat.send(at=SOON)
    assert (threats[0].reactions, steps()) == ([("d1", "NON_MALICIOUS")], ["begun"])
    assert threat.send(at=SOON) == 1
    assert (threats[0].reactions, steps()) == ([("d1", "NON_MALICIOUS")], ["begun", "begun", "sent"])


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_an_entry_that_the_partner_withdrew_or_changed_is_not_spoken_of(
    people: dict[str, Person], threat: Partner, threats: tuple[ThreatExchangeSimulator, str]
) -> None:
    on(people)
    make.settle(people, make.NO_SHAPES, at=AT + MINUTE)
    threats[0].put("1", "0123456789abcdef" * 2, kind="HASH_MD5")
    threat.fetch(at=SOON)
    assert (threat.send(at=SOON), steps(), threats[0].reactions) == (0, ["moot"], [])


def test_no_secret_and_no_hash_is_logged_or_kept_of_what_failed(
    people: dict[str, Person],
    threat: Partner,
    threats: tuple[ThreatExchangeSimulator, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    on(people)
    make.settle(people, make.NO_SHAPES, at=AT + MINUTE)
    threats[0].token = "123456789|another-secret-of-the-partner"
    with caplog.at_level(logging.DEBUG):
        assert threat.send(at=SOON) == 0
    kept = caplog.text + str(list(FeedbackTry.objects.values_list("why", flat=True)))
    assert "not-a-secret" not in kept
    assert File.objects.order_by("pk")[0].md5 not in kept
    assert FeedbackTry.objects.filter(step="failed").get().why == "POST /d1: answered with status 400"


@pytest.fixture
def ncmecs() -> Iterator[tuple[NcmecSimulator, str]]:
    simulator = NcmecSimulator(clock=lambda: AT)
    with simulator.serving() as base:
        yield simulator, base


def test_ncmec_is_told_by_each_fingerprint_and_takes_nothing_back(
    home: Path, people: dict[str, Person], ncmecs: tuple[NcmecSimulator, str]
) -> None:
    simulator, base = ncmecs
    file = File.objects.order_by("pk")[0]
    simulator.put(Shared("9", "e1", int(AT.timestamp()) - 60, {"md5": file.md5}))
    secrets = {"user": simulator.user, "password": simulator.password}
    partner = Partner(home, base, connector="ncmec", secrets=secrets)
    partner.fetch(at=AT)
    partner.match(at=AT)
    on(people, "ncmec", "g-1")
    make.settle(people, make.NO_SHAPES, at=AT + MINUTE)
    assert partner.send(at=SOON) == 1
    ((path, body),) = simulator.feedback
    assert path == "/v2/entries/9/e1/MD5/feedback"
    assert b"<guid>g-1</guid>" in body
    cleared_by_police(people, at=SOON)
    correct(people, Outcome.objects.get(), make.TEXTURED, at=SOON)
    assert partner.send(at=SOON) == 1
    assert b"<affirmative/>" in simulator.feedback[-1][1]
    correct(people, Outcome.objects.get(correction=None), UNDECIDED, at=SOON)
    assert (partner.send(at=SOON), len(simulator.feedback), steps()[-1]) == (0, 2, "dead")
    assert "takes no vote back" in FeedbackTry.objects.order_by("-pk")[0].why


def test_ncii_goes_back_to_stopncii_alone_and_an_outcome_of_child_abuse_says_nothing_of_it(
    home: Path, people: dict[str, Person]
) -> None:
    simulator = StopNciiSimulator(seconds=lambda: int(AT.timestamp()))
    file = File.objects.order_by("pk")[0]
    secrets = {
        "fetch_key": simulator.fetch_key,
        "subscription_key": simulator.subscription_key,
        "feedback_key": simulator.feedback_key,
    }
    with simulator.serving() as base:
        simulator.put(file.md5, signal="VideoMD5")
        partner = Partner(home, base, connector="stopncii", secrets=secrets, list_name="ncii.stopncii")
        partner.fetch(at=AT)
        partner.match(at=AT)
        assert Match.objects.filter(edition__list_name="ncii.stopncii", kind="md5").exists()
        on(people, "stopncii", "adult")
        make.settle(people, make.NO_SHAPES, at=AT + MINUTE)
        assert (views(), partner.send(at=SOON), simulator.feedback) == ([], 0, [])
