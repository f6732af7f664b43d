"""Record that an alteration's perceptual hash cannot hit its original, as two people agreed: then it may go out too."""

from __future__ import annotations

import datetime as dt

from havenline.vocabulary import LARGEST_RADIUS, QUALITY_FLOOR

from .. import audit
from ..agreement import Accord, ProposalRefused
from ..models import AlterationApart, AuditAct, File, Outcome, PerceptualHash, row_named
from ..waiting import decided_by
from .record_quorum import record_quorum


def record_apart(agreed: Accord, at: dt.datetime) -> None:
    """Compare every kept hash of the one with every kept hash of the other, inside the transaction that carries it out.

    The widest radius that a list can be given here is what they must lie beyond. Raises ProposalRefused where an
    outcome stands no longer, both are the same file, one has no hash of the floor's quality any more (an item that is
    cleared loses its own), or two lie within it. Not checked: that this is the original, that there is no other, and
    hashes of either in forms that are not kept, such as turned ones.
    """
    outcome, original = (_standing(str(agreed.what[name])) for name in ("outcome", "original"))
    if outcome.file_id == original.file_id:
        raise ProposalRefused("this is the same file twice; nothing was recorded")
    if AlterationApart.objects.filter(outcome=outcome).exists():
        raise ProposalRefused("this is recorded already; nothing was changed")
    ours, theirs = _kept(outcome.file), _kept(original.file)
    if not ours or not theirs:
        raise ProposalRefused(
            f"one of the two has no perceptual hash of quality {QUALITY_FLOOR} here any more, so nothing can be shown; "
            "nothing was recorded"
        )
    if any((one ^ other).bit_count() <= LARGEST_RADIUS for one in ours for other in theirs):
        raise ProposalRefused(
            f"a hash of the one lies within {LARGEST_RADIUS} bits of one of the other, so it can hit the original; "
            "nothing was recorded, and the SHA-256 alone goes out"
        )
    shown = AlterationApart.objects.create(
        outcome=outcome, original=original.file, radius=LARGEST_RADIUS, proposal=agreed.proposal, shown_at=at
    )
    record_quorum([shown], people=len(agreed.people))
    audit.append(
        AuditAct.ALTERATION_APART,
        at=at,
        actor=agreed.people[0],
        about=shown,
        investigation=outcome.investigation,
        record=shown,
    )


def _standing(name: str) -> Outcome:
    """The outcome that people settled and that stands, of that random id or of the copy that has it."""
    found = row_named(Outcome.objects.filter(correction=None), name)
    if found is None:
        raise ProposalRefused(f"no outcome {name} stands here; nothing was recorded")
    return decided_by(found)


def _kept(file: File) -> list[int]:
    kept = PerceptualHash.objects.filter(file=file, quality__gte=QUALITY_FLOOR)
    return [int(value, 16) for value in kept.values_list("pdq", flat=True)]
