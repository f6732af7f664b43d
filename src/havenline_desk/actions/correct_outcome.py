"""Correct an outcome, as two people agreed: a new record that names the old one; nothing is edited."""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from collections.abc import Mapping

from havenline.frameworks import Framework
from havenline.vocabulary import HavenlineError

from .. import audit, gates, law
from ..agreement import Accord, ProposalRefused
from ..models import AuditAct, Outcome, Person, Proposal, SettledBy
from .copy_outcome import correct_copies
from .derive_outcomes import derive_outcomes, one_at_a_time
from .keep_feedback import propose_feedback
from .propose import propose
from .record_quorum import record_quorum
from .withdraw_entries import withdraw_contradicted

_REASON = re.compile(r"[a-z0-9_]{1,40}").fullmatch


def checked_facts(outcome: Outcome, said: str) -> dict[str, str]:
    """The answers in `said`, JSON by question, under the outcome's own framework.

    Raises ProposalRefused with what is missing or is no answer, and where they are the answers that stand already.
    """
    framework = law.load(outcome.framework, outcome.framework_version)
    try:
        facts = json.loads(said)
        if not isinstance(facts, dict) or any(not isinstance(value, str) for value in facts.values()):
            raise ValueError
    except ValueError:
        raise ProposalRefused("the answers are no JSON object of question and code; nothing was changed") from None
    if problems := framework.check(facts):
        raise ProposalRefused(f"the answers do not do: {'; '.join(problems.values())}. Nothing was changed")
    return _other_answers(framework, outcome, facts)


class CorrectionRefused(HavenlineError):
    """Nothing was proposed. `problems` says by question, or for `reason`, why."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.problems = dict(problems)


def propose_correction(
    outcome: Outcome, facts: Mapping[str, str], *, reason: str, person: Person, at: dt.datetime
) -> Proposal:
    """Propose other answers for a settled file. Raises Denied, CorrectionRefused, or ProposalRefused for the whole."""
    gates.require(person, gates.Act.CORRECT_OUTCOME, at=at)
    framework = law.load(outcome.framework, outcome.framework_version)
    problems = dict(framework.check(facts))
    if not _REASON(reason):
        problems["reason"] = "a code: lower-case letters, digits and underlines, 40 at most"
    if problems:
        raise CorrectionRefused(problems)
    if outcome.copy_of_id is not None:
        raise ProposalRefused("this outcome is a copy: correct the one that it was taken over from")
    said = json.dumps(_other_answers(framework, outcome, facts), sort_keys=True, separators=(",", ":"))
    what = {"outcome": outcome.audit_id.hex, "facts": said, "reason": reason}
    return propose(gates.Act.CORRECT_OUTCOME, what, person=person, at=at)


def record_correction(agreed: Accord, at: dt.datetime) -> None:
    """Put a new outcome in the place of one that stands and of its copies; withdraw what was released of them.

    Inside the transaction that carries the proposal out. Raises ProposalRefused where it stands no longer.
    """
    name = uuid.UUID(str(agreed.what["outcome"]))
    old = Outcome.objects.select_related("investigation", "file", "copy_of").filter(audit_id=name).first()
    if old is None or Outcome.objects.filter(corrects=old).exists():
        raise ProposalRefused("this outcome is not here, or was corrected already; nothing was changed")
    if old.copy_of is not None:
        raise ProposalRefused("this outcome is a copy: correct the one that it was taken over from")
    one_at_a_time()
    facts = checked_facts(old, str(agreed.what["facts"]))
    new = _instead_of(old, facts, at=at)
    copies = correct_copies(old, new, at=at)
    record_quorum([new], people=len(agreed.people))
    withdraw_contradicted({old.file_id}, at=at)
    for each in (new, *copies):
        derive_outcomes(each.investigation, at=at, outcomes=[each])
    for each in (new, *copies):
        audit.append(
            AuditAct.OUTCOME_CORRECTED,
            at=at,
            actor=agreed.people[0],
            about=each,
            investigation=each.investigation,
            purpose=str(agreed.what["reason"])[:40],
            record=each,
        )
    propose_feedback({each.file_id for each in (new, *copies)}, at=at)


def _other_answers(framework: Framework, outcome: Outcome, facts: Mapping[str, str]) -> dict[str, str]:
    """The answers, already checked. Raises ProposalRefused where they are those that stand."""
    answers = framework.answers(facts)
    if answers == framework.answers(outcome.facts):
        raise ProposalRefused("these are the answers that stand already; there is nothing to correct")
    return answers


def _instead_of(old: Outcome, facts: dict[str, str], *, at: dt.datetime) -> Outcome:
    framework = law.load(old.framework, old.framework_version)
    legality = framework.derive(facts, approved=law.in_force(framework.id, framework.version))
    return Outcome.objects.create(
        investigation=old.investigation,
        file=old.file,
        revision=old.revision,
        corrects=old,
        framework=framework.id,
        framework_version=framework.version,
        facts=facts,
        status=legality.status.value,
        class_id=legality.class_id or "",
        severity=legality.severity or "",
        rule_path=list(legality.rule_path),
        settled_by=SettledBy.ADJUDICATION,
        viewed_by_person=old.viewed_by_person,
        settled_at=at,
    )
