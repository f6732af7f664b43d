"""The way in of a real desk: enrolment, passkeys, codes, recovery, throttle, sessions, and what is logged of each."""

from __future__ import annotations

import datetime as dt
import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from fido2.utils import websafe_encode
from pytest_django import Settings

from havenline_desk import factors
from havenline_desk.actions import enrol_person as enrolling
from havenline_desk.actions.count_try import WINDOW, Throttled, count_try
from havenline_desk.actions.declare_policy import declare_policy
from havenline_desk.actions.propose import propose
from havenline_desk.agreement import ProposalRefused
from havenline_desk.gates import Act, Denied
from havenline_desk.models import (
    AuditAct,
    AuditEntry,
    Ending,
    Enrolment,
    FactorReset,
    FactorResetEnd,
    InstallationKind,
    Passkey,
    Person,
    Policy,
    Quorum,
    RecoveryCode,
    Role,
    Session,
    Throttle,
    Way,
)

from . import factories
from .authenticator import PRESENT, Authenticator

pytestmark = pytest.mark.django_db

SECRET = "one time and never again"
WEEK, DAY, HOUR = dt.timedelta(days=7), dt.timedelta(days=1), dt.timedelta(hours=1)
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture(autouse=True)
def desk(settings: Settings) -> None:
    settings.ORIGIN = "https://testserver"
    declare_policy(InstallationKind.DESK, at=timezone.now())


@pytest.fixture
def lead() -> Person:
    at = timezone.now()
    return enrolling.enrol_person("lead", password=SECRET, roles=(Role.LEAD,), secret_until=at + WEEK, at=at)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[dt.timedelta], None]:
    """Call it to let time pass for the desk."""
    real, passed = timezone.now, [dt.timedelta(0)]
    monkeypatch.setattr(timezone, "now", lambda: real() + passed[0])

    def later(by: dt.timedelta) -> None:
        passed[0] += by

    return later


def acts() -> list[str]:
    return list(AuditEntry.objects.order_by("seq").values_list("act", flat=True))


def last(act: AuditAct) -> AuditEntry:
    entry = AuditEntry.objects.filter(act=act.value).order_by("seq").last()
    assert entry is not None, f"{act} was not logged"
    return entry


def by_password(client: Client, name: str = "lead", password: str = SECRET, **more: str) -> HttpResponse:
    return client.post("/sign-in", {"name": name, "password": password}, **more)


def enrolled(client: Client, key: Authenticator, name: str = "lead") -> list[str]:
    """Sign in for the first time and set `key` up; returns the recovery codes."""
    assert by_password(client, name).headers["Location"] == "/sign-in/set-up"
    options = client.post("/sign-in/set-up/options").json()
    answer = client.post("/sign-in/set-up", {"answer": key.create(options), "label": "blue  key"})
    assert answer.status_code == 200, answer.content.decode()
    return re.findall(r'<code dir="ltr">([a-z2-7-]{19})</code>', answer.content.decode())


def by_passkey(client: Client, key: Authenticator, *, answer: str | None = None) -> HttpResponse:
    options = client.post("/sign-in/passkey/options").json()
    return client.post("/sign-in/passkey", {"answer": answer or key.get(options)})


def signed_in(client: Client) -> bool:
    return client.get("/own-sign-in").status_code == 200


# --- enrolment ---------------------------------------------------------------------------------------------------


def test_a_first_sign_in_opens_nothing_but_the_page_that_sets_a_passkey_up(lead: Person) -> None:
    client, key = factories.client_of(), Authenticator()
    assert by_password(client).headers["Location"] == "/sign-in/set-up"
    assert not signed_in(client)
    assert client.get("/").status_code == 302
    codes = enrolled(client, key)
    assert signed_in(client)
    assert len(set(codes)) == factors.RECOVERY_CODES
    assert Passkey.objects.get().label == "blue key"
    assert {"enrolment_made", "factor_added", "recovery_codes_made", "signed_in"} <= set(acts())
    assert "You have one passkey" in client.get("/own-sign-in").content.decode()


def test_the_one_time_secret_is_used_up_by_the_first_factor(lead: Person) -> None:
    enrolled(factories.client_of(), Authenticator())
    assert by_password(factories.client_of()).status_code == 422
    lead.refresh_from_db()
    assert not lead.has_usable_password()
    assert Enrolment.objects.get().used_at is not None


def test_the_one_time_secret_runs_out(lead: Person, clock: Callable[[dt.timedelta], None]) -> None:
    clock(WEEK)
    assert by_password(factories.client_of()).status_code == 422
    assert last(AuditAct.SIGN_IN_FAILED).purpose == "no_enrolment"
    at = timezone.now()
    enrolling.renew_enrolment(lead, password="another secret", secret_until=at + WEEK, at=at)
    assert by_password(factories.client_of(), password="another secret").headers["Location"] == "/sign-in/set-up"


def test_setting_up_waits_ten_minutes_and_no_longer(lead: Person, clock: Callable[[dt.timedelta], None]) -> None:
    client = factories.client_of()
    by_password(client)
    clock(11 * MINUTE)
    assert client.get("/sign-in/set-up").headers["Location"] == "/sign-in"
    assert client.post("/sign-in/set-up/options").status_code == 403


def test_only_somebody_who_never_had_a_factor_gets_a_new_secret(lead: Person) -> None:
    enrolled(factories.client_of(), Authenticator())
    at = timezone.now()
    with pytest.raises(enrolling.EnrolmentRefused, match="only a recovery code"):
        enrolling.renew_enrolment(lead, password="x", secret_until=at + WEEK, at=at)


@pytest.mark.parametrize(
    ("kind", "folder", "enough"),
    [
        (InstallationKind.DEMO, "demo", True),
        (InstallationKind.DEMO, "desk", False),
        (InstallationKind.DEMO, None, False),
        (InstallationKind.DESK, "demo", False),
        (InstallationKind.DESK, "desk", False),
    ],
)
def test_a_password_alone_signs_in_in_a_demonstration_and_never_on_a_desk(
    home: Path, kind: InstallationKind, folder: str | None, enough: bool
) -> None:
    Policy.objects.all().delete()
    declare_policy(kind, at=timezone.now())
    if folder is not None:
        (home / "kind").write_text(f"{folder}\n")
    enrolling.enrol_person("visitor", password=SECRET, roles=(Role.LEAD,), at=timezone.now())
    client = factories.client_of()
    answer = by_password(client, "visitor")
    assert signed_in(client) is enough
    assert answer.status_code == (302 if enough else 422)


# --- passkeys ----------------------------------------------------------------------------------------------------


def test_a_passkey_signs_in_and_counts_on(lead: Person) -> None:
    key = Authenticator()
    enrolled(factories.client_of(), key)
    client = factories.client_of()
    assert by_passkey(client, key).headers["Location"] == "/"
    assert signed_in(client)
    assert Passkey.objects.get().counter == key.counter == 1
    assert last(AuditAct.SIGNED_IN).purpose == "passkey"
    assert Session.objects.count() == 2


@pytest.mark.parametrize("origin", ["https://testserver.evil.example", "http://testserver", "https://testserver:444"])
def test_an_answer_made_for_another_origin_is_refused(lead: Person, origin: str) -> None:
    key = Authenticator()
    enrolled(factories.client_of(), key)
    key.origin = origin
    refused(by_passkey(factories.client_of(), key), why="wrong_answer")


def test_an_authenticator_that_did_not_verify_its_user_is_refused(lead: Person) -> None:
    key = Authenticator()
    client = factories.client_of()
    by_password(client)
    careless = Authenticator(flags=PRESENT)
    options = client.post("/sign-in/set-up/options").json()
    assert client.post("/sign-in/set-up", {"answer": careless.create(options)}).status_code == 422
    enrolled(client, key)
    key.flags = PRESENT
    refused(by_passkey(factories.client_of(), key), why="wrong_answer")


def test_a_challenge_serves_once(lead: Person) -> None:
    key = Authenticator()
    enrolled(factories.client_of(), key)
    client = factories.client_of()
    options = client.post("/sign-in/passkey/options").json()
    answer = key.get(options)
    assert client.post("/sign-in/passkey", {"answer": answer}).status_code == 302
    client.post("/sign-out")
    refused(client.post("/sign-in/passkey", {"answer": answer}), why="no_challenge")
    refused(by_passkey(client, key, answer=answer), why="wrong_answer")


def test_a_wrong_answer_uses_the_challenge_up_too(lead: Person) -> None:
    key = Authenticator()
    enrolled(factories.client_of(), key)
    client = factories.client_of()
    options = client.post("/sign-in/passkey/options").json()
    refused(client.post("/sign-in/passkey", {"answer": "{}"}), why="malformed")
    refused(client.post("/sign-in/passkey", {"answer": key.get(options)}), why="no_challenge")


def test_a_challenge_is_good_for_five_minutes(lead: Person, clock: Callable[[dt.timedelta], None]) -> None:
    key = Authenticator()
    enrolled(factories.client_of(), key)
    client = factories.client_of()
    options = client.post("/sign-in/passkey/options").json()
    clock(factors.CHALLENGE_FOR + dt.timedelta(seconds=1))
    refused(client.post("/sign-in/passkey", {"answer": key.get(options)}), why="no_challenge")


def test_a_challenge_made_for_registering_or_confirming_signs_nobody_in(lead: Person) -> None:
    key = Authenticator()
    client = factories.client_of()
    enrolled(client, key)
    options = client.post("/confirm/options").json()
    refused(client.post("/sign-in/passkey", {"answer": key.get(options)}), why="no_challenge")


@pytest.mark.parametrize("back", [0, 1, 5])
def test_a_copied_key_is_refused_and_named_in_the_log(lead: Person, back: int) -> None:
    key = Authenticator(counter=7)
    enrolled(factories.client_of(), key)
    assert by_passkey(factories.client_of(), key).status_code == 302
    key.counter -= back + 1
    answer = by_passkey(factories.client_of(), key)
    refused(answer, why="copied_key")
    assert "Tell the administrator" in answer.content.decode()
    assert last(AuditAct.FACTOR_REFUSED).object == Passkey.objects.get().audit_id
    assert Passkey.objects.get().counter == 8


def test_a_key_without_a_counter_is_taken_as_it_is(lead: Person) -> None:
    key = Authenticator()
    enrolled(factories.client_of(), key)
    for _ in range(2):
        key.counter = -1  # the next one says 0, as authenticators without a counter always do
        assert by_passkey(factories.client_of(), key).status_code == 302


def test_a_removed_key_is_refused(lead: Person) -> None:
    first, second = Authenticator(), Authenticator()
    client = factories.client_of()
    enrolled(client, first)
    options = client.post("/own-sign-in/add/options").json()
    assert client.post("/own-sign-in/add", {"answer": second.create(options), "label": ""}).status_code == 302
    elsewhere = factories.client_of()
    assert by_passkey(elsewhere, second).status_code == 302
    removed = Passkey.objects.get(label="blue key")
    assert client.post("/own-sign-in/remove", {"factor": removed.audit_id.hex}).status_code == 302
    refused(by_passkey(factories.client_of(), first), why="unknown_key")
    assert last(AuditAct.FACTOR_REMOVED).object == removed.audit_id
    assert signed_in(client)
    assert not signed_in(elsewhere), "the other sessions end with the key"


def test_the_last_factor_stays(lead: Person) -> None:
    client = factories.client_of()
    enrolled(client, Authenticator())
    answer = client.post("/own-sign-in/remove", {"factor": Passkey.objects.get().audit_id.hex})
    assert answer.status_code == 422
    assert "last way to sign in" in answer.content.decode()
    assert Passkey.objects.get().removed_at is None


def test_another_persons_key_is_neither_shown_nor_removed_nor_good_for_confirming(lead: Person) -> None:
    at = timezone.now()
    enrolling.enrol_person("other", password=SECRET, roles=(Role.SENIOR,), secret_until=at + WEEK, at=at)
    mine, theirs = Authenticator(), Authenticator()
    client, other = factories.client_of(), factories.client_of()
    enrolled(client, mine)
    enrolled(other, theirs, "other")
    foreign = Passkey.objects.get(person__name="other")
    assert client.post("/own-sign-in/remove", {"factor": foreign.audit_id.hex}).status_code == 404
    assert foreign.audit_id.hex not in client.get("/own-sign-in").content.decode()
    answer = client.post("/confirm", {"answer": theirs.get(client.post("/confirm/options").json())})
    refused(answer, why="unknown_key")
    theirs.handle = lead.audit_id.bytes
    refused(by_passkey(factories.client_of(), theirs), why="wrong_answer")


def test_mutated_answers_are_refused_and_never_fail(lead: Person) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    key = Authenticator()
    enrolled(factories.client_of(), key)
    for _ in range(120):
        Throttle.objects.all().delete()
        client = factories.client_of()
        said = json.loads(key.get(client.post("/sign-in/passkey/options").json()))
        where = said if rng.random() < 0.3 else said["response"]
        member = rng.choice([name for name in sorted(where) if name not in {"clientExtensionResults", "id"}])
        text = where[member]
        place = rng.randrange(max(1, len(text))) if isinstance(text, str) else 0
        where[member] = rng.choice(
            [None, 7, [], {}, "", "a" * 20_000, f"{text[:place]}{rng.choice('Aé_= ')}{text[place + 2 :]}"]
            if isinstance(text, str)
            else [None, "", 7]
        )
        if member in {"userHandle", "type"}:
            continue  # either may be absent
        assert by_passkey(client, key, answer=json.dumps(said)).status_code == 422, (member, where[member])
        assert not signed_in(client)


@pytest.mark.parametrize(
    "answer", ["", "null", "[]", "{}", "no json", '{"response": 1}', "{" * 5000, "[" * 10_000, "x" * 100_000]
)
def test_what_is_no_answer_is_refused(lead: Person, answer: str) -> None:
    client = factories.client_of()
    client.post("/sign-in/passkey/options")
    refused(client.post("/sign-in/passkey", {"answer": answer}), why="malformed")


def refused(answer: HttpResponse, *, why: str) -> None:
    assert answer.status_code == 422
    assert last(AuditAct.FACTOR_REFUSED).purpose == why
    assert 'role="alert"' in answer.content.decode()


@pytest.mark.parametrize("bytes_", [b"", b"\x81" * 9000, b"\xa1" * 3000, b"\xff" * 40, b"\x5b" + b"\xff" * 8])
def test_a_registration_of_hostile_bytes_is_refused(lead: Person, bytes_: bytes) -> None:
    client = factories.client_of()
    by_password(client)
    said = json.loads(Authenticator().create(client.post("/sign-in/set-up/options").json()))
    said["response"]["attestationObject"] = websafe_encode(bytes_)
    assert client.post("/sign-in/set-up", {"answer": json.dumps(said)}).status_code == 422
    assert not Passkey.objects.exists()


# --- authenticator apps ------------------------------------------------------------------------------------------


@pytest.fixture
def totp(settings: Settings) -> None:
    settings.ALLOW_TOTP = True


def code_of(secret: str, at: dt.datetime) -> str:
    """RFC 6238 by the standard library, not by what the desk computes with."""
    import base64
    import hmac
    import struct

    digest = hmac.new(base64.b32decode(secret), struct.pack(">Q", int(at.timestamp()) // 30), "sha1").digest()
    start = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[start : start + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


def with_app(client: Client) -> str:
    """Enrol with an authenticator app; returns its secret."""
    assert by_password(client).headers["Location"] == "/sign-in/set-up"
    page = client.get("/sign-in/set-up").content.decode()
    secret = re.search(r'id="secret" dir="ltr">([A-Z2-7 ]+)<', page)[1].replace(" ", "")  # type: ignore[index]
    sealed = re.search(r'name="sealed" value="([^"]+)"', page)[1]  # type: ignore[index]
    assert secret not in sealed
    form = {"sealed": sealed, "code": code_of(secret, timezone.now()), "password": factories.PASSWORD}
    answer = client.post("/sign-in/set-up", form)
    assert answer.status_code == 200, answer.content.decode()
    return secret


@pytest.mark.usefixtures("totp")
def test_an_app_signs_in_beside_a_password_and_each_code_serves_once(
    lead: Person, clock: Callable[[dt.timedelta], None]
) -> None:
    secret = with_app(factories.client_of())
    client = factories.client_of()
    assert by_password(client, password=factories.PASSWORD).headers["Location"] == "/sign-in/second-factor"
    assert not signed_in(client)
    used = code_of(secret, timezone.now())
    assert client.post("/sign-in/second-factor", {"code": used}).status_code == 422, "it was used for setting up"
    clock(MINUTE)
    assert client.post("/sign-in/second-factor", {"code": code_of(secret, timezone.now())}).status_code == 302
    assert signed_in(client)
    assert last(AuditAct.SIGNED_IN).purpose == "totp"
    again = factories.client_of()
    by_password(again, password=factories.PASSWORD)
    assert again.post("/sign-in/second-factor", {"code": code_of(secret, timezone.now())}).status_code == 422


@pytest.mark.usefixtures("totp")
def test_a_code_without_the_password_is_nothing(lead: Person) -> None:
    secret = with_app(factories.client_of())
    client = factories.client_of()
    assert client.post("/sign-in/second-factor", {"code": code_of(secret, timezone.now())}).url == "/sign-in"


@pytest.mark.usefixtures("totp")
def test_where_the_installation_stops_allowing_apps_they_stop_working(lead: Person, settings: Settings) -> None:
    with_app(factories.client_of())
    settings.ALLOW_TOTP = False
    assert by_password(factories.client_of(), password=factories.PASSWORD).status_code == 422


def test_an_app_is_offered_only_where_the_installation_allows_it(lead: Person) -> None:
    client = factories.client_of()
    by_password(client)
    assert "uthenticator app" not in client.get("/sign-in/set-up").content.decode()


@pytest.mark.parametrize(
    ("by", "good"), [(-61, False), (-59, None), (-30, True), (0, True), (30, True), (61, False)], ids=str
)
def test_a_code_is_good_for_its_interval_and_the_neighbours(by: int, good: bool | None) -> None:
    at = dt.datetime(2026, 3, 2, 9, 0, 15, tzinfo=dt.UTC)
    secret = factors.new_totp_secret()
    step = factors.totp_step(secret, code_of(secret, at + dt.timedelta(seconds=by)), after=0, at=at)
    if good is not None:
        assert (step is not None) is good
    if step is not None:
        assert factors.totp_step(secret, code_of(secret, at + dt.timedelta(seconds=by)), after=step, at=at) is None


@pytest.mark.usefixtures("totp")
def test_the_secret_of_an_app_is_sealed_in_the_database_and_bound_to_its_person(lead: Person) -> None:
    client = factories.client_of()
    by_password(client)
    page = client.get("/sign-in/set-up").content.decode()
    secret = re.search(r'id="secret" dir="ltr">([A-Z2-7 ]+)<', page)[1].replace(" ", "")  # type: ignore[index]
    other = factories.make_person("other", Role.SENIOR, at=timezone.now())
    stolen = factors.seal(f"{other.audit_id.hex} {secret}")
    form = {"sealed": stolen, "code": code_of(secret, timezone.now()), "password": factories.PASSWORD}
    assert client.post("/sign-in/set-up", form).status_code == 422


# --- recovery ----------------------------------------------------------------------------------------------------


def test_a_recovery_code_ends_every_session_and_opens_only_the_setting_up(lead: Person) -> None:
    old = factories.client_of()
    codes = enrolled(old, Authenticator())
    client, key = factories.client_of(), Authenticator()
    typed = codes[3].upper().replace("-", " ")
    assert client.post("/sign-in/recovery", {"name": "lead", "code": typed}).url == "/sign-in/set-up"
    assert not signed_in(old)
    assert Session.objects.get().ending == Ending.FACTORS
    assert last(AuditAct.RECOVERY_CODE_USED).object == lead.audit_id
    assert not signed_in(client)
    options = client.post("/sign-in/set-up/options").json()
    assert client.post("/sign-in/set-up", {"answer": key.create(options)}).status_code == 200
    assert signed_in(client)
    assert client.post("/sign-in/recovery", {"name": "lead", "code": codes[3]}).status_code == 422
    assert RecoveryCode.objects.filter(used_at=None, withdrawn_at=None).count() == factors.RECOVERY_CODES


@pytest.fixture
def lost(lead: Person) -> tuple[Client, Authenticator]:
    """The lead has a passkey, and two others who may reset it agree to; returns the old browser and the key."""
    at = timezone.now()
    browser, key = factories.client_of(), Authenticator()
    enrolled(browser, key)
    admin = factories.make_person("admin", Role.ADMIN, at=at, certified=False)
    second = factories.make_person("second", Role.LEAD, at=at, certified=False)
    what = {"person": lead.audit_id.hex}
    factories.agree(Act.RESET_FACTORS, what, first=admin, second=second, at=at)
    return browser, key


def renewed(lead: Person) -> None:
    at = timezone.now()
    enrolling.renew_enrolment(lead, password="another secret", secret_until=at + WEEK, at=at)


def test_a_reset_takes_every_factor_and_session_away_a_day_later_and_not_before(
    lead: Person, lost: tuple[Client, Authenticator], clock: Callable[[dt.timedelta], None]
) -> None:
    reset = FactorReset.objects.get()
    assert Quorum.objects.get(record=reset.audit_id).people == 2
    assert last(AuditAct.FACTOR_RESET_AGREED).object == lead.audit_id
    clock(DAY - MINUTE)
    with pytest.raises(enrolling.EnrolmentRefused, match="24 hours after"):
        renewed(lead)
    assert factors.ways_of(lead) == {Way.PASSKEY}
    clock(MINUTE)
    Session.objects.update(seen_at=timezone.now(), began_at=timezone.now())
    renewed(lead)
    assert factors.ways_of(lead) == frozenset()
    assert {each.ending for each in Session.objects.all()} == {Ending.FACTORS}
    assert not RecoveryCode.objects.filter(used_at=None, withdrawn_at=None).exists()
    assert acts()[-3:] == ["factors_reset", "session_ended", "enrolment_made"]
    assert not signed_in(lost[0])
    assert by_passkey(factories.client_of(), lost[1]).status_code == 422
    again, key = factories.client_of(), Authenticator()
    assert by_password(again, password="another secret").headers["Location"] == "/sign-in/set-up"
    renewed(lead)  # the first secret went astray
    options = again.post("/sign-in/set-up/options").json()
    assert again.post("/sign-in/set-up", {"answer": key.create(options), "label": "green"}).status_code == 200
    assert signed_in(again)
    with pytest.raises(enrolling.EnrolmentRefused, match="only a recovery code"):
        renewed(lead)


@pytest.mark.parametrize("passed", [HOUR, 30 * HOUR])
def test_signing_in_cancels_a_reset_before_and_after_it_is_in_force(
    lead: Person, lost: tuple[Client, Authenticator], clock: Callable[[dt.timedelta], None], passed: dt.timedelta
) -> None:
    clock(passed)
    browser = factories.client_of()
    assert by_passkey(browser, lost[1]).status_code == 302
    assert FactorResetEnd.objects.get().carried_out is False
    assert last(AuditAct.FACTOR_RESET_CANCELLED).actor == lead.audit_id
    clock(DAY)
    with pytest.raises(enrolling.EnrolmentRefused):
        renewed(lead)
    assert factors.ways_of(lead) == {Way.PASSKEY}


def test_a_reset_lapses_after_a_week(
    lead: Person, lost: tuple[Client, Authenticator], clock: Callable[[dt.timedelta], None]
) -> None:
    clock(DAY + WEEK)
    with pytest.raises(enrolling.EnrolmentRefused):
        renewed(lead)
    assert by_passkey(factories.client_of(), lost[1]).status_code == 302
    assert not FactorResetEnd.objects.exists(), "nothing is left to be cancelled"


def test_a_reset_is_refused_for_whom_it_would_do_nothing_and_while_another_waits(
    lead: Person, lost: tuple[Client, Authenticator]
) -> None:
    at = timezone.now()
    admin, second = (Person.objects.get(name=name) for name in ("admin", "second"))
    bare = factories.make_person("bare", Role.SENIOR, at=at, certified=False)
    gone = factories.make_person("gone", Role.SENIOR, at=at, certified=False)
    enrolling.close_person(gone, at=at)
    for person, why in ((bare, "takes one person"), (lead, "agreed to already"), (gone, "not enrolled")):
        with pytest.raises(ProposalRefused, match=why):
            factories.agree(Act.RESET_FACTORS, {"person": person.audit_id.hex}, first=admin, second=second, at=at)
    with pytest.raises(ProposalRefused, match="cannot stand behind"):
        factories.agree(Act.RESET_FACTORS, {"person": admin.audit_id.hex}, first=admin, second=second, at=at)
    with pytest.raises(Denied):
        propose(Act.RESET_FACTORS, {"person": admin.audit_id.hex}, person=lead, at=at)
    assert FactorReset.objects.count() == 1


def test_a_reset_that_waits_is_shown_to_its_person_and_to_those_who_watch(
    lead: Person, lost: tuple[Client, Authenticator]
) -> None:
    at = timezone.now()
    auditor = factories.make_person("auditor", Role.AUDITOR, at=at, certified=False)
    other = factories.make_person("other", Role.LIAISON, at=at, certified=False)
    assert "Your factors are to be reset" in lost[0].get("/").content.decode()
    for name, shown in ((Person.objects.get(name="admin"), True), (auditor, True), (other, False)):
        page = factories.client_of(name).get("/").content.decode()
        assert ("The factors of lead are to be reset" in page) is shown
        assert ("agreed by 2 people, in a house of six or more people" in page) is shown


def test_new_recovery_codes_withdraw_the_old_ones(lead: Person) -> None:
    client = factories.client_of()
    old = enrolled(client, Authenticator())
    page = client.post("/own-sign-in/codes").content.decode()
    new = re.findall(r'<code dir="ltr">([a-z2-7-]{19})</code>', page)
    assert not set(new) & set(old)
    assert factories.client_of().post("/sign-in/recovery", {"name": "lead", "code": old[0]}).status_code == 422
    assert factories.client_of().post("/sign-in/recovery", {"name": "lead", "code": new[0]}).status_code == 302


def test_no_code_and_no_secret_lies_in_the_database(lead: Person) -> None:
    codes = enrolled(factories.client_of(), Authenticator())
    digests = set(RecoveryCode.objects.values_list("digest", flat=True))
    assert len(digests) == len(codes)
    assert not digests & set(codes)
    at = timezone.now()
    other = enrolling.enrol_person("other", password=None, roles=(), at=at)
    assert factors.recovery_digest(other, codes[0]) not in digests, "a code is bound to its person"


# --- throttle ----------------------------------------------------------------------------------------------------


def test_the_account_is_throttled_at_the_sixth_attempt_right_or_wrong(
    lead: Person, settings: Settings, clock: Callable[[dt.timedelta], None]
) -> None:
    most = settings.SIGN_IN_TRIES_PER_ACCOUNT
    for number in range(most):
        assert by_password(factories.client_of(), password="wrong").status_code == 422, number
    answer = by_password(factories.client_of())
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= WINDOW.total_seconds()
    assert by_password(factories.client_of()).status_code == 429
    assert acts().count("sign_in_throttled") == 1, "a flood of attempts is no flood of entries"
    assert last(AuditAct.SIGN_IN_THROTTLED).object == lead.audit_id
    clock(WINDOW)
    assert by_password(factories.client_of()).status_code == 302


def test_the_last_attempt_that_is_left_may_be_the_right_one(lead: Person, settings: Settings) -> None:
    for _ in range(settings.SIGN_IN_TRIES_PER_ACCOUNT - 1):
        by_password(factories.client_of(), password="wrong")
    assert by_password(factories.client_of()).status_code == 302


def test_an_address_is_throttled_over_all_names(lead: Person, settings: Settings) -> None:
    for number in range(settings.SIGN_IN_TRIES_PER_ADDRESS):
        answer = by_password(factories.client_of(), f"nobody-{number}", REMOTE_ADDR="203.0.113.9")
        assert answer.status_code == 422
    assert by_password(factories.client_of(), REMOTE_ADDR="203.0.113.9").status_code == 429
    assert by_password(factories.client_of(), REMOTE_ADDR="203.0.113.8").status_code == 302


def test_unknown_names_are_throttled_like_known_ones_and_never_logged(lead: Person, settings: Settings) -> None:
    statuses = {
        name: [by_password(factories.client_of(), name, "wrong").status_code for _ in range(7)]
        for name in ("lead", "nobody")
    }
    assert statuses["lead"] == statuses["nobody"] == [422] * 5 + [429] * 2
    assert AuditEntry.objects.filter(act="sign_in_throttled").last().object is None  # type: ignore[union-attr]
    logged = json.dumps(list(AuditEntry.objects.values_list("purpose", flat=True)))
    assert "nobody" not in logged
    assert "nobody" not in json.dumps(list(Throttle.objects.values_list("key", flat=True)))


@pytest.mark.parametrize(("proxies", "status"), [(0, 429), (1, 302), (2, 302)])
def test_x_forwarded_for_counts_only_as_far_as_the_house_has_proxies(
    lead: Person, settings: Settings, proxies: int, status: int
) -> None:
    settings.TRUSTED_PROXIES = proxies
    for number in range(settings.SIGN_IN_TRIES_PER_ADDRESS):
        made_up = f"198.51.100.{number}, 192.0.2.{number}"
        by_password(factories.client_of(), f"nobody-{number}", HTTP_X_FORWARDED_FOR=made_up)
    assert by_password(factories.client_of(), HTTP_X_FORWARDED_FOR="198.51.100.77, 192.0.2.77").status_code == status


def test_what_a_client_writes_before_the_houses_proxy_is_passed_over(lead: Person, settings: Settings) -> None:
    settings.TRUSTED_PROXIES = 1
    for number in range(settings.SIGN_IN_TRIES_PER_ADDRESS):
        by_password(factories.client_of(), f"nobody-{number}", HTTP_X_FORWARDED_FOR=f"10.0.0.{number}, 203.0.113.5")
    assert by_password(factories.client_of(), HTTP_X_FORWARDED_FOR="10.9.9.9, 203.0.113.5").status_code == 429


@pytest.mark.usefixtures("totp")
def test_a_right_password_buys_no_more_guesses_at_the_second_factor(lead: Person, settings: Settings) -> None:
    with_app(factories.client_of())
    statuses = []
    for _ in range(settings.SIGN_IN_TRIES_PER_ACCOUNT + 1):
        client = factories.client_of()
        if by_password(client, password=factories.PASSWORD).status_code == 429:
            statuses.append(429)
            continue
        statuses.append(client.post("/sign-in/second-factor", {"code": "000000"}).status_code)
    assert statuses == [422] * settings.SIGN_IN_TRIES_PER_ACCOUNT + [429]


def test_success_gives_the_attempt_back(lead: Person, settings: Settings) -> None:
    key = Authenticator()
    enrolled(factories.client_of(), key)
    for _ in range(settings.SIGN_IN_TRIES_PER_ADDRESS + 5):
        assert by_passkey(factories.client_of(), key).status_code == 302


def test_a_clock_that_goes_back_ends_no_window(settings: Settings) -> None:
    at = timezone.now()
    for _ in range(settings.SIGN_IN_TRIES_PER_ACCOUNT):
        count_try(name="lead", address="203.0.113.1", at=at)
    for back in (dt.timedelta(minutes=10), dt.timedelta(days=1)):
        with pytest.raises(Throttled):
            count_try(name="lead", address="203.0.113.1", at=at - back)


# --- sessions ----------------------------------------------------------------------------------------------------


def test_a_session_ends_after_a_quarter_of_an_hour_without_use(
    lead: Person, settings: Settings, clock: Callable[[dt.timedelta], None]
) -> None:
    client = factories.client_of(lead)
    for _ in range(4):
        clock(settings.SESSION_IDLE - dt.timedelta(seconds=31))
        assert signed_in(client)
    clock(settings.SESSION_IDLE)
    assert not signed_in(client)
    assert Session.objects.get().ending == Ending.IDLE
    assert last(AuditAct.SESSION_ENDED).purpose == "idle"


def test_a_session_ends_after_eight_hours_however_busy(
    lead: Person, settings: Settings, clock: Callable[[dt.timedelta], None]
) -> None:
    client = factories.client_of(lead)
    for _ in range(int(settings.SESSION_ABSOLUTE / (10 * MINUTE)) - 1):
        clock(10 * MINUTE)
        assert signed_in(client)
    clock(10 * MINUTE)
    assert not signed_in(client)
    assert Session.objects.get().ending == Ending.ABSOLUTE


def test_a_session_ends_when_the_clock_goes_back(lead: Person, clock: Callable[[dt.timedelta], None]) -> None:
    client = factories.client_of(lead)
    clock(-2 * MINUTE)
    assert not signed_in(client)
    assert Session.objects.get().ending == Ending.CLOCK


def test_a_change_of_roles_and_a_closed_account_end_every_session(lead: Person) -> None:
    client = factories.client_of(lead)
    enrolling.grant_role(lead, Role.LIAISON, at=timezone.now())
    assert not signed_in(client)
    client = factories.client_of(lead)
    enrolling.close_person(lead, at=timezone.now())
    assert not signed_in(client)
    assert set(Session.objects.values_list("ending", flat=True)) == {Ending.ROLES, Ending.DISABLED}
    assert by_password(factories.client_of()).status_code == 422


def test_ones_own_sessions_can_be_ended_and_nobody_elses(lead: Person) -> None:
    other = factories.make_person("other", Role.SENIOR, at=timezone.now())
    mine, second, third = (factories.client_of(lead) for _ in range(3))
    theirs = factories.client_of(other)
    page = mine.get("/own-sign-in").content.decode()
    assert page.count("End this") == 2
    assert "127.0.0.0/24" in page
    named = Session.objects.filter(person=lead).order_by("pk")[1]
    assert theirs.post("/own-sign-in/end", {"session": named.audit_id.hex}).status_code == 404
    assert mine.post("/own-sign-in/end", {"session": named.audit_id.hex}).status_code == 302
    assert (signed_in(mine), signed_in(second), signed_in(third)) == (True, False, True)
    mine.post("/own-sign-in/end", {"others": "1"})
    assert (signed_in(mine), signed_in(third), signed_in(theirs)) == (True, False, True)
    assert last(AuditAct.SESSION_ENDED).purpose == "by_oneself"


def test_a_browser_without_its_session_row_is_a_stranger(lead: Person) -> None:
    client = factories.client_of()
    client.force_login(lead)
    assert not signed_in(client)


def test_signing_in_leaves_nothing_of_the_session_before(lead: Person) -> None:
    client, key = factories.client_of(), Authenticator()
    enrolled(client, key)
    client.post("/sign-out")
    client.post("/sign-in/passkey/options")
    before = client.session.session_key
    held = client.session
    held["left behind"] = "x"
    held.save()
    options = client.post("/sign-in/passkey/options").json()
    client.post("/sign-in/passkey", {"answer": key.get(options)})
    assert client.session.session_key != before
    assert "left behind" not in client.session
    assert last(AuditAct.SIGNED_OUT).actor == lead.audit_id


@pytest.mark.parametrize(
    ("address", "kept"),
    [("203.0.113.77", "203.0.113.0/24"), ("2001:db8:1:2:3::4", "2001:db8:1::/48"), ("", "unknown"), ("x", "unknown")],
)
def test_of_an_address_only_its_network_is_kept(lead: Person, address: str, kept: str) -> None:
    key = Authenticator()
    enrolled(factories.client_of(), key)
    client = factories.client_of()
    options = client.post("/sign-in/passkey/options").json()
    client.post("/sign-in/passkey", {"answer": key.get(options)}, REMOTE_ADDR=address)
    assert Session.objects.latest("pk").address == kept


# --- fresh factors and signatures over one act -------------------------------------------------------------------


def test_what_needs_a_fresh_factor_asks_for_it_after_five_minutes(
    lead: Person, clock: Callable[[dt.timedelta], None]
) -> None:
    client, key = factories.client_of(), Authenticator()
    enrolled(client, key)
    clock(factors.FRESH_FOR - dt.timedelta(seconds=30))
    assert client.get("/own-sign-in/add").status_code == 200
    clock(dt.timedelta(seconds=31))
    assert client.get("/own-sign-in/add").url == "/confirm?next=%2Fown-sign-in%2Fadd"
    assert client.post("/own-sign-in/add/options").status_code == 403
    assert client.post("/own-sign-in/codes").url == "/confirm?next=%2Fown-sign-in"
    options = client.post("/confirm/options").json()
    answer = client.post("/confirm", {"answer": key.get(options), "next": "/own-sign-in/add"})
    assert answer.url == "/own-sign-in/add"
    assert client.get("/own-sign-in/add").status_code == 200
    assert last(AuditAct.FACTOR_CONFIRMED).purpose == "passkey"


def test_a_password_confirms_nothing_on_a_desk(lead: Person, clock: Callable[[dt.timedelta], None]) -> None:
    client = factories.client_of()
    enrolled(client, Authenticator())
    clock(6 * MINUTE)
    assert client.post("/confirm", {"password": SECRET}).status_code == 422
    assert client.get("/own-sign-in/add").status_code == 302
