"""A desk full of drawn work for `bench/desk.py`: people, postings by the hundred thousand, a past, and pictures to see.

Of the postings one in ten is an exact copy and one in ten a near member of the stack before it. Three stacks in ten
were assessed twice before, by the very people of the benchmark. The pictures that can be handed out during a run are
drawn and sealed by `keyd`; of all others the rows are as an import leaves them, and no content is kept.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FACTS = {
    "picture_kind": "drawn",
    "shapes": "one",
    "largest_shape": "triangle",
    "largest_colour": "red",
    "photographic": "no",
    "altered": "no",
}
SIZE = (2048, 1456)
"""About three megapixels, as boards and phones show."""
_DRAWN = 24
_AT_ONCE = 100


@dataclass(frozen=True)
class Filled:
    """The analysts by name, and how many postings, stacks and waiting assignments there are."""

    analysts: list[Any]
    postings: int
    stacks: int
    waiting: int


def on_a_desk(run: Callable[[Any], int]) -> int:
    """What `run` returns, on a demo desk of its own that is thrown away after it; it is given what is wired."""
    from havenline_desk.sites.cluster import throwaway_folder
    from havenline_desk.sites.home import Home
    from havenline_desk.sites.wiring import wire

    for name in ("HAVENLINE_DATABASE_URL", "HAVENLINE_KEYD", "HAVENLINE_DECODERD"):
        os.environ.pop(name, None)
    folder = throwaway_folder()
    home = Home.locate(environ={"HAVENLINE_HOME": str(folder / "bench")}, uid=os.geteuid())
    home.create("demo")
    wired = wire(home, plain_loopback=True)
    try:
        from havenline_desk.sites.schema import bring_up_to_date

        bring_up_to_date()
        return run(wired)
    finally:
        from django.db import connections

        connections.close_all()
        wired.release()
        shutil.rmtree(folder, ignore_errors=True)


def fill(postings: int, analysts: int, kept: int, *, seed: int, at: dt.datetime) -> Filled:
    """Fill the desk that is wired. `kept` files, the first in the queue's order, get real pictures."""
    people = enrol(analysts, at=at)
    taken_in = take_in(postings, people, at=at)
    shown = keep_pictures(kept, seed=seed, at=at)
    return add_rows(taken_in, postings, shown, people[:analysts], at=at)


def enrol(analysts: int, *, at: dt.datetime) -> list[Any]:
    """The analysts, then a lead and the welfare lead; everybody may see far more than a person could."""
    from havenline_desk.actions.declare_policy import declare_policy
    from havenline_desk.actions.enrol_person import certify_person, enrol_person
    from havenline_desk.actions.set_budget import set_budget
    from havenline_desk.models import InstallationKind, Role
    from havenline_guard.keyd_wire import Budget

    declare_policy(InstallationKind.DEMO, content_legal_basis="drawn pictures of a benchmark", at=at)
    named = [(f"analyst-{number}", Role.ANALYST) for number in range(analysts)]
    people = [
        enrol_person(name, password=None, roles=(role,), at=at)
        for name, role in [*named, ("lead", Role.LEAD), ("welfare", Role.WELFARE)]
    ]
    much = Budget(per_hour=10**6, per_day=10**6, minutes=10**6, bytes_per_day=1 << 50, per_week=10**6)
    for person in people[:analysts]:
        certify_person(person, until=at + dt.timedelta(days=365), issued_by=None, at=at)
        set_budget(person, much, set_by=people[-1], second=people[-2], at=at)
    return people


def take_in(postings: int, people: list[Any], *, at: dt.datetime) -> Any:
    from havenline_desk.actions.create_investigation import create_investigation
    from havenline_desk.models import Import, Plan, SamplingRule, SourceKind

    lead = people[-2]
    investigation = create_investigation(
        "BENCH",
        source_kind=SourceKind.FORUM,
        period=(None, None),
        posted_total=postings,
        sampling_rule=SamplingRule.EVERYTHING,
        authorised_by=lead,
        legal_basis="drawn pictures of a benchmark",
        expires_on=at.date() + dt.timedelta(days=30),
        framework="demo.shapes",
        framework_version=None,
        plan=Plan.DOUBLE,
        at=at,
    )
    return Import.objects.create(
        investigation=investigation,
        collection="drawn",
        imported_by=lead,
        approved_by=lead,
        started_at=at,
        finished_at=at,
    )


def keep_pictures(kept: int, *, seed: int, at: dt.datetime) -> list[int]:
    """Draw, seal and record `kept` pictures; the numbers of their files. Each is a JPEG of its own."""
    from PIL import Image, ImageDraw

    from havenline.testing.drawing import choose_subject, draw_subject
    from havenline_desk import evidence
    from havenline_desk.models import File

    grounds = [
        Image.fromarray(draw_subject(choose_subject(seed, number), seed=seed, number=number, attempt=0)).resize(SIZE)
        for number in range(_DRAWN)
    ]
    numbers: list[int] = []
    for first in range(0, kept, _AT_ONCE):
        contents: list[tuple[Any, bytes]] = []
        for number in range(first, min(kept, first + _AT_ONCE)):
            picture = grounds[number % _DRAWN].copy()
            ImageDraw.Draw(picture).text((40, 40), f"BENIGN SAMPLE {number}", fill=(20, 20, 20), font_size=60)
            out = io.BytesIO()
            picture.save(out, "JPEG", quality=88)
            contents.append((_file(out.getvalue()), out.getvalue()))
        File.objects.bulk_create(file for file, _ in contents)
        evidence.keep(dict(contents), at=at)
        numbers += [file.pk for file, _ in contents]
    return numbers


def _file(content: bytes) -> Any:
    from havenline_desk.models import File

    return File(
        sha256=hashlib.sha256(content).hexdigest(),
        sha1=hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        md5=hashlib.md5(content, usedforsecurity=False).hexdigest(),
        size=len(content),
        media_type="image/jpeg",
        width=SIZE[0],
        height=SIZE[1],
    )


def add_rows(taken_in: Any, postings: int, kept: list[int], analysts: list[Any], *, at: dt.datetime) -> Filled:
    """Every row that an import of so many postings leaves, and a past, in SQL as the owner of the tables."""
    from django.db import connections, transaction

    from havenline.frameworks import load

    framework = load("demo.shapes")
    named = {
        "postings": postings,
        "files": postings * 9 // 10,
        "kept": len(kept),
        "numbers": kept,
        "investigation": taken_in.investigation_id,
        "import": taken_in.pk,
        "analysts": [person.pk for person in analysts],
        "at": at,
        "framework": framework.id,
        "version": framework.version,
    }
    with transaction.atomic("owner"), connections["owner"].cursor() as cursor:
        for statement in ROWS:
            cursor.execute(statement, named)
        counted = []
        for table, where in [("item", "true"), ("stack", "true"), ("assignment", "done_at IS NULL")]:
            cursor.execute(f"SELECT count(*) FROM desk_{table} WHERE {where}")
            counted.append(int(cursor.fetchone()[0]))
    with connections["owner"].cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")  # as the desk's own database would have done after an hour
    if counted[0] != postings:
        sys.exit(f"{counted[0]} postings were added where {postings} were asked for")
    return Filled(analysts, *counted)


ROWS = (
    # Kept files come first; `number` is the order of the queue.
    """
    CREATE TEMPORARY TABLE drawn ON COMMIT DROP AS
    SELECT number, (%(numbers)s::bigint[])[number] AS file, NULL::bigint AS revision, number %% 9 = 0 AS near
    FROM generate_series(1, %(files)s) number
    """,
    """
    INSERT INTO desk_file (sha256, sha1, md5, size, media_type, width, height, refusal, refusal_detail)
    SELECT encode(sha256(('drawn ' || number)::bytea), 'hex'), left(encode(sha256(('a' || number)::bytea), 'hex'), 40),
           md5('drawn ' || number), 400000, 'image/jpeg', 2048, 1456, '', ''
    FROM drawn WHERE number > %(kept)s ORDER BY number
    """,
    """
    UPDATE drawn SET file = f.id FROM desk_file f
    WHERE number > %(kept)s AND f.sha256 = encode(sha256(('drawn ' || number)::bytea), 'hex')
    """,
    "ANALYZE drawn",
    """
    INSERT INTO desk_perceptualhash (file_id, pipeline, pdq, quality)
    SELECT file, 'pdq-full/1', encode(sha256(('hash ' || number)::bytea), 'hex'), 90 FROM drawn
    """,
    """
    INSERT INTO desk_item (investigation_id, taken_in_id, collection, path, file_id, kind, state, imported_at)
    SELECT %(investigation)s, %(import)s, 'drawn', 'posted/' || posting || '.jpg', d.file, 'picture', 'viewable', %(at)s
    FROM generate_series(1, %(postings)s) posting
    JOIN drawn d ON d.number = CASE WHEN posting <= %(files)s THEN posting ELSE (posting - %(files)s) * 9 - 8 END
    """,
    """
    INSERT INTO desk_selection (item_id, rule, viewed_by_person, selected_at)
    SELECT id, 'everything', false, %(at)s FROM desk_item
    """,
    """
    INSERT INTO desk_stack (investigation_id, representative_id, formed_at)
    SELECT %(investigation)s, file, %(at)s FROM drawn WHERE NOT near ORDER BY number
    """,
    """
    INSERT INTO desk_stackrevision (stack_id, number, opened_at, frozen_at)
    SELECT s.id, 1, %(at)s, CASE WHEN d.number > %(files)s * 0.7 THEN %(at)s END
    FROM drawn d JOIN desk_stack s ON s.representative_id = d.file ORDER BY d.number
    """,
    """
    UPDATE drawn SET revision = r.id FROM desk_stack s JOIN desk_stackrevision r ON r.stack_id = s.id
    WHERE s.representative_id = file
    """,
    """
    INSERT INTO desk_stackmember (revision_id, file_id, place, why, distance, pipeline)
    SELECT coalesce(d.revision, before.revision), d.file, CASE WHEN d.near THEN 'near' ELSE 'shown' END,
           CASE WHEN d.near THEN 'within distance 31' ELSE 'representative' END, CASE WHEN d.near THEN 12 ELSE 0 END,
           'pdq-full/1'
    FROM drawn d LEFT JOIN drawn before ON before.number = d.number - 1 ORDER BY d.number
    """,
    """
    INSERT INTO desk_assignment
        (audit_id, revision_id, investigation_id, step, opened_at, waits_as_if_since, person_id, leased_at, expires_at,
         done_at)
    SELECT gen_random_uuid(), revision, %(investigation)s, step, %(at)s, %(at)s + number * interval '1 millisecond',
           CASE WHEN past THEN (%(analysts)s::bigint[])[1 + (number + turn) %% cardinality(%(analysts)s::bigint[])] END,
           CASE WHEN past THEN %(at)s END, CASE WHEN past THEN %(at)s END, CASE WHEN past THEN %(at)s END
    FROM (SELECT *, number > %(files)s * 0.7 AS past FROM drawn WHERE NOT near) d,
         (VALUES ('first', 0), ('second', 1)) AS steps (step, turn)
    ORDER BY number, turn
    """,
    """
    INSERT INTO desk_assessment (audit_id, revision_id, person_id, step, framework, framework_version, facts,
                                 ladder_step, active_seconds, started_at, submitted_at)
    SELECT gen_random_uuid(), revision_id, person_id, step, %(framework)s, %(version)s, '{}', 2, 20, %(at)s, %(at)s
    FROM desk_assignment WHERE done_at IS NOT NULL
    """,
    """
    INSERT INTO desk_reveal (audit_id, assignment_id, person_id, session_digest, file_id, ladder_step, purpose,
                             token_digest, granted_at, expires_at, used_at)
    SELECT gen_random_uuid(), a.id, a.person_id, repeat('0', 64), d.file, deep, a.step || ' assessment',
           encode(sha256((a.id || ' ' || deep)::bytea), 'hex'), %(at)s, %(at)s, %(at)s
    FROM desk_assignment a JOIN drawn d ON d.revision = a.revision_id, generate_series(1, 2) deep
    WHERE a.done_at IS NOT NULL
    """,
    """
    INSERT INTO desk_submission
        (audit_id, assignment_id, person_id, facts, same, active_seconds, submitted_at, recorded_at)
    SELECT gen_random_uuid(), id, person_id, '{}', '{}', 20, %(at)s, %(at)s
    FROM desk_assignment WHERE done_at IS NOT NULL
    """,
    """
    INSERT INTO desk_outcome (audit_id, investigation_id, file_id, revision_id, framework, framework_version, facts,
                              status, class_id, severity, rule_path, settled_by, viewed_by_person, settled_at)
    SELECT gen_random_uuid(), %(investigation)s, file, revision, %(framework)s, %(version)s, '{}', 'undetermined',
           '', '', '[]', 'agreement', true, %(at)s
    FROM drawn WHERE number > %(files)s * 0.7 AND NOT near
    """,
)
