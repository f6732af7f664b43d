"""What people decide about partners' lists: who may, what it does in the folder, and what is written down."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from havenline.connectors.exchange import Exchange
from havenline.connectors.stages import Stage, StageRefused
from havenline.entries import Entries
from havenline.matching import Lists
from havenline.matching.live import LiveLists
from havenline.matching.snapshot import Edition
from havenline.vocabulary import EditionRef, Fingerprint, ListEntry, ListTerms
from havenline_desk import gates
from havenline_desk.actions import keep_incoming
from havenline_desk.actions.approve import approve
from havenline_desk.actions.carry_out import carry_out
from havenline_desk.actions.keep_incoming import let_through, propose_activation, resume_list, suspend_list
from havenline_desk.actions.look_up_again import look_up_next
from havenline_desk.actions.propose import propose
from havenline_desk.actions.record_matches import record_matches
from havenline_desk.agreement import ProposalRefused
from havenline_desk.gates import Act, Denied
from havenline_desk.incoming import IncomingRefused
from havenline_desk.models import AuditEntry, File, ListDecision, Match, Person, Proposal, ShadowCount
from havenline_desk.queries.dashboard import list_freshness
from havenline_desk.queries.incoming import incoming_lines, stale_lists

from . import factories as make

pytestmark = pytest.mark.django_db
AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
ASKED = Fingerprint(
    md5="ab" * 16, sha1="5e" * 20, sha256="5e" * 32, size=1, width=8, height=8, pdq="c3" * 32, pdq_quality=100,
    pipeline="pdq-full/1",
)  # fmt: skip


@pytest.fixture
def people() -> dict[str, Person]:
    return make.world(at=AT - 30 * DAY)


def _matches(place: Path) -> int:
    """As another process asks that has nothing of the desk."""
    return len(LiveLists.open(place / "live").current().lookup([ASKED], at=AT)[0])


def _stage(place: Path) -> Stage:
    exchange = Exchange(place)
    staged = exchange.store.staged
    exchange.close()
    return staged.stage


def _carried_out(proposal: Proposal, people: dict[str, Person], second: str, *, at: dt.datetime = AT) -> None:
    approve(proposal, person=people[second], digest=proposal.digest, at=at)
    carry_out(proposal, person=people[second], at=at)


def _acts() -> list[str]:
    return list(AuditEntry.objects.order_by("seq").values_list("act", flat=True))


def test_one_person_suspends_at_once_and_it_comes_back_through_shadow_alone(
    home: Path, people: dict[str, Person]
) -> None:
    place = make.make_exchange(home, stage=Stage.ACTIVE, since=AT - 9 * DAY)
    assert _matches(place) == 1
    suspend_list("north", by=people["liaison"], at=AT)
    assert (_matches(place), _stage(place)) == (0, Stage.SUSPENDED)
    with pytest.raises(StageRefused, match="suspended does not become suspended"):
        suspend_list("north", by=people["lead"], at=AT)
    resume_list("north", by=people["senior"], at=AT)
    assert (_matches(place), _stage(place)) == (0, Stage.SHADOW)
    with pytest.raises(StageRefused):
        resume_list("north", by=people["senior"], at=AT)
    assert [row.change for row in ListDecision.objects.order_by("pk")] == ["suspended", "resumed"]
    assert _acts()[-2:] == ["list_suspended", "list_resumed"]


def test_a_list_that_is_not_suspended_is_not_taken_up_again(home: Path, people: dict[str, Person]) -> None:
    place = make.make_exchange(home, stage=Stage.STAGED, since=AT)
    with pytest.raises(IncomingRefused, match="not suspended"):
        resume_list("north", by=people["liaison"], at=AT)
    assert _stage(place) is Stage.STAGED


def test_two_people_activate_and_not_before_its_time(home: Path, people: dict[str, Person]) -> None:
    place = make.make_exchange(home, stage=Stage.SHADOW, since=AT - 6 * DAY)
    with pytest.raises(StageRefused, match="in shadow until"):
        propose_activation("north", by=people["liaison"], at=AT)
    with pytest.raises(Denied):
        propose_activation("north", by=people["lead"], at=AT + DAY)
    proposal = propose_activation("north", by=people["liaison"], at=AT + DAY)
    with pytest.raises(ProposalRefused, match="proposed themselves"):
        approve(proposal, person=people["liaison"], digest=proposal.digest, at=AT + DAY)
    approve(proposal, person=people["senior"], digest=proposal.digest, at=AT + DAY)
    assert _matches(place) == 0
    carry_out(proposal, person=people["liaison"], at=AT + DAY)
    assert (_matches(place), _stage(place)) == (1, Stage.ACTIVE)
    assert "proposal_carried_out" in _acts()


def test_suspended_after_it_was_agreed_it_is_not_activated(home: Path, people: dict[str, Person]) -> None:
    place = make.make_exchange(home, stage=Stage.SHADOW, since=AT - 8 * DAY)
    proposal = propose_activation("north", by=people["liaison"], at=AT)
    approve(proposal, person=people["lead"], digest=proposal.digest, at=AT)
    suspend_list("north", by=people["senior"], at=AT)
    with pytest.raises(StageRefused):
        carry_out(proposal, person=people["lead"], at=AT)
    assert (_matches(place), _stage(place)) == (0, Stage.SUSPENDED)
    assert "proposal_carried_out" not in _acts()


def test_killed_between_folder_and_database_each_act_can_be_done_again(
    home: Path, people: dict[str, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is changed, the transaction is not: what is done again records it and changes nothing else."""
    place = make.make_exchange(home, stage=Stage.SHADOW, since=AT - 8 * DAY)
    proposal = propose_activation("north", by=people["liaison"], at=AT)
    approve(proposal, person=people["lead"], digest=proposal.digest, at=AT)
    set_stage = Exchange.set_stage

    def killed(exchange: Exchange, *args: object, **how: object) -> None:
        set_stage(exchange, *args, **how)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    for act, matches in (
        (lambda: carry_out(proposal, person=people["lead"], at=AT), 1),
        (lambda: suspend_list("north", by=people["lead"], at=AT), 0),
        (lambda: resume_list("north", by=people["lead"], at=AT), 0),
    ):
        before = AuditEntry.objects.count()
        with monkeypatch.context() as patch:
            patch.setattr(Exchange, "set_stage", killed)
            with pytest.raises(KeyboardInterrupt):
                act()
        assert (_matches(place), AuditEntry.objects.count()) == (matches, before)
        act()
        assert (_matches(place), AuditEntry.objects.count()) == (matches, before + 1)


def test_one_entry_is_let_through_and_it_is_written_down_by_whom(home: Path, people: dict[str, Person]) -> None:
    place = make.make_exchange(home, stage=Stage.ACTIVE, since=AT)
    with pytest.raises(Denied):
        let_through("north", "bad", by=people["liaison"], at=AT)
    let_through("north", "bad", by=people["senior"], at=AT)
    exchange = Exchange(place)
    assert {entry.entry for entry in exchange.store.entries()} == {"good", "bad~2"}
    exchange.close()
    row = ListDecision.objects.get()
    assert (row.entry, row.person, _acts()[-1]) == ("bad", people["senior"], "entry_let_through")
    with pytest.raises(keep_incoming.incoming.HavenlineError, match="no such entry"):
        let_through("north", "bad", by=people["senior"], at=AT)
    assert ListDecision.objects.count() == 1


def test_withholding_and_accepting_a_loss_take_two(home: Path, people: dict[str, Person]) -> None:
    place = make.make_exchange(home, stage=Stage.ACTIVE, since=AT)
    withhold = propose(Act.WITHHOLD_ENTRY, {"exchange": "north", "entry": "good"}, person=people["senior"], at=AT)
    _carried_out(withhold, people, "lead")
    assert _matches(place) == 0
    loss = propose(Act.ACCEPT_LOSS, {"exchange": "north"}, person=people["liaison"], at=AT)
    _carried_out(loss, people, "senior")
    exchange = Exchange(place)
    assert exchange.store.loss_accepted
    assert exchange.store.standing().withheld == 1
    exchange.close()
    assert _acts().count("proposal_carried_out") == 2


@pytest.mark.parametrize("name", ["", "..", "../north", "south", "north/live"])
def test_no_name_leads_out_of_the_folder(home: Path, people: dict[str, Person], name: str) -> None:
    make.make_exchange(home, stage=Stage.ACTIVE, since=AT)
    with pytest.raises(IncomingRefused, match="no exchange of that name"):
        suspend_list(name, by=people["lead"], at=AT)
    assert not ListDecision.objects.exists()


def test_of_a_list_in_shadow_an_import_keeps_a_number_and_no_match(people: dict[str, Person]) -> None:
    taken_in = make.investigation()
    files = list({item.file for item in taken_in.items.select_related("file")})
    entries = Entries.of([ListEntry(f"e{number}", sha256=file.sha256) for number, file in enumerate(files)])
    terms = ListTerms(enabled=False, shadow=True)
    lists = Lists.build([Edition(EditionRef("new", 1, entries.digest()), entries, terms)])
    assert record_matches(taken_in, lists, at=AT) == 0
    assert not Match.objects.exists()
    row = ShadowCount.objects.get()
    assert (row.list_name, row.files, row.matched) == ("new", len(files), len(files))
    assert len(files) > 0


def test_what_a_list_counted_in_shadow_is_looked_up_in_it_once_it_is_active(
    home: Path, people: dict[str, Person]
) -> None:
    taken_in = make.investigation()
    file = taken_in.items.select_related("file")[0].file
    File.objects.filter(pk=file.pk).update(md5="ab" * 16)  # of the entry `good`
    place = make.make_exchange(home, stage=Stage.SHADOW, since=AT - 8 * DAY)
    record_matches(taken_in, LiveLists.open(place / "live").current(), at=AT - DAY)
    assert ShadowCount.objects.get().matched == 1
    assert look_up_next(at=AT) is None  # in shadow nothing acts
    _carried_out(propose_activation("north", by=people["liaison"], at=AT), people, "lead")
    assert not Match.objects.exists()
    done = look_up_next(at=AT)
    assert done is not None
    assert (done.exchange, done.investigation) == ("north", taken_in)
    match = Match.objects.get()
    assert (match.file, match.entry, match.edition.list_name) == (file, "good", "north-list")
    assert look_up_next(at=AT) is None  # once for each activation
    assert _acts()[-2:] == ["matches_recorded", "list_looked_up"]
    suspend_list("north", by=people["lead"], at=AT)
    resume_list("north", by=people["lead"], at=AT)
    assert look_up_next(at=AT) is None
    _carried_out(propose_activation("north", by=people["liaison"], at=AT + 8 * DAY), people, "lead", at=AT + 8 * DAY)
    assert look_up_next(at=AT + 8 * DAY) is not None
    assert Match.objects.count() == 1


def test_a_list_that_was_not_here_whole_for_a_day_is_told_on_the_dashboard(
    home: Path, people: dict[str, Person]
) -> None:
    make.make_exchange(home, stage=Stage.ACTIVE, since=AT - 3 * DAY)
    make.make_exchange(home, stage=Stage.ACTIVE, since=AT - dt.timedelta(hours=25), name="fresh")
    make.make_exchange(home, stage=Stage.SUSPENDED, since=AT - 3 * DAY, name="stopped")
    assert stale_lists(at=AT) == (("north", 3),)
    assert [(row.label, row.count) for row in list_freshness(at=AT).rows] == [("▲ north", 3)]
    (home / "exchanges" / "north" / "exchange.json").write_text("{")
    assert stale_lists(at=AT) == (("north", None),)


def test_the_page_shows_counts_and_reasons_and_no_value(home: Path, people: dict[str, Person]) -> None:
    make.make_exchange(home, stage=Stage.SHADOW, since=AT)
    (home / "exchanges" / "broken").mkdir()
    (home / "exchanges" / "broken" / "exchange.json").write_text("{")
    page = make.client_of(people["liaison"]).get("/incoming").content.decode()
    assert "in shadow" in page
    assert "cannot be read" in page
    assert "far from half of them are set" in page
    assert "ab" * 16 not in page
    assert "01" * 32 not in page
    assert "Propose to activate" in page


def test_the_buttons_do_what_they_say_and_refusals_stand_where_they_belong(
    home: Path, people: dict[str, Person]
) -> None:
    place = make.make_exchange(home, stage=Stage.SHADOW, since=AT)
    liaison = make.client_of(people["liaison"])
    assert liaison.post("/incoming/activate", {"exchange": "north"}, follow=True).status_code == 200
    assert Proposal.objects.get().act == Act.ACTIVATE_LIST.value
    page = liaison.post("/incoming/suspend", {"exchange": "north"}, follow=True).content.decode()
    assert "matches nothing from this moment on" in page
    assert _stage(place) is Stage.SUSPENDED
    refused = liaison.post("/incoming/activate", {"exchange": "north"})
    assert refused.status_code == 400
    assert "A list that is suspended does not become active" in refused.content.decode()
    assert liaison.get("/incoming/resume").status_code == 302
    liaison.post("/incoming/resume", {"exchange": "north"})
    assert _stage(place) is Stage.SHADOW


def test_on_the_page_one_lets_an_entry_through_and_two_withhold_or_accept_a_loss(
    home: Path, people: dict[str, Person]
) -> None:
    place = make.make_exchange(home, stage=Stage.ACTIVE, since=AT)
    senior, liaison = make.client_of(people["senior"]), make.client_of(people["liaison"])
    assert '<option value="bad">' in senior.get("/incoming").content.decode()
    assert '<option value="bad">' not in liaison.get("/incoming").content.decode()
    refused = senior.post("/incoming/let-through", {"exchange": "north", "entry": "good"})
    assert (refused.status_code, "The screen keeps no such entry out" in refused.content.decode()) == (400, True)
    assert senior.post("/incoming/let-through", {"exchange": "north", "entry": " bad "}).status_code == 302
    exchange = Exchange(place)
    assert {entry.entry for entry in exchange.store.entries()} == {"good", "bad~2"}
    exchange.close()
    for way, act, sent in (
        ("withhold", Act.WITHHOLD_ENTRY, {"entry": "good"}),
        ("accept-loss", Act.ACCEPT_LOSS, {}),
    ):
        assert liaison.post(f"/incoming/{way}", {"exchange": "south", **sent}).status_code == 400
        assert liaison.post(f"/incoming/{way}", {"exchange": "north", **sent}).status_code == 302
        assert Proposal.objects.order_by("-pk")[0].act == act.value
    assert liaison.post("/incoming/withhold", {"exchange": "north", "entry": ""}).status_code == 400
    assert Proposal.objects.count() == 2
    assert _matches(place) == 1  # nothing is done before another agrees


def test_what_may_be_done_is_shown_to_who_may_do_it(home: Path, people: dict[str, Person]) -> None:
    make.make_exchange(home, stage=Stage.SHADOW, since=AT - 8 * DAY)
    shown = {}
    for name in ("liaison", "senior", "auditor"):
        (line,) = incoming_lines(people[name], at=AT)
        shown[name] = (line.may_activate, line.may_suspend, line.may_resume)
    assert shown == {"liaison": (True, True, False), "senior": (False, True, False), "auditor": (False, False, False)}
    assert gates.rule_of(Act.ACTIVATE_LIST, house=gates.house()).people == 2
