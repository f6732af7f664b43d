"""After any history of deciding, correcting, failing, being killed and trying again a partner holds what we say now."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from havenline.connectors.simulator import Given
from havenline.connectors.threatexchange.simulator import ThreatExchangeSimulator
from havenline_desk.actions.keep_feedback import retry_feedback, stop_feedback, switch_feedback
from havenline_desk.gates import Act
from havenline_desk.models import FeedbackOpinion, FeedbackTry, File, Outcome
from havenline_desk.opinions import standing, switches

from . import factories as make
from .feedback_rig import AT, MINUTE, Partner

pytestmark = pytest.mark.django_db
SOAK = os.environ.get("HAVENLINE_SOAK") == "1"
ANSWERS = {
    "HELPFUL": make.TEXTURED,
    "NON_MALICIOUS": make.NO_SHAPES,
    "": make.NO_SHAPES | {"shapes": "cannot_determine"},
}


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


class History:
    """A house with two settled files that ThreatExchange lists by their MD5, and a clock that only goes on."""

    def __init__(self, home: Path, simulator: ThreatExchangeSimulator, base: str, chance: random.Random) -> None:
        self.simulator, self.chance, self.at = simulator, chance, AT + 30 * MINUTE
        self.people = make.world(at=AT, stacks=2)
        self.files = list(File.objects.order_by("pk"))
        self.says: dict[int, str] = {}
        for number, file in enumerate(self.files, start=1):
            simulator.put(str(number), file.md5, kind="HASH_MD5")
        secrets, settings = {"access_token": simulator.token}, {"privacy_group": simulator.group}
        self.partner = Partner(home, base, connector="threatexchange", secrets=secrets, settings=settings)
        self.partner.fetch(at=AT)
        self.partner.match(at=AT)
        self.on()
        for number, _ in enumerate(self.files):
            make.settle(self.people, make.TEXTURED, at=AT + 5 * number * MINUTE)
        self.says = dict.fromkeys((file.pk for file in self.files), "HELPFUL")
        make.clear_all(self.people["lead"], at=self.at)

    def correct(self) -> None:
        file = self.chance.choice(self.files)
        said = self.chance.choice([each for each in ANSWERS if each != self.says[file.pk]])
        outcome = Outcome.objects.get(file=file, correction=None)
        what = {"outcome": outcome.audit_id.hex, "facts": json.dumps(ANSWERS[said]), "reason": "reviewed"}
        first, second = self.people["senior"], self.people["adjudicator"]
        make.agree(Act.CORRECT_OUTCOME, what, first=first, second=second, at=self.at)
        self.says[file.pk] = said

    def send(self) -> None:
        self.partner.send(at=self.at)

    def send_and_fail(self) -> None:
        """The partner answers one of the next requests with a fault, taken or not."""
        self.simulator.faults.instead.extend([None] * self.chance.randrange(3))
        self.simulator.faults.instead.append(Given(status=self.chance.choice((429, 500, 503))))
        self.send()
        self.simulator.faults.instead.clear()

    def send_and_break_off(self) -> None:
        """The partner takes it, and its answer is lost."""
        self.simulator.faults.cut_next = 3
        self.send()
        self.simulator.faults.cut_next = None

    def send_and_die(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("havenline_desk.actions.send_feedback.audit.append", _killed)
            try:
                self.send()
            except KeyboardInterrupt:
                return

    def wait(self) -> None:
        self.at += dt.timedelta(minutes=self.chance.choice((1, 5, 60, 900)))

    def on(self) -> None:
        switch_feedback("threatexchange", against=["NON_MALICIOUS"], by=self.people["liaison"], at=self.at)

    def off_or_on(self) -> None:
        if switches()["threatexchange"].on:
            stop_feedback("threatexchange", by=self.people["lead"], at=self.at)
        else:
            self.on()

    def retry(self) -> None:
        for row in standing(steps=["dead"]):
            retry_feedback(row.opinion, by=self.people["liaison"], at=self.at)

    def end(self) -> None:
        """Everything works again, and time passes."""
        self.on()
        self.retry()
        for _ in range(4):
            self.at += dt.timedelta(hours=13)
            self.send()

    def holds(self) -> dict[int, set[str]]:
        """What the partner holds of each file of ours."""
        told = {file.pk: set[str]() for file in self.files}
        for descriptor, name in self.simulator.reactions:
            told[self.files[int(descriptor.removeprefix("d")) - 1].pk].add(name)
        return told


def test_the_partner_holds_what_we_say_now_after_any_history(home: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    simulator = ThreatExchangeSimulator(seconds=lambda: int(AT.timestamp()))
    with simulator.serving() as base:
        history = History(home, simulator, base, chance)
        verbs: list[Callable[[], None]] = [
            history.correct,
            history.send,
            history.send_and_fail,
            history.send_and_break_off,
            history.send_and_die,
            history.wait,
            history.wait,
            history.off_or_on,
            history.retry,
        ]
        for _ in range(400 if SOAK else 40):
            chance.choice(verbs)()
        history.end()
    assert history.holds() == {file: {said} - {""} for file, said in history.says.items()}
    assert not standing(steps=["", "begun", "failed", "dead", "again"])
    assert FeedbackTry.objects.filter(step="begun").count() >= FeedbackTry.objects.filter(step="sent").count() > 0
    assert FeedbackOpinion.objects.count() >= 2
