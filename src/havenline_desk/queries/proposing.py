"""What can be proposed on a page, and what can be chosen there: people, frameworks, holds."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils.translation import gettext

from .. import gates
from ..gates import Act
from ..models import CONTENT_ROLES, Hold, House, Person, StoredContent
from .law import framework_lines

Choices = tuple[tuple[str, str], ...]


def choices_of(act: Act, *, person: Person) -> dict[str, Choices]:
    """By field of the form for `act`: each value that can be chosen and its label. Fields that are typed are absent."""
    if act is Act.CHANGE_HOUSE:
        now = gates.house()
        return {"house": tuple((one.value, gettext(one.label)) for one in House if one is not now)}
    if act is Act.APPROVE_FRAMEWORK:
        waiting = (line.ref for line in framework_lines() if line.approved is False)
        named = ((f"{ref.id} {ref.version}", ref.title) for ref in waiting)
        return {"framework": tuple((name, f"{title} ({name})") for name, title in named)}
    if act is Act.RAISE_BUDGET:
        seen = Person.objects.filter(role_grants__role__in=CONTENT_ROLES, role_grants__revoked_at=None)
        return {"person": _names(seen.distinct(), person)}
    if act is Act.RESET_FACTORS:
        return {"person": _names(Person.objects.all(), person)}
    if act is Act.RELEASE_HOLD:
        held = Hold.objects.filter(released_at=None, stored__tombstone=None).order_by("placed_at", "pk")
        rows = held.values_list("stored__object_name", "reference")
        return {"hold": tuple((f"{name} {reference}", f"{reference} ({name})") for name, reference in rows)}
    return {}


def is_kept(name: str) -> bool:
    """Whether content lies here under that random name, and was not destroyed."""
    return StoredContent.objects.filter(object_name=name, tombstone=None).exists()


def _names(people: QuerySet[Person], person: Person) -> Choices:
    """Everybody but oneself, by name."""
    shown = people.filter(is_active=True).exclude(pk=person.pk).order_by("name")
    return tuple((one.name, one.name) for one in shown)
