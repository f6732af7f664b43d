"""Investigations and what was taken into them: reports, locations, items, selections."""

from __future__ import annotations

from django.db import models

from havenline.judgement import Urgency

from .audit import Audited
from .files import File
from .people import Person


class SourceKind(models.TextChoices):
    FORUM = "forum", "forum"
    SITE = "site", "site"
    PLATFORM = "platform", "platform"
    PARTNER = "partner", "partner"
    TRAINING = "training", "drawn pictures of calibration sessions"
    OTHER = "other", "other"


class SamplingRule(models.TextChoices):
    EVERYTHING = "everything", "every viewable picture taken in is selected"
    BY_MANIFEST = "by-manifest", "the manifest says which postings are selected"


class Plan(models.TextChoices):
    SINGLE = "single", "single review"
    DOUBLE = "double", "double blind review"


class Investigation(Audited):
    reference = models.CharField(max_length=64, unique=True)
    source_kind = models.CharField(max_length=16, choices=SourceKind)
    period_start = models.DateField(null=True)
    period_end = models.DateField(null=True)
    posted_total = models.IntegerField(help_text="declared total of the source's postings in the period")
    sampling_rule = models.CharField(max_length=16, choices=SamplingRule)
    authorised_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    legal_basis = models.TextField()
    police_agreement = models.TextField(blank=True)
    expires_on = models.DateField(help_text="no import after this day")
    framework = models.CharField(max_length=64)
    framework_version = models.CharField(max_length=32)
    plan = models.CharField(max_length=8, choices=Plan)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.reference


class InvestigationUrgency(Audited):
    """What the lead said of an investigation's place in the queue; the newest counts."""

    investigation = models.ForeignKey(Investigation, on_delete=models.PROTECT, related_name="urgencies")
    urgency = models.CharField(max_length=16, choices=[(one.value, one.value) for one in Urgency])
    set_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    set_at = models.DateTimeField()


class Import(Audited):
    """One collection taken into one investigation; `finished_at` is empty while it is running or was stopped."""

    investigation = models.ForeignKey(Investigation, on_delete=models.PROTECT, related_name="imports")
    collection = models.CharField(max_length=200)
    imported_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    approved_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("investigation", "collection"), name="one_import_per_collection"),
        )


class ImportProblem(models.Model):
    """A posting whose bytes could not be read, or a manifest line that could not be used."""

    import_of = models.ForeignKey(Import, on_delete=models.PROTECT, related_name="problems")
    path = models.TextField()
    reason = models.CharField(max_length=32)
    detail = models.TextField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("import_of", "path", "reason"), name="one_row_per_problem"),)


class Location(models.Model):
    """Where something was seen. The server never opens the URL."""

    url = models.TextField(unique=True)
    service = models.CharField(max_length=200, blank=True)
    host = models.CharField(max_length=253, blank=True)
    country = models.CharField(max_length=2, blank=True)


class Report(models.Model):
    """What one reporter sent at one moment; never edited. An imported collection is reported by its importer."""

    reference = models.CharField(max_length=128, unique=True)
    channel = models.CharField(max_length=32)
    received_at = models.DateTimeField()
    locations = models.ManyToManyField(Location, related_name="reports")


class ItemKind(models.TextChoices):
    PICTURE = "picture", "picture"
    VIDEO = "video", "video"
    TEXT = "text", "text"
    AUDIO = "audio", "audio"
    LINK = "link", "link"
    UNKNOWN = "unknown", "unknown"


class ItemState(models.TextChoices):
    VIEWABLE = "viewable", "can be assessed from pixels"
    HASH_ONLY = "hash_only", "fingerprinted; content is not stored here"
    NOT_VIEWABLE = "not_viewable", "no picture could be made from it; the reason stands with its file"
    NO_FILE = "no_file", "named by the manifest without a file"


class Item(models.Model):
    """One posting, keyed by (investigation, collection, relative path, SHA-256)."""

    investigation = models.ForeignKey(Investigation, on_delete=models.PROTECT, related_name="items")
    taken_in = models.ForeignKey(Import, on_delete=models.PROTECT, related_name="items")
    collection = models.CharField(max_length=200)
    path = models.TextField()
    file = models.ForeignKey(File, on_delete=models.PROTECT, related_name="items", null=True)
    kind = models.CharField(max_length=16, choices=ItemKind)
    state = models.CharField(max_length=16, choices=ItemState)
    posted_at = models.DateTimeField(null=True)
    imported_at = models.DateTimeField()
    reports = models.ManyToManyField(Report, related_name="items")
    locations = models.ManyToManyField(Location, related_name="items")

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("investigation", "collection", "path", "file"),
                nulls_distinct=False,
                name="one_item_per_posting",
            ),
        )
        indexes = (
            models.Index(fields=("investigation", "imported_at"), name="item_taken_in"),
            models.Index(fields=("investigation", "file"), name="item_of_file"),
        )


class Selection(models.Model):
    """This posting was selected for assessment, by which rule and whether a person looked to decide it."""

    item = models.OneToOneField(Item, on_delete=models.PROTECT, related_name="selection")
    rule = models.CharField(max_length=16, choices=SamplingRule)
    viewed_by_person = models.BooleanField()
    selected_at = models.DateTimeField()
