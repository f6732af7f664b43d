"""The audit log: one row an act, never changed, and the checkpoints that were signed over it."""

from __future__ import annotations

import uuid
from typing import TypeVar

from django.contrib.postgres.functions import RandomUUID
from django.db import models

Row = TypeVar("Row", bound="Audited")


class Audited(models.Model):
    """A record that the audit log may name: by a random id that says nothing of it."""

    audit_id = models.UUIDField(default=uuid.uuid4, db_default=RandomUUID(), unique=True, editable=False)

    class Meta:
        abstract = True


def row_named(rows: models.QuerySet[Row], audit_id: str) -> Row | None:
    """The one of `rows` with that random id; None where none has it, or it is no id at all."""
    try:
        return rows.filter(audit_id=uuid.UUID(audit_id)).first()
    except ValueError:
        return None


class AuditAct(models.TextChoices):
    """What is logged; the codes are told in docs/formats/audit-log.md."""

    POLICY_DECLARED = "policy_declared", "declared what this installation is"
    FRAMEWORK_APPROVED = "framework_approved", "recorded the local approval of a framework"
    FRAMEWORK_IMPORTED = "framework_imported", "loaded a framework or scheme"
    FRAMEWORK_CONFIGURED = "framework_configured", "added a framework to an investigation"
    PERSON_ENROLLED = "person_enrolled", "enrolled a person"
    ROLE_GRANTED = "role_granted", "granted a role"
    ROLE_REVOKED = "role_revoked", "took a role away"
    CERTIFICATE_RECORDED = "certificate_recorded", "recorded a certificate"
    INVESTIGATION_CREATED = "investigation_created", "opened an investigation"
    IMPORT_ASKED = "import_asked", "asked on a page that an import run"
    IMPORT_STOPPED = "import_stopped", "asked on a page that an import stop"
    IMPORT_APPROVED = "import_approved", "approved an import"
    IMPORT_STARTED = "import_started", "started or resumed an import"
    POSTINGS_RECORDED = "postings_recorded", "took in a batch of postings"
    MATCHES_RECORDED = "matches_recorded", "looked an investigation up in hash lists"
    POSTINGS_SELECTED = "postings_selected", "selected postings for assessment"
    STACKS_FORMED = "stacks_formed", "formed stacks and opened their assignments"
    IMPORT_FINISHED = "import_finished", "finished an import"
    ASSIGNMENT_TAKEN = "assignment_taken", "was given an assignment"
    ASSIGNMENT_GIVEN_BACK = "assignment_given_back", "gave an assignment back"
    ASSIGNMENT_MADE_BY_HAND = "assignment_made_by_hand", "set an assignment aside for a person"
    ASSIGNMENT_FREED = "assignment_freed", "freed an assignment of whom it was with, or for"
    REVEAL_GRANTED = "reveal_granted", "was granted a view"
    REVEAL_USED = "reveal_used", "used a view"
    REVEAL_FAILED = "reveal_failed", "was shown nothing for a view that was used"
    TEXT_LOOK_GRANTED = "text_look_granted", "was granted a look at a text of a file"
    SUBMISSION_HELD = "submission_held", "submitted, and may still take it back"
    SUBMISSION_TAKEN_BACK = "submission_taken_back", "took back what was submitted"
    ASSESSMENT_SUBMITTED = "assessment_submitted", "submitted an assessment"
    DISPUTE_OPENED = "dispute_opened", "two assessments differ, so a third person is asked"
    OUTCOME_SETTLED = "outcome_settled", "settled a file"
    OUTCOME_COPIED = "outcome_copied", "took over the outcome of a byte-identical file"
    OUTCOMES_DERIVED = "outcomes_derived", "derived settled facts under a further framework"
    URGENCY_SET = "urgency_set", "said how urgent an investigation is"
    POOL_CHANGED = "pool_changed", "made a pool, or put a person in or out"
    CONTACT_DECLARED = "contact_declared", "declared whom to telephone"
    ESCALATION_RAISED = "escalation_raised", "said that a child may be in danger now"
    ESCALATION_STAGE = "escalation_stage", "did what an escalation asks for"
    BUDGET_SET = "budget_set", "said how much a person may open"
    CARE_DECLARED = "care_declared", "declared when pauses are due, or whom to talk to"
    EXPOSURE_SEEN = "exposure_seen", "looked at what people are exposed to"
    CALIBRATION_STARTED = "calibration_started", "began a calibration on drawn pictures"
    CALIBRATION_CLOSED = "calibration_closed", "ended a calibration"
    QUALITY_SAMPLE_DRAWN = "quality_sample_drawn", "drew recent decisions to be looked over"
    QUALITY_LOOK = "quality_look", "was handed a sampled decision to look over"
    QUALITY_FINDING = "quality_finding", "looked over a sampled decision"
    REVIEW_OPENED = "review_opened", "opened a new assessment of a decision"
    STUDY_RECORDED = "study_recorded", "seeded the records of a study"
    HOUSE_DECLARED = "house_declared", "declared how many people work here"
    PROPOSAL_MADE = "proposal_made", "proposed an act that takes two people"
    PROPOSAL_APPROVED = "proposal_approved", "approved what another person proposed"
    PROPOSAL_CANCELLED = "proposal_cancelled", "cancelled a proposal"
    PROPOSAL_CARRIED_OUT = "proposal_carried_out", "carried out what two people had agreed to"
    LOG_SEEN = "log_seen", "looked into the audit log"
    PUBLICATION_RELEASED = "publication_released", "released a publication of figures"
    LOG_EXPORTED = "log_exported", "took the audit log out"
    LOG_REOPENED = "log_reopened", "closed the audit log and went on with a new one"
    BACKUP_TAKEN = "backup_taken", "took a backup"
    BACKUP_RESTORED = "backup_restored", "made this installation of a backup"
    SIGNED_IN = "signed_in", "signed in"
    SIGNED_OUT = "signed_out", "signed out"
    SIGN_IN_FAILED = "sign_in_failed", "an attempt to sign in failed"
    SIGN_IN_THROTTLED = "sign_in_throttled", "attempts to sign in were too many"
    SESSION_ENDED = "session_ended", "a session was ended"
    ENROLMENT_MADE = "enrolment_made", "made a one-time secret for setting up a first factor"
    FACTOR_RESET_AGREED = "factor_reset_agreed", "agreed with another that a person may set up new factors"
    FACTOR_RESET_CANCELLED = "factor_reset_cancelled", "signed in, which cancels the reset of their factors"
    FACTORS_RESET = "factors_reset", "took every factor away from a person, as two had agreed"
    FACTOR_ADDED = "factor_added", "set a factor up"
    FACTOR_REMOVED = "factor_removed", "took a factor away"
    FACTOR_CONFIRMED = "factor_confirmed", "showed a factor again"
    FACTOR_REFUSED = "factor_refused", "a factor was refused"
    RECOVERY_CODES_MADE = "recovery_codes_made", "made recovery codes"
    RECOVERY_CODE_USED = "recovery_code_used", "used a recovery code"
    ACCOUNT_LINKED = "account_linked", "linked an organisation's account"
    ACCOUNT_UNLINKED = "account_unlinked", "unlinked an organisation's account"
    HOLD_PLACED = "hold_placed", "placed a hold on kept content"
    CONTENT_DESTROYED = "content_destroyed", "destroyed kept content"
    STORAGE_ALARM_RAISED = "storage_alarm_raised", "an alarm about kept content was raised"
    STORAGE_ALARM_ENDED = "storage_alarm_ended", "what had raised an alarm about kept content was over"
    FEED_CREDENTIAL_MADE = "feed_credential_made", "made a partner's password for its feeds"
    FEED_CREDENTIAL_ENDED = "feed_credential_ended", "ended a partner's password for its feeds"
    FEED_STEP_TAKEN = "feed_step_taken", "a partner is served an edition"
    LIST_FILE_EXPORTED = "list_file_exported", "wrote a published list to a file for a partner"
    FEED_VOTE_RECEIVED = "feed_vote_received", "a partner voted on an entry that it was served"
    ENTRY_REVIEW_OPENED = "entry_review_opened", "a released entry is to be looked at again"
    ENTRY_REVIEWED = "entry_reviewed", "looked at a disputed entry, and said what follows"
    FEEDBACK_SWITCHED = "feedback_switched", "said whether opinions go back to a partner"
    FEEDBACK_PROPOSED = "feedback_proposed", "a settled outcome says something of a partner's entry"
    FEEDBACK_SENT = "feedback_sent", "sent an opinion to a partner"
    FEEDBACK_GIVEN_UP = "feedback_given_up", "an opinion could not be sent to a partner"
    FEEDBACK_RETRIED = "feedback_retried", "asked that an opinion be sent again"
    PERSON_CLOSED = "person_closed", "closed a person's account"
    HOUSE_LIST_OPENED = "house_list_opened", "opened a list of this house"
    DECONFLICTION_RECORDED = "deconfliction_recorded", "recorded what the police said before a release"
    DECONFLICTION_DECLARED = "deconfliction_declared", "declared after how many days a release need not wait"
    PAIR_OPENED = "pair_opened", "asked two others to assess a settled file, so that it may be released"
    PAIR_CLOSED = "pair_closed", "two others had assessed a settled file"
    ALTERATION_APART = "alteration_apart", "showed that an alteration and its original are far apart, as two agreed"
    RELEASE_BATCHED = "release_batched", "put outcomes together for release"
    ENTRIES_RELEASED = "entries_released", "released entries onto a list of this house"
    ENTRY_WITHDRAWN = "entry_withdrawn", "withdrew an entry from a list of this house"
    EDITION_PUBLISHED = "edition_published", "published an edition of a list of this house"
    OUTCOME_CORRECTED = "outcome_corrected", "corrected an outcome, as two had agreed"
    PARTNER_ENROLLED = "partner_enrolled", "enrolled a key of a partner, as two had agreed"
    LIST_SUSPENDED = "list_suspended", "suspended a partner's list"
    LIST_RESUMED = "list_resumed", "took a suspended list up again, in shadow"
    ENTRY_LET_THROUGH = "entry_let_through", "let an entry of a partner through the screen"
    TRUST_CHANGED = "trust_changed", "changed whom this house trusts, or what partners are to trust of it"
    LIST_LOOKED_UP = "list_looked_up", "looked an investigation up in a list that two had activated"
    PARTNER_SUSPENDED = "partner_suspended", "suspended a partner"
    SUBSCRIPTION_OPENED = "subscription_opened", "opened a list to a partner"
    SUBSCRIPTION_ENDED = "subscription_ended", "closed a list to a partner"
    CANARIES_MADE = "canaries_made", "made a partner's canaries for a list"
    API_KEY_MADE = "api_key_made", "made a key of the match service"
    API_KEY_ENDED = "api_key_ended", "ended a key of the match service"
    LOOKUPS_BEGUN = "lookups_begun", "began to answer a key of the match service"
    LOOKUPS_COUNTED = "lookups_counted", "counted what a key of the match service was answered"
    MATCH_ALARM_RAISED = "match_alarm_raised", "an alarm of the match service was raised"
    MATCH_ALARM_CLOSED = "match_alarm_closed", "closed an alarm of the match service"
    WEBHOOK_MADE = "webhook_made", "made a webhook"
    WEBHOOK_CHANGED = "webhook_changed", "changed a webhook"
    WEBHOOK_REPLAYED = "webhook_replayed", "had an event of a webhook sent once more"


URGENT_ACTS = frozenset(
    {
        AuditAct.POLICY_DECLARED,
        AuditAct.FRAMEWORK_APPROVED,
        AuditAct.FRAMEWORK_IMPORTED,
        AuditAct.PERSON_ENROLLED,
        AuditAct.ROLE_GRANTED,
        AuditAct.ROLE_REVOKED,
        AuditAct.CERTIFICATE_RECORDED,
        AuditAct.REVEAL_USED,
        AuditAct.PUBLICATION_RELEASED,
        AuditAct.LOG_EXPORTED,
        AuditAct.LOG_REOPENED,
        AuditAct.BACKUP_TAKEN,
        AuditAct.BACKUP_RESTORED,
        AuditAct.HOUSE_DECLARED,
        AuditAct.PROPOSAL_APPROVED,
        AuditAct.PROPOSAL_CARRIED_OUT,
        AuditAct.ENROLMENT_MADE,
        AuditAct.FACTOR_RESET_AGREED,
        AuditAct.FACTORS_RESET,
        AuditAct.FACTOR_ADDED,
        AuditAct.FACTOR_REMOVED,
        AuditAct.RECOVERY_CODE_USED,
        AuditAct.ACCOUNT_LINKED,
        AuditAct.PERSON_CLOSED,
        AuditAct.FEED_CREDENTIAL_MADE,
        AuditAct.LIST_FILE_EXPORTED,
        AuditAct.CONTACT_DECLARED,
        AuditAct.ESCALATION_RAISED,
        AuditAct.ESCALATION_STAGE,
        AuditAct.ENTRIES_RELEASED,
        AuditAct.EDITION_PUBLISHED,
        AuditAct.OUTCOME_CORRECTED,
        AuditAct.PARTNER_ENROLLED,
        AuditAct.API_KEY_MADE,
        AuditAct.API_KEY_ENDED,
        AuditAct.MATCH_ALARM_RAISED,
        AuditAct.MATCH_ALARM_CLOSED,
        AuditAct.WEBHOOK_MADE,
        AuditAct.LIST_SUSPENDED,
        AuditAct.LIST_RESUMED,
        AuditAct.ENTRY_LET_THROUGH,
        AuditAct.TRUST_CHANGED,
        AuditAct.FEEDBACK_SWITCHED,
    }
)
"""A checkpoint is signed at once after these: nobody may take such an act back unseen, not even for a minute."""


class AuditEntry(models.Model):
    """One act; its canonical bytes (docs/formats/audit-log.md) follow from these columns. Nothing is a foreign key."""

    seq = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    act = models.CharField(max_length=32)
    actor = models.UUIDField(null=True)
    object = models.UUIDField(null=True)
    purpose = models.CharField(max_length=40, blank=True)
    investigation = models.UUIDField(null=True)
    grant = models.UUIDField(null=True)
    record = models.CharField(max_length=64, blank=True)
    salt = models.CharField(max_length=32)
    prev_hash = models.CharField(max_length=64)
    entry_hash = models.CharField(max_length=64)

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = (models.Index(fields=("object",), name="audit_entry_object"),)


class AuditCheckpoint(models.Model):
    """The tree under a checkpoint that was signed, so that the next one costs only what came since.

    The signed checkpoint itself stands outside the database; a row here may be missing, and proves nothing.
    """

    size = models.BigIntegerField(db_index=True)
    peaks = models.TextField(help_text="roots of the full subtrees, largest first, hexadecimal, separated by spaces")
