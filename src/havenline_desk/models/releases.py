"""The lists of this house: what two people released, what was withdrawn, what was published."""

from __future__ import annotations

from django.db import models

from havenline.formats.edition import ListKind

from .assessments import Outcome
from .audit import Audited
from .files import File
from .investigations import Investigation
from .people import Person
from .proposals import Proposal
from .stacks import StackRevision


class HouseList(Audited):
    """A hash list that this house publishes, of one kind; its name is that of its folder of editions."""

    name = models.CharField(max_length=64, unique=True)
    kind = models.CharField(max_length=24, choices=[(kind.value, kind.value) for kind in ListKind])
    made_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class DeconflictionAnswer(models.TextChoices):
    CLEAR = "clear", "the police have no objection"
    HOLD = "hold", "the police ask to wait"


class Deconfliction(Audited):
    """What the police said of an investigation, or of one outcome in it; of both, the newest row counts."""

    investigation = models.ForeignKey(Investigation, on_delete=models.PROTECT, related_name="deconflictions")
    outcome = models.ForeignKey(Outcome, on_delete=models.PROTECT, related_name="deconflictions", null=True)
    answer = models.CharField(max_length=8, choices=DeconflictionAnswer)
    reference = models.CharField(max_length=64, help_text="of the police's answer")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    answered_at = models.DateTimeField()


class DeconflictionTerm(Audited):
    """After how many days without an answer of the police a release need not wait; without a row it always waits."""

    days = models.PositiveSmallIntegerField()
    declared_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    declared_at = models.DateTimeField()


class ConfirmingPair(Audited):
    """Two further blind assessments of a settled file, so that it may be released; nobody who saw it makes one.

    The outcome stands as it is, whatever they find. Once for each outcome: nobody asks until two agree.
    """

    outcome = models.OneToOneField(Outcome, on_delete=models.PROTECT, related_name="confirming")
    revision = models.OneToOneField(StackRevision, on_delete=models.PROTECT, related_name="confirming")
    asked_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    opened_at = models.DateTimeField()


class PairVerdict(models.TextChoices):
    AGREES = "agrees", "both agree with what stands"
    DIFFERS = "differs", "both agree with each other, and not with what stands"
    SPLIT = "split", "the two differ"


class PairResult(Audited):
    """What a confirming pair found, from its two assessments; only `agrees` lets the file be released."""

    pair = models.OneToOneField(ConfirmingPair, on_delete=models.PROTECT, related_name="result")
    verdict = models.CharField(max_length=8, choices=PairVerdict)
    found_at = models.DateTimeField()


class AlterationApart(Audited):
    """Two people named the original of an alteration, and no kept perceptual hash of one lies near one of the other.

    How far they are apart is not kept. `radius`: the bits within which nothing lies.
    """

    outcome = models.OneToOneField(Outcome, on_delete=models.PROTECT, related_name="apart")
    original = models.ForeignKey(File, on_delete=models.PROTECT, related_name="+")
    radius = models.PositiveSmallIntegerField()
    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="+")
    shown_at = models.DateTimeField()


class ReleaseBatch(Audited):
    """Outcomes that somebody proposes for release together; `digest` covers every byte that would go out."""

    list = models.ForeignKey(HouseList, on_delete=models.PROTECT, related_name="batches")
    entries = models.PositiveIntegerField()
    digest = models.CharField(max_length=64, help_text="SHA-256 over the lines that would be released")
    made_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField()


class BatchedEntry(models.Model):
    """One outcome in a batch, under the random id that its entry would have."""

    batch = models.ForeignKey(ReleaseBatch, on_delete=models.PROTECT, related_name="batched")
    outcome = models.ForeignKey(Outcome, on_delete=models.PROTECT, related_name="+")
    entry = models.CharField(max_length=32, unique=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("batch", "outcome"), name="one_entry_per_batch_and_outcome"),)


class ReleasedEntry(Audited):
    """One file on one list, as two people released it. The values themselves stay with the file.

    `algorithms`: which values go out. `first_number`: the first edition that carries it, null until then.
    """

    list = models.ForeignKey(HouseList, on_delete=models.PROTECT, related_name="released")
    entry = models.CharField(max_length=32, unique=True)
    file = models.ForeignKey(File, on_delete=models.PROTECT, related_name="released")
    outcome = models.ForeignKey(Outcome, on_delete=models.PROTECT, related_name="released")
    algorithms = models.JSONField()
    framework = models.CharField(max_length=64)
    framework_version = models.CharField(max_length=32)
    code = models.CharField(max_length=64, blank=True)
    assessments = models.PositiveSmallIntegerField()
    mark = models.CharField(max_length=16, blank=True)
    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="released")
    released_at = models.DateTimeField()
    first_number = models.PositiveIntegerField(null=True)

    class Meta:
        indexes = (models.Index(fields=("list", "file"), name="released_list_and_file"),)


class WithdrawalReason(models.TextChoices):
    NOT_CRIMINAL = "not_criminal", "not criminal under the law it was released under"
    CORRECTED = "corrected", "the outcome was corrected"
    WRONG_PICTURE = "wrong_picture", "it finds another, lawful picture"
    AUTHORITY = "authority", "an authority or a court asks for it"
    PARTNER = "partner", "a partner's dispute was upheld"
    ERROR = "error", "released by mistake"


class Withdrawal(Audited):
    """An entry is in force no longer, for good. `first_number`: the first edition without it, null until then.

    `person`: none where a corrected outcome withdrew it by itself.
    """

    entry = models.OneToOneField(ReleasedEntry, on_delete=models.PROTECT, related_name="withdrawal")
    reason = models.CharField(max_length=24, choices=WithdrawalReason)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+", null=True)
    withdrawn_at = models.DateTimeField()
    first_number = models.PositiveIntegerField(null=True)


class PublishedEdition(Audited):
    """A numbered edition of a list of this house; its files lie in the data folder and have exactly this digest."""

    list = models.ForeignKey(HouseList, on_delete=models.PROTECT, related_name="editions")
    number = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)
    root = models.CharField(max_length=64)
    entries = models.PositiveIntegerField()
    added = models.PositiveIntegerField()
    withdrawn = models.PositiveIntegerField()
    published_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("list", "number"), name="one_edition_per_number"),)
