"""Every way in × every role, against one reviewed table: `ways_in.csv`. And what has no act does not start.

Cells of a route are `GET POST`; `in`: the view ran; `sign-in`: sent to sign in; `factor`: asked for a factor first;
`no`: refused. Cells of a command are what comes of `--by` somebody of that role.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer
from django.core import checks
from django.http import HttpResponse
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone
from typer.testing import CliRunner

from havenline.connectors.havenline.pinned import pin
from havenline.connectors.stages import Stage
from havenline_cli import desk as opening
from havenline_cli import main
from havenline_cli.declared import commands_of, refuse_undeclared
from havenline_desk import gates, ways_in
from havenline_desk.actions.approve import approve
from havenline_desk.actions.carry_out import carry_out
from havenline_desk.actions.keep_feed_credentials import make_feed_credential
from havenline_desk.actions.keep_partners import subscribe_partner
from havenline_desk.actions.keep_pools import make_pool
from havenline_desk.actions.keep_webhooks import make_webhook, try_webhook
from havenline_desk.actions.propose import propose
from havenline_desk.actions.release_entries import propose_release
from havenline_desk.actions.take_next import take_next
from havenline_desk.agreement import ProposalRefused
from havenline_desk.gates import About, Act, Denied, Reach, Rule
from havenline_desk.models import (
    Approval,
    Assessment,
    Assignment,
    Door,
    Escalation,
    FeedbackOpinion,
    House,
    HouseDeclaration,
    Outcome,
    Person,
    PoolKind,
    ProposalEnd,
    ReleasedEntry,
    Reveal,
    Role,
    RoleGrant,
    Session,
    Skip,
    StackMember,
    StoredContent,
    Submission,
    WebhookEvent,
)
from havenline_guard.keyd_wire import QUESTIONS, KeydRefused, Peer
from tests.core.connectors.publisher_rig import House as Publisher
from tests.guard.keyd_rig import Process

from . import factories, feeds
from .match_rig import key

TABLE = Path(__file__).with_name("ways_in.csv")
POLICY = Path(__file__).parents[2] / "docs/policy-table.md"
PEOPLE = ("analyst-one", "senior", "adjudicator", "lead", "liaison", "welfare", "admin", "auditor")
DAYS = dt.timedelta(days=30)
ACTORS = ("stranger", *PEOPLE, "no-role", "disabled", "stale", "no-factor")
DOCUMENTS_ARGUMENTS = {
    "str:reference": "HL-1",
    "str:token": "unknown",
    "str:record": "unknown",
    "str:provider_id": "organisation",
    "str:name": "no-role",
    "path:file": "index.html",
    "str:batch": "unknown",
}


@pytest.fixture
def at() -> dt.datetime:
    return timezone.now()


@pytest.fixture
def people(at: dt.datetime) -> dict[str, Person]:
    made = factories.world(at=at, near=1)
    made["no-role"] = factories.make_person("no-role", at=at)
    made["disabled"] = factories.make_person("disabled", Role.LEAD, at=at, certified=False)
    return made


def rows(kind: str) -> dict[str, dict[str, str]]:
    with TABLE.open(newline="") as file:
        return {row["way"]: row for row in csv.DictReader(file) if row["kind"] == kind}


def browser(actor: str, people: dict[str, Person]) -> Client:
    if actor == "stranger":
        return factories.client_of()
    if actor == "disabled":
        client = factories.client_of(people["disabled"])
        Person.objects.filter(name="disabled").update(is_active=False)
        return client
    if actor == "stale":
        client = factories.client_of(people["lead"])
        Session.objects.filter(person=people["lead"]).update(ended_at=timezone.now())
        return client
    if actor == "no-factor":
        client = factories.client_of(people["lead"])
        held = client.session
        del held["factor"]
        held.save()
        return client
    return factories.client_of(people[actor])


def came_of(answer: HttpResponse) -> str:
    onward = answer.headers.get("Location", "")
    if answer.status_code == 302 and onward.startswith("/sign-in?next="):
        return "sign-in"
    if answer.status_code == 302 and onward.startswith("/confirm?"):
        return "factor"
    if answer.status_code == 403 and b"ask your investigation lead" in answer.content:
        return "no"
    assert answer.status_code < 500, answer.content
    return "in"


def route_names() -> list[str]:
    return [route for route, _ in ways_in.routes(get_resolver().url_patterns, "")]


@pytest.mark.django_db
@pytest.mark.parametrize("actor", ACTORS)
def test_every_route_answers_everybody_as_the_reviewed_table_says(people: dict[str, Person], actor: str) -> None:
    said = rows("route")
    assert set(said) == {f"/{route}" for route in route_names()}
    real = {}
    for way in said:
        if way == "/sign-out":
            real[way] = said[way][actor]  # last, below
            continue
        client = browser(actor, people)
        filled = way
        for name, value in DOCUMENTS_ARGUMENTS.items():
            filled = filled.replace(f"<{name}>", value)
        real[way] = f"{came_of(client.get(filled))} {came_of(client.post(filled))}"
        Person.objects.filter(name="disabled").update(is_active=True)
    client = browser(actor, people)
    real["/sign-out"] = f"{came_of(client.get('/sign-out'))} {came_of(client.post('/sign-out'))}"
    assert real == {way: row[actor] for way, row in said.items()}


def releasing(people: dict[str, Person], *, at: dt.datetime) -> tuple[ReleasedEntry, Outcome]:
    """A list with one entry, one more outcome that is ready, and a partner that gets the list by one door."""
    taken_in = factories.make_investigation(people["lead"], reference="HL-5", at=at)
    others = {name: factories.make_person(name, Role.ANALYST, at=at) for name in ("analyst-five", "analyst-six")}
    RoleGrant.objects.update(effective_from=at)
    for number in (50, 51):
        factories.add_stack(taken_in, number, at=at)
    pair = {"analyst-one": others["analyst-five"], "analyst-two": others["analyst-six"]}
    Assignment.objects.filter(revision__stack__investigation__reference="HL-1").update(waits_as_if_since=at + DAYS)
    for _ in range(2):
        factories.settle(pair, factories.TEXTURED, at=at)
    factories.clear_all(people["lead"], at=at)
    onto = factories.house_list(people, at=at)
    ready = Outcome.objects.order_by("pk")
    proposal = propose_release(onto, ready[:1], person=people["senior"], at=at)
    approve(proposal, person=people["adjudicator"], digest=proposal.digest, at=at)
    carry_out(proposal, person=people["senior"], at=at)
    partner = factories.enrol_partner(people, at=at)
    subscribe_partner(partner, onto, Door.EXCHANGE, by=people["liaison"], at=at)
    return ReleasedEntry.objects.get(), ready[1]


def command_arguments(people: dict[str, Person], at: dt.datetime, folder: Path) -> dict[str, list[str]]:
    """For each command that names who does it: arguments that a permitted person could use."""
    what: dict[str, str | int] = {"person": people["no-role"].audit_id.hex, "role": "partner_liaison"}
    waits = propose(Act.GRANT_ROLE, what, person=people["admin"], at=at)
    agreed = propose(Act.GRANT_ROLE, what, person=people["admin"], at=at)
    approve(agreed, person=people["lead"], digest=agreed.digest, at=at)
    make_pool("welsh", PoolKind.LANGUAGE, made_by=people["lead"], at=at)
    scheme = folder.parent / "scheme.csv"
    scheme.write_text("section,question,text,kind,code,label\ncategorisation,c1,First?,fact,1,One\n")
    factories.make_person("another-auditor", Role.AUDITOR, at=at, certified=False)
    day = f"{at + dt.timedelta(days=30):%Y-%m-%d}"
    partner = feeds.partner("east", at=at)
    make_feed_credential(feeds.partner("west", at=at), made_by=people["liaison"], at=at)
    for name, stage in (("running", Stage.ACTIVE), ("stopped", Stage.SUSPENDED), ("ripe", Stage.SHADOW)):
        factories.make_exchange(folder.parent, stage=stage, since=at - dt.timedelta(days=8), name=name)
    entry, outcome = releasing(people, at=at)
    hook, _ = make_webhook("hook", "http://127.0.0.1:9/", made_by=people["liaison"], at=at)
    try_webhook(hook, by=people["liaison"], at=at)
    opinion = FeedbackOpinion.objects.create(
        list_name="north-list", key="good", kind="md5", value="ab" * 16, view="for", proposed_at=at
    )
    answers = folder.parent / "answers.json"
    answers.write_text(json.dumps(factories.NO_SHAPES))
    return {
        "feed credential": [partner.slug],
        "feed end-credential": ["west"],
        "feed export": ["east", "drawn-list", "-o", str(folder.parent / "exported")],
        "investigation create": [
            *("HL-7", "--source", "forum", "--posted", "1", "--legal-basis", "drawn"),
            *("--expires", day, "--framework", "demo.shapes"),
        ],
        "investigation import": ["HL-1", str(folder), "--approved-by", "senior", "--workers", "1"],
        "person certify": ["analyst-two", "--until", day],
        "person budget": ["no-role", "--per-hour", "1"],
        "person take-role": ["analyst-two", "analyst"],
        "framework approve": ["gb-eaw", "2023-09", "--counsel", "opinion 14"],
        "framework import": [str(scheme), "--id", "ucs.v3", "--version", "3-house"],
        "framework configure": ["HL-1", "ncmec.industry"],
        "quality sample": ["HL-1"],
        "calibration set-up": [],
        "storage stop": [],
        "proposal storage": ["--basis", "as counsel wrote"],
        "audit reopen": ["--second", "another-auditor"],
        "hold place": [StoredContent.objects.all()[0].object_name, "--reference", "case-1"],
        "queue urgency": ["HL-1", "soon"],
        "queue pool": ["polish", "--kind", "language"],
        "queue join": ["welsh", "analyst-two"],
        "queue leave": ["welsh", "analyst-two"],
        "escalation contact": ["1", "duty lead", "020 7946 0000"],
        "api-key make": [f"key-{secrets.token_hex(4)}", "--list", "shapes"],
        "api-key end": [key("platform", at=at)[0].name],
        "webhook make": [f"hook-{secrets.token_hex(4)}", "http://127.0.0.1:9/"],
        "webhook try": [hook.name],
        "webhook secret": [hook.name],
        "webhook on": [hook.name],
        "webhook replay": [WebhookEvent.objects.get().audit_id.hex],
        "webhook end": [hook.name],
        "proposal list": [],
        "proposal approve": [waits.audit_id.hex, "--digest", waits.digest],
        "proposal cancel": [waits.audit_id.hex],
        "proposal carry-out": [agreed.audit_id.hex],
        "exchange suspend": ["running"],
        "exchange resume": ["stopped"],
        "exchange let-through": ["running", "bad"],
        "exchange feedback on": ["running", "--against", "g-1"],
        "exchange feedback off": ["running"],
        "exchange feedback send": [],
        "exchange feedback retry": [opinion.audit_id.hex],
        "proposal activate-list": ["ripe"],
        "proposal accept-loss": ["running"],
        "proposal withhold": ["running", "good"],
        "proposal role": ["no-role", "partner_liaison"],
        "proposal reset-factors": ["no-role"],
        "proposal framework": ["gb-eaw", "2023-09", "--counsel", "opinion 14"],
        "proposal import": ["HL-1", str(folder)],
        "proposal house": ["two"],
        "proposal budget": [
            "no-role",
            "--per-hour",
            "1",
            "--per-day",
            "1",
            *("--per-week", "1", "--minutes", "1", "--bytes-per-day", "1"),
        ],
        "proposal release-hold": ["a" * 32, "--reference", "case-1"],
        "proposal destroy": ["a" * 32, "--rule", "order"],
        "proposal correct": [outcome.audit_id.hex, "--answers", str(answers), "--reason", "reviewed"],
        "proposal apart": [outcome.audit_id.hex, outcome.audit_id.hex],
        "release open": ["house-new", "csam"],
        "release police": ["HL-1", "clear", "--reference", "police 1"],
        "release term": ["7"],
        "release propose": ["house-csam"],
        "release confirm": ["house-csam"],
        "release publish": ["house-csam"],
        "release withdraw": [entry.entry, "error"],
        "partner enrol": ["south", factories.AGE_KEYS[1], "--name", "South", "--purpose", "agreement 5"],
        "partner open": ["north", "house-csam", "match"],
        "partner close": ["north", "house-csam", "exchange"],
        "partner suspend": ["north"],
        "exchange confirm-publisher": ["of-b", "--fingerprint", pinned(folder.parent), "--folder", str(folder.parent)],
        "audit export": [str(folder / "log")],
        "publish": [
            *("HL-1", "--number", "HL-1", "--title", "Drawn", "--to", str(folder.parent / "published")),
            *("--snapshot", str(folder.parent / "snapshot"), "--before", str(folder.parent / "nothing")),
        ],
    }


def pinned(exchanges: Path) -> str:
    """An exchange whose publisher nobody confirmed yet; returns the fingerprint."""
    there = Publisher(exchanges / "there")
    pin(exchanges / "of-b", there.root)
    return hashlib.sha256(there.root).hexdigest()


@contextmanager
def _this_database(*_args: object, **_named: object) -> Iterator[None]:
    yield


@pytest.fixture
def commands_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run in this process and on the test's database."""
    monkeypatch.setattr(opening, "desk", _this_database)
    monkeypatch.setattr(opening, "existing_home", lambda path: path)
    monkeypatch.setattr(opening, "has_desk", lambda path: True)


@pytest.mark.django_db
@pytest.mark.parametrize("actor", [*PEOPLE, "no-role"])
def test_every_command_does_for_everybody_what_the_reviewed_table_says(
    commands_here: None, people: dict[str, Person], at: dt.datetime, tmp_path: Path, actor: str
) -> None:
    said = rows("command")
    assert set(said) == set(ways_in.COMMANDS)
    real = {}
    for way, arguments in command_arguments(people, at, tmp_path / "in").items():
        (tmp_path / "in").mkdir(exist_ok=True)
        result = CliRunner().invoke(main.app, [*way.split(), *arguments, "--by", actor])
        assert not isinstance(result.exception, SystemExit) or result.exit_code in (0, 3), (way, result.output)
        real[way] = "no" if isinstance(result.exception, Denied | ProposalRefused) else "in"
    assert real == {way: row[actor] for way, row in said.items() if way in real}
    assert {way for way, row in said.items() if row[actor] == "host"} == set(said) - set(real)


def test_every_operation_of_the_key_process_is_open_to_the_peers_of_the_reviewed_table(
    tmp_path: Path,
) -> None:
    said = rows("socket")
    assert set(said) == set(ways_in.SOCKET_OPERATIONS) == ways_in.socket_operations()
    answered: dict[str, set[str]] = {name: set() for name in QUESTIONS}
    for peer in (*(peer.value for peer in Peer), "nobody"):
        known = f"{os.getuid() if peer != 'nobody' else 1}:{peer if peer != 'nobody' else 'desk'}"
        (tmp_path / peer).mkdir()
        process = Process(tmp_path / peer / "keyd", peer=known)
        process.start()
        for name in QUESTIONS:
            with process.client() as client:
                try:
                    client.ask(name)  # without its fields: who may ask is told that they are missing
                except KeydRefused as refused:
                    if refused.reason == "not_allowed":
                        continue
                answered[name].add(peer)
        process.stop()
    assert answered == {name: set(said[f"keyd {name}"]["peers"].split()) for name in QUESTIONS}


@pytest.mark.django_db
def test_the_table_for_reading_is_the_table_in_force() -> None:
    assert POLICY.read_text().partition("\n## ")[2].splitlines()[2:] == policy_lines()


def policy_lines() -> list[str]:
    """The rows of `docs/policy-table.md`, after its heading."""
    lines = ["| act | open to | on | factor | people | second |", "|---|---|---|---|---|---|"]
    lines += [policy_line(act, rule) for act, rule in gates.RULES.items()]
    for house in (House.THREE, House.TWO, House.ONE):
        lines += ["", f"## {house.label.capitalize()}: the rows that differ", ""]
        lines += ["| act | open to | on | factor | people | second |", "|---|---|---|---|---|---|"]
        instead = gates.PROFILES[house].instead
        lines += [policy_line(act, rule) for act, rule in instead.items() if rule != gates.RULES[act]]
    return lines


def policy_line(act: Act, rule: Rule) -> str:
    who = ", ".join(role.label for role in Role if role in rule.roles) or "nobody"
    opens = who if rule.reach is Reach.ROLES else rule.reach.value
    opens = "everybody with a role" if rule.roles == gates.EVERYONE else opens
    second = ", ".join(role.label for role in Role if role in rule.second) or "–"
    return (
        f"| `{act.value}` | {opens} | {rule.about.value if rule.about else '–'} | {'fresh' if rule.fresh else '–'} | "
        f"{rule.people} | {second} |"
    )


def test_nothing_is_there_without_an_act_and_no_act_is_of_nothing() -> None:
    refuse_undeclared(typer.main.get_command(main.app))
    assert ways_in.undeclared_ways_in() == []
    assert ways_in.undeclared_ways_in in checks.registry.registry.get_checks()


def test_a_command_without_an_act_keeps_the_desk_from_starting() -> None:
    group = typer.main.get_command(main.app)
    commands = set(commands_of(group))
    group.commands["peek"] = group.commands["figures"]
    with pytest.raises(opening.CommandError, match="the command 'peek' declares no act"):
        refuse_undeclared(group)
    faults = ways_in.undeclared_commands(commands - {"figures"})
    assert [fault.msg for fault in faults] == ["the command 'figures' has an act, and is not there; see ways_in.py"]


def test_a_route_a_job_a_management_command_and_a_socket_operation_without_an_act_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from havenline_desk.pages import home

    def bare(request: object) -> None: ...

    resolver = get_resolver()
    first = resolver.url_patterns[0]
    assert first.callback is home.home
    monkeypatch.setattr(first, "callback", bare)
    monkeypatch.setattr(ways_in, "find_commands", lambda folder: ["peek"])
    monkeypatch.setattr(ways_in, "JOBS", {**ways_in.JOBS, "gone": Act.DESTROY_IN_TIME})
    monkeypatch.delitem(ways_in.SOCKET_OPERATIONS, "keyd open")  # type: ignore[attr-defined]
    assert [fault.id for fault in ways_in.undeclared_ways_in()] == ["desk.E001", "desk.E002", "desk.E003", "desk.E004"]


def test_a_table_that_is_not_sound_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(gates.RULES, Act.WORK)  # type: ignore[attr-defined]
    monkeypatch.setitem(gates.RULES, Act.SET_URGENCY, Rule(roles=frozenset({Role.LEAD}), people=2))  # type: ignore[index]
    monkeypatch.setitem(gates.ENFORCED_BY, About.ONESELF, "havenline_desk.gates.no_such")  # type: ignore[index]
    told = [fault.msg for fault in ways_in.unsound_rules()]
    assert told == [
        "in the table of acts: the act 'work' has no row",
        "in the table of acts: the act 'set_urgency' takes 2 people, and nobody may be the second",
        "in the table of acts: 'oneself' is decided nowhere",
    ]


@pytest.mark.django_db
def test_a_house_of_one_works_with_hashes_only_and_releases_nothing(at: dt.datetime) -> None:
    people = factories.world(at=at)
    HouseDeclaration.objects.create(house=House.ONE, declared_at=at)
    for act, name in (
        (Act.TAKE_ASSESSMENT, "analyst-one"),
        (Act.TAKE_DISPUTE, "adjudicator"),
        (Act.WORK, "analyst-one"),
    ):
        with pytest.raises(Denied, match="works with hashes only"):
            gates.require(people[name], act, at=at)
    with pytest.raises(Denied, match="hashes only"):
        take_next(people["analyst-one"], at=at)
    for name, person in people.items():
        with pytest.raises(Denied, match="nobody may, in a house of this size"):
            gates.require(person, Act.RELEASE_HASH, at=at)
        assert name
    assert factories.client_of(people["analyst-one"]).get("/work").status_code == 403


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("house", "first", "second", "never"),
    [
        (House.SIX, {"senior", "adjudicator"}, {"senior", "adjudicator"}, {"auditor"}),
        (House.THREE, {"senior", "adjudicator", "lead"}, {"auditor"}, {"senior"}),
        (House.TWO, {"senior", "adjudicator", "lead"}, {"auditor"}, {"senior"}),
    ],
)
def test_who_releases_a_hash_follows_the_house(
    at: dt.datetime, house: House, first: set[str], second: set[str], never: set[str]
) -> None:
    people = factories.world(at=at)
    HouseDeclaration.objects.create(house=house, declared_at=at)
    assert {name for name in people if gates.allowed(people[name], Act.RELEASE_HASH, at=at)} == first
    may = set()
    for name in people:
        try:
            gates.require_second(people[name], Act.RELEASE_HASH, at=at)
            may.add(name)
        except Denied:
            continue
    assert may == second
    assert not may & never
    assert gates.rule_of(Act.RELEASE_HASH, house=house).people == 2
    assert gates.PROFILES[house].mark == ("" if house is House.SIX else "small-quorum")


@pytest.mark.django_db
def test_protective_acts_take_one_person_in_every_house() -> None:
    protective = (
        *(Act.WITHDRAW_HASH, Act.PLACE_HOLD, Act.LOWER_BUDGET, Act.SUSPEND_PUBLISHER, Act.REFER_AT_ONCE),
        *(Act.CANCEL_PROPOSAL, Act.ESCALATE, Act.CLOSE_PERSON, Act.REVOKE_ROLE),
    )
    assert {gates.rule_of(act, house=house).people for act in protective for house in House} == {1}


@pytest.mark.django_db
def test_the_predicates_of_the_table(at: dt.datetime) -> None:
    people = factories.world(at=at)
    assert gates.is_oneself(people["lead"], Person.objects.get(name="lead"))
    assert not gates.is_oneself(people["lead"], people["senior"])
    assignment = factories.assess(people["analyst-one"], factories.TRIANGLE, at=at)
    assert not gates.has_not_assessed(people["analyst-one"], assignment.revision)
    assert gates.has_not_assessed(people["senior"], assignment.revision)
    assert gates.allowed(people["welfare"], Act.SEE_OWN_EXPOSURE, at=at)
    people["welfare"].is_active = False
    assert not gates.allowed(people["welfare"], Act.SEE_OWN_EXPOSURE, at=at)


def kept() -> tuple[int, ...]:
    tables = (Reveal, Assessment, Submission, Skip, Escalation, Approval, ProposalEnd)
    return (*(table.objects.count() for table in tables), Assignment.objects.exclude(person=None).count())


@pytest.mark.django_db
def test_another_persons_assignment_view_and_proposal_are_out_of_reach(
    people: dict[str, Person], at: dt.datetime
) -> None:
    """Object level: the ids are real, the role is right, the object is another's."""
    owner, other = factories.client_of(people["analyst-one"]), factories.client_of(people["analyst-two"])
    owner.post("/work/start")
    assignment = Assignment.objects.get(person=people["analyst-one"])
    member = StackMember.objects.order_by("pk").first()
    assert member is not None
    asked = {"member": member.pk, "step": 1}
    url = owner.post("/work/reveal", asked, content_type="application/json").json()["url"]
    what: dict[str, str | int] = {"person": people["no-role"].audit_id.hex, "role": "partner_liaison"}
    proposal = propose(Act.GRANT_ROLE, what, person=people["admin"], at=at)
    said = {"proposal": proposal.audit_id.hex, "digest": proposal.digest}
    before = kept()
    number = {"assignment": str(assignment.pk)}
    assert other.post("/work/reveal", asked, content_type="application/json").status_code == 403
    assert other.get(url).status_code == 403
    for page, form in (
        ("/work/submit", number | {"active_seconds": "9"} | {f"fact.{k}": v for k, v in factories.TRIANGLE.items()}),
        ("/work/skip", number | {"reason": "unclear"}),
        ("/work/escalate", number),
        ("/work/undo", number),
        ("/work/record", number),
    ):
        assert other.post(page, form).status_code in {302, 422}, page
    for name in ("senior", "adjudicator", "liaison", "welfare", "auditor"):
        outsider = factories.client_of(people[name])
        assert b"no-role" not in outsider.get("/proposals").content
        for page in ("/proposals/approve", "/proposals/cancel", "/proposals/carry-out"):
            assert outsider.post(page, said).status_code == 403, (name, page)
    mine = factories.client_of(people["admin"])
    assert mine.post("/proposals/approve", said).status_code == 422
    assert mine.post("/proposals/carry-out", said).status_code == 422
    assert kept() == before
    assert owner.get(url).status_code == 200, "the owner's view is still there"


@pytest.mark.django_db
def test_the_page_shows_what_waits_and_two_people_carry_it_out(people: dict[str, Person], at: dt.datetime) -> None:
    admin, lead = factories.client_of(people["admin"]), factories.client_of(people["lead"])
    assert "Nothing waits for you" in lead.get("/proposals").content.decode()
    what: dict[str, str | int] = {"person": people["no-role"].audit_id.hex, "role": "partner_liaison"}
    proposal = propose(Act.GRANT_ROLE, what, person=people["admin"], at=at)
    said = {"proposal": proposal.audit_id.hex, "digest": proposal.digest}
    page = lead.get("/proposals").content.decode()
    assert "Give no-role the role partner liaison." in page
    assert proposal.digest in page
    assert lead.post("/proposals/approve", said | {"digest": "0" * 64}).status_code == 422
    assert lead.post("/proposals/approve", {"proposal": "not an id"}).status_code == 403
    assert lead.post("/proposals/approve", said).status_code == 302
    assert "You agreed" in lead.get("/proposals").content.decode()
    assert admin.post("/proposals/carry-out", said).status_code == 302
    assert gates.roles_of(people["no-role"], at=timezone.now()) == {Role.LIAISON}
    assert admin.post("/proposals/cancel", said).status_code == 422
    on_host = propose(
        Act.DESTROY_EARLY, {"object": "c" * 32, "rule": "order"}, person=people["lead"], at=timezone.now()
    )
    assert lead.post("/proposals/carry-out", {"proposal": on_host.audit_id.hex}).status_code == 422
    assert lead.post("/proposals/cancel", {"proposal": on_host.audit_id.hex}).status_code == 302
