"""Release figures that two people agreed to publish, and have their manifest signed by the installation's key."""

from __future__ import annotations

import datetime as dt
import uuid

from django.conf import settings
from django.db import IntegrityError, transaction

from havenline.formats import publication_note
from havenline.formats.audit_log import ED25519, VerifierKey

from .. import audit
from ..agreement import Accord, ProposalRefused
from ..audit.key_file import KeyFileSigner
from ..keys import keyd
from ..models import AuditAct, Investigation, Publication


def record_publication(agreed: Accord, at: dt.datetime) -> None:
    """Record the release, inside the transaction that carries the proposal out.

    Raises ProposalRefused where a publication of that number, or of that manifest, was released before.
    """
    what = {name: str(value) for name, value in agreed.what.items()}
    investigation = Investigation.objects.filter(audit_id=uuid.UUID(what["investigation"])).first()
    if investigation is None:
        raise ProposalRefused("the investigation is not here; nothing was published")
    try:
        with transaction.atomic():
            publication = Publication.objects.create(
                reference=what["reference"],
                title=what["title"],
                investigation=investigation,
                period=what["period"],
                digest=what["digest"],
                proposal=agreed.proposal,
                released_at=at,
            )
    except IntegrityError:
        raise ProposalRefused(f"{what['reference']}, or these figures, were published before") from None
    audit.append(
        AuditAct.PUBLICATION_RELEASED,
        at=at,
        actor=agreed.people[0],
        about=publication,
        investigation=investigation,
        record=publication,
    )


def sign_publication(publication: Publication) -> bytes:
    """The signature of a released publication, as `manifest.sig`; asked again, it is the same.

    Raises KeydRefused or KeydUnreachable from the key process, AuditUnavailable without a key. Nothing is written here.
    """
    approval = publication.proposal.approvals.select_related("person").order_by("pk").first()
    if approval is None:
        raise ProposalRefused("nobody agreed to this publication; it is not signed")
    client = keyd()
    if client is None:
        try:
            signer = KeyFileSigner.of(settings.HOME / "audit_signing_key")
        except (OSError, ValueError):
            raise audit.AuditUnavailable("the key that signs publications cannot be read; nothing was signed") from None
        key = VerifierKey(signer.name, ED25519, signer.public_key)
        return publication_note.note(key, publication.digest, signer.sign_publication(publication.digest))
    status = client.status()
    key = VerifierKey(str(status["origin"]), ED25519, bytes.fromhex(status["public_key"]))
    by, second = publication.proposal.proposer.audit_id.hex, approval.person.audit_id.hex
    return publication_note.note(
        key, publication.digest, client.sign_publication(publication.digest, by=by, second=second)
    )
