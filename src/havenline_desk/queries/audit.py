"""What an auditor reads: the log as an export, the proof of one entry, and rows that the log does not vouch for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from django.apps import apps

from havenline.formats.audit_log import AuditLogError, LogEntry, VerifierKey, header, proof_text
from havenline.formats.merkle_tree import inclusion_proof
from havenline.vocabulary import HavenlineError

from .. import audit
from ..models import AuditAct, Audited, AuditEntry, Proposal


class NoSuchProof(HavenlineError):
    """There is no such entry, or no signed checkpoint over it yet."""


@dataclass(frozen=True, slots=True)
class Differs:
    """A row that is not what its entry vouches for; `gone` when there is no such row any more."""

    seq: int
    act: str
    gone: bool


@dataclass(frozen=True, slots=True)
class Unvouched:
    """A row, by its table and primary key, that no entry vouches for: added past the log, or changed since."""

    table: str
    row: str


def log_key() -> str:
    """The public key of the log, in the form that `havenline verify --key` takes."""
    held = audit.signer()
    return VerifierKey(held.name, held.algorithm, held.public_key).text()


def export_lines(*, entries: int | None = None) -> Iterator[bytes]:
    """The log as NDJSON, up to entry `entries` or all of it: what the rows say now, with the hashes that stand there.

    Nothing is checked: an altered row is exported as it is, so that the verifier names it.
    """
    rows = AuditEntry.objects.order_by("seq")
    rows = rows.filter(seq__lte=entries) if entries is not None else rows
    yield header(origin=audit.signer().name, entries=rows.count())
    for row in rows.iterator(chunk_size=4096):
        yield b'{"entry":%b,"hash":"%b"}\n' % (_entry(row).canonical(), row.entry_hash.encode())


def agreement_lines(*, entries: int | None = None) -> Iterator[bytes]:
    """What was proposed, to the byte, and each signature over it, as NDJSON, for proposals up to entry `entries`.

    Nothing is checked, as with the log itself. The texts name people by random ids, and may hold free text (who the
    counsel was, a path on the host): for auditors alone.
    """
    rows = AuditEntry.objects.filter(seq__lte=entries) if entries is not None else AuditEntry.objects.all()
    agreed = set(rows.filter(act=AuditAct.PROPOSAL_APPROVED).values_list("object", "actor"))
    made = rows.filter(act=AuditAct.PROPOSAL_MADE).order_by("seq").values_list("object", flat=True)
    for identity in made.iterator():
        proposal = Proposal.objects.filter(audit_id=str(identity)).first()
        if proposal is None:
            continue
        approvals = {
            each.person.audit_id.hex: _evidence(each.evidence)
            for each in proposal.approvals.select_related("person").order_by("pk")
            if (identity, each.person.audit_id) in agreed
        }
        held = {"action": proposal.action, "approvals": approvals, "evidence": _evidence(proposal.evidence)}
        yield json.dumps(held, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"


def _evidence(text: str) -> object:
    return json.loads(text) if text else None


def proof_of(seq: int) -> bytes:
    """A proof of entry `seq` under the newest checkpoint, to be given to somebody who may not see the others."""
    note = audit.sink().last_note()
    size = note[0].size if note is not None else 0
    if note is None or not 0 < seq <= size:
        raise NoSuchProof(f"no signed checkpoint covers an entry {seq}: the newest is over {size} entries")
    rows = AuditEntry.objects.filter(seq__lte=size).order_by("seq").iterator(chunk_size=4096)
    found: LogEntry | None = None
    leaves = []
    for row in rows:
        entry = _entry(row)
        found = entry if entry.seq == seq else found
        leaves.append(entry.leaf())
    if found is None or len(leaves) != size:
        raise NoSuchProof(
            f"{size} entries were signed, the log holds {len(leaves)}: run `havenline verify` on an export"
        )
    return proof_text(entry=found, proof=inclusion_proof(leaves, seq - 1), note=note[1])


def rows_that_differ() -> Iterator[Differs]:
    """Rows whose final columns are not those that were there when their entry was written."""
    tables = dict(_tables())
    for row in AuditEntry.objects.exclude(record="").order_by("seq").iterator(chunk_size=1024):
        model = tables.get(row.act)
        if model is None:
            continue
        digests = {audit.record_digest(each) for each in model._default_manager.filter(**_named(row, model))}
        if row.record not in digests:
            yield Differs(row.seq, row.act, gone=not digests)


def rows_without_entry() -> Iterator[Unvouched]:
    """Rows of the tables of `VOUCHED` as no entry's act left them. Of the records of a study nothing is asked.

    Takes 32 bytes for each entry with a record. Not seen: a row of another table; one whose entry was added past the
    log too, which `havenline verify` finds.
    """
    entries = AuditEntry.objects.exclude(record="").values_list("record", flat=True)
    vouched = {bytes.fromhex(each) for each in entries.iterator(chunk_size=4096)}
    studies = AuditEntry.objects.filter(act=AuditAct.STUDY_RECORDED).values_list("object", flat=True)
    for name in VOUCHED:
        model = apps.get_model("desk", name)
        rows = model._default_manager.order_by("pk")
        if (path := _STUDIED.get(name)) is not None and studies:
            rows = rows.exclude(**{f"{path}__audit_id__in": list(studies)})
        for row, digest in audit.record_digests(rows):
            if bytes.fromhex(digest) not in vouched:
                yield Unvouched(model._meta.verbose_name or name, str(row))


VOUCHED = (
    *("Person", "RoleGrant", "Certificate", "Policy", "HouseDeclaration", "Enrolment", "Session"),
    *("AuthenticatorApp", "Passkey", "LinkedAccount", "FactorReset", "Proposal", "Approval", "ProposalEnd"),
    *("Investigation", "InvestigationUrgency", "Reveal", "TextLook", "Submission", "Assessment", "Outcome", "Skip"),
    *("SetAside", "Pool", "PoolMember", "Escalation", "EscalationEvent", "DutyContact", "TalkTo", "PaceRule"),
    *("FrameworkApproval", "ImportedFramework", "ConfiguredFramework", "DerivationRun", "CalibrationSession"),
    *("CalibrationResult", "QualitySample", "QualityLook", "QualityFinding", "QualityReview", "ConfirmingPair"),
    *("PairResult", "AlterationApart", "HouseList", "Deconfliction", "DeconflictionTerm", "ReleaseBatch"),
    *("Withdrawal", "PublishedEdition", "PartnerKey", "Subscription", "FeedCredential", "FeedStep", "FeedVote"),
    *("ExportedFile", "FeedbackSwitch", "FeedbackOpinion", "ListDecision", "ListLookedUp", "EntryReview"),
    *("EntryFinding", "ApiKey", "LookupWindow", "LookupCount", "MatchAlarm", "WebhookEndpoint", "Publication"),
    *("Hold", "Tombstone", "StorageAlarm", "TrustStep"),
)
"""Tables each row of which is added by an act whose entry holds its digest."""

_STUDIED = {"Assessment": "revision__stack__investigation", "Outcome": "investigation"}

_NAMED_BY = {
    AuditAct.ROLE_GRANTED: "person__audit_id",
    AuditAct.CERTIFICATE_RECORDED: "person__audit_id",
    AuditAct.ASSIGNMENT_GIVEN_BACK: "assignment__audit_id",
    AuditAct.ASSIGNMENT_MADE_BY_HAND: "assignment__audit_id",
    AuditAct.ESCALATION_STAGE: "escalation__audit_id",
    AuditAct.URGENCY_SET: "investigation__audit_id",
}
"""How the row is found whose entry names another row as its object."""


def _named(row: AuditEntry, model: type[Audited]) -> dict[str, object]:
    if row.act in (AuditAct.REVEAL_GRANTED, AuditAct.TEXT_LOOK_GRANTED):
        return {"audit_id": row.grant}
    return {_NAMED_BY.get(AuditAct(row.act), "audit_id"): row.object}


def _tables() -> Iterator[tuple[str, type[Audited]]]:
    names = {
        AuditAct.POLICY_DECLARED: "Policy",
        AuditAct.FRAMEWORK_APPROVED: "FrameworkApproval",
        AuditAct.PERSON_ENROLLED: "Person",
        AuditAct.ROLE_GRANTED: "RoleGrant",
        AuditAct.CERTIFICATE_RECORDED: "Certificate",
        AuditAct.INVESTIGATION_CREATED: "Investigation",
        AuditAct.IMPORT_APPROVED: "Import",
        AuditAct.IMPORT_STARTED: "Import",
        AuditAct.REVEAL_GRANTED: "Reveal",
        AuditAct.TEXT_LOOK_GRANTED: "TextLook",
        AuditAct.SUBMISSION_HELD: "Submission",
        AuditAct.ASSESSMENT_SUBMITTED: "Assessment",
        AuditAct.DISPUTE_OPENED: "Assignment",
        AuditAct.OUTCOME_SETTLED: "Outcome",
        AuditAct.OUTCOME_COPIED: "Outcome",
        AuditAct.ASSIGNMENT_GIVEN_BACK: "Skip",
        AuditAct.ASSIGNMENT_MADE_BY_HAND: "SetAside",
        AuditAct.CONTACT_DECLARED: "DutyContact",
        AuditAct.ESCALATION_RAISED: "Escalation",
        AuditAct.ESCALATION_STAGE: "EscalationEvent",
        AuditAct.URGENCY_SET: "InvestigationUrgency",
    }
    for act, name in names.items():
        yield act.value, apps.get_model("desk", name)


def _entry(row: AuditEntry) -> LogEntry:
    try:
        return audit.entry_of(row)
    except AuditLogError as error:
        raise audit.AuditDamaged(f"the database was changed: {error}") from None
