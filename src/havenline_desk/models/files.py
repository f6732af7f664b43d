"""Files by SHA-256, what was computed from their bytes, and which lists they lie on or near."""

from __future__ import annotations

from django.db import models

from havenline.vocabulary import PDQ_FULL, HashKind, Refusal


def _choices(words: type[Refusal] | type[HashKind]) -> list[tuple[str, str]]:
    return [(word.value, word.value) for word in words]


class File(models.Model):
    """One SHA-256, however often it was posted. `refusal` says why there is no perceptual hash."""

    sha256 = models.CharField(max_length=64, unique=True)
    sha1 = models.CharField(max_length=40)
    md5 = models.CharField(max_length=32)
    size = models.BigIntegerField()
    media_type = models.CharField(max_length=64, blank=True)
    width = models.IntegerField(null=True)
    height = models.IntegerField(null=True)
    refusal = models.CharField(max_length=32, choices=_choices(Refusal), blank=True)
    refusal_detail = models.TextField(blank=True)

    @property
    def perceptual_hash(self) -> PerceptualHash | None:
        """The full-size hash of the picture as stored; costs no query where `perceptual_hashes` is prefetched."""
        return next((each for each in self.perceptual_hashes.all() if each.pipeline == PDQ_FULL), None)


class PerceptualHash(models.Model):
    file = models.ForeignKey(File, on_delete=models.PROTECT, related_name="perceptual_hashes")
    pipeline = models.CharField(max_length=32)
    pdq = models.CharField(max_length=64)
    quality = models.SmallIntegerField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("file", "pipeline"), name="one_hash_per_pipeline"),)


class FrameHash(models.Model):
    """One frame of a film, or of the sample of an animated picture; `second` counts from its beginning.

    `upright`: turned as the file's mark says, beside the frame in stored order; there is none where no mark turns it.
    """

    file = models.ForeignKey(File, on_delete=models.PROTECT, related_name="frame_hashes")
    second = models.FloatField()
    pdq = models.CharField(max_length=64)
    quality = models.SmallIntegerField()
    upright = models.BooleanField(default=False)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("file", "second", "upright"), name="one_hash_per_moment"),)


class StoredContent(models.Model):
    """Where the bytes of a file lie, under a random name so that a storage administrator learns nothing."""

    file = models.OneToOneField(File, on_delete=models.PROTECT, related_name="stored")
    object_name = models.CharField(max_length=64, unique=True)
    stored_at = models.DateTimeField()


class Edition(models.Model):
    """An immutable numbered publication of a hash list that matching has read."""

    list_name = models.CharField(max_length=128)
    number = models.IntegerField()
    digest = models.CharField(max_length=64)
    entries = models.IntegerField()
    first_read_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("list_name", "number", "digest"), name="one_row_per_edition"),)


class Match(models.Model):
    """A lead, never a verdict; hidden from assessors until both assessments are in."""

    file = models.ForeignKey(File, on_delete=models.PROTECT, related_name="matches")
    edition = models.ForeignKey(Edition, on_delete=models.PROTECT)
    entry = models.CharField(max_length=256)
    kind = models.CharField(max_length=16, choices=_choices(HashKind))
    distance = models.SmallIntegerField()
    found_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("file", "edition", "entry"), name="one_match_per_file_and_entry"),
        )
