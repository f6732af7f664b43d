"""The statistics that a hotline publishes, for the framework and the places that a snapshot names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from havenline.figures.definitions import (
    CountingRule,
    Dataset,
    Definition,
    Dimension,
    Node,
    Scope,
    Share,
    Statistics,
    Unit,
)
from havenline.figures.snapshot import SnapshotHead, column_of
from havenline.frameworks import CANNOT_DETERMINE, LegalStatus, QuestionKind

NOT_ASKED = "not_asked"
ELSEWHERE, UNKNOWN = "elsewhere", "unknown"
KINDS = {
    "picture": "Picture",
    "video": "Video",
    "text": "Text",
    "audio": "Audio",
    "link": "Link without a file",
    "unknown": "Not known",
}
DURATIONS = {
    "hour": ("Within one hour", 60),
    "day": ("Within a day", 24 * 60),
    "week": ("Within a week", 7 * 24 * 60),
    "month": ("Within 30 days", 30 * 24 * 60),
    "later": ("Later", None),
}
"""Code to label and the most minutes; a duration is in the first that it fits."""
NOT_YET = "not_yet"
TIMES = {
    "outcome": ("minutes_to_outcome", "From intake to outcome"),
    "list": ("minutes_to_list", "From intake to the hash list"),
    "notice": ("minutes_to_notice", "From intake to notice"),
    "removal": ("minutes_to_removal", "From notice to removal"),
}
LADDER = {"1": "Mosaic", "2": "Small and blurred, grey", "3": "Grey", "4": "Full view"}
MACHINE_MADE = ("machine_made", "ai_generated_wholly", "ai_generated_partly")
"""Questions whose yes says that a person judged an item to be made by a machine, wholly or partly."""

_CONFIRMED = {"step": LegalStatus.CRIMINAL.value}
_ASSESSED = {"step": "assessed"}
_OF_ASSESSED = Share("assessed", _ASSESSED)
_NO_VIEW = "byte-identical copies of an item that was assessed twice inherit its outcome"


def statistics_of(
    head: SnapshotHead, *, countries: Sequence[str], channels: Sequence[str], times: Sequence[str]
) -> Statistics:
    """Return what is counted of such a snapshot.

    `countries`, `channels`: codes that occur and are shown by themselves. `times`: those of `TIMES` that the records
    know at all; a time that nothing records gets no table, since a column of nothing would read as a fact.
    """
    places = {code: code for code in countries} | {ELSEWHERE: "Other countries", UNKNOWN: "Not known"}
    common = {
        "severity": _severity(head),
        "youngest_band": _answers(head, "youngest_band", "Apparent age band of the youngest"),
        "machine_made": Dimension.flat("machine_made", "Made by a machine", _yes_no(NOT_ASKED)),
    }
    items = {
        "step": _steps(head, not_selected=True),
        "class": _classes(head),
        "kind": Dimension.flat("kind", "Kind", KINDS),
        "perceived_sex": _answers(head, "perceived_sex", "Perceived sex"),
        "country": Dimension.flat("country", "Country of hosting", places, ranked=True),
        **{name: _flag(head, name) for name in flags_of(head)},
        **{f"to_{name}": _duration(f"to_{name}", TIMES[name][1]) for name in times},
        **common,
    }
    reports = {
        "step": _steps(head, not_selected=False),
        "channel": Dimension.flat("channel", "Source of the report", {code: _words(code) for code in channels}),
        "realistic": Dimension.flat("realistic", "Realistic", {"yes": "Realistic", "no": "Not realistic"}),
        **common,
    }
    pairs = {f"same:{one.id}": _same(one.id, one.text) for one in head.questions} | {
        "both:machine_made": Dimension.flat(
            "both:machine_made",
            "Made by a machine, by two people",
            {"both": "Both say yes", "one": "One says yes", "neither": "Neither says yes"},
        )
    }
    views = {"ladder_step": Dimension.flat("ladder_step", "Step of the ladder", LADDER, total="All views")}
    return Statistics(
        {Scope.ITEMS: items, Scope.REPORTS: reports, Scope.PAIRS: pairs, Scope.VIEWS: views},
        tuple(one for one in (*_of_items(head, times), *_of_reports(), *_of_work(head)) if _is_asked(head, one)),
    )


def _is_asked(head: SnapshotHead, definition: Definition) -> bool:
    """Whether the framework asks what the definition needs; a scheme need not know ages, sexes or categories."""
    needed = {"youngest_band": "youngest_band", "perceived_sex": "perceived_sex", "severity": head.severity_question}
    return bool(definition.by) and all(
        needed[name] is not None and head.question(str(needed[name])) is not None
        for name in definition.by
        if name in needed and definition.id != "kinds"
    )


def flags_of(head: SnapshotHead) -> tuple[str, ...]:
    """The columns of the flags that the framework asks."""
    return tuple(column_of(one.id) for one in head.questions if one.kind is QuestionKind.FLAG)


def _item(
    definition_id: str,
    title: str,
    says: str,
    *by: str,
    population: Mapping[str, str],
    shares: Sequence[Share],
    exclusions: Sequence[str] = (),
    each: bool = False,
    compared: bool = False,
    dataset: Dataset = Dataset.ITEMS,
) -> Definition:
    return Definition(
        id=definition_id,
        title=title,
        says=says,
        unit=Unit.ITEM,
        dataset=dataset,
        scope=Scope.ITEMS,
        rule=CountingRule.PER_ITEM,
        by=by,
        population=population,
        shares=tuple(shares),
        exclusions=tuple(exclusions),
        each=each,
        compared=compared,
    )


def _of_items(head: SnapshotHead, times: Sequence[str]) -> list[Definition]:
    # long: one plain declaration after another
    def of_confirmed(*names: str) -> Share:
        return Share("confirmed", {**_CONFIRMED, **dict.fromkeys(names, "")})

    unseen = "items that were not selected, or wait for their outcome"
    found = [
        _item(
            "funnel",
            "From posted to confirmed",
            "How far each posting of the period came",
            "step",
            population={},
            shares=[Share("posted", {"step": ""}), _OF_ASSESSED],
            compared=True,
        ),
        _item(
            "laws",
            "By law",
            "Under which law confirmed items fall; realistic are those that the law treats like a photograph",
            "class",
            population=_CONFIRMED,
            shares=[of_confirmed("class"), Share("assessed", {**_ASSESSED, "class": ""})],
            exclusions=["items that are not criminal under the named law, and undetermined ones"],
            compared=True,
        ),
        _item(
            "severity_age",
            "Severity by age",
            "Category of confirmed items by the apparent age band of the youngest child in each",
            "severity",
            "youngest_band",
            population=_CONFIRMED,
            shares=[of_confirmed("severity", "youngest_band")],
            exclusions=["items whose law knows no categories stand in a column of their own"],
            compared=True,
        ),
        _item(
            "severity_sex",
            "Severity by sex",
            "Category of confirmed items by the perceived sex of the children in each",
            "severity",
            "perceived_sex",
            population=_CONFIRMED,
            shares=[of_confirmed("severity", "perceived_sex")],
        ),
        _item(
            "kinds",
            "Pictures and videos",
            "Category of confirmed items by their kind; the shares are within each kind",
            "kind",
            "severity",
            population=_CONFIRMED,
            shares=[Share("all of the same kind", {**_CONFIRMED, "severity": ""})],
            compared=True,
        ),
        _item(
            "machine_made",
            "Made by a machine",
            "Which assessed items people judged to be made by a machine, wholly or partly",
            "machine_made",
            population=_ASSESSED,
            shares=[Share("assessed", {**_ASSESSED, "machine_made": ""})],
            exclusions=[unseen, "what a file says of its own origin, which decides nothing"],
        ),
        _item(
            "flags",
            "Flags",
            "How the flags of confirmed items were answered",
            *flags_of(head),
            population=_CONFIRMED,
            shares=[of_confirmed(*flags_of(head))],
            each=True,
        ),
        _item(
            "hosting",
            "Hosting",
            "In which country confirmed items were hosted when they were taken in",
            "country",
            population=_CONFIRMED,
            shares=[of_confirmed("country")],
            exclusions=["names of sites, services and hosts are never published"],
        ),
    ]
    for name in times:
        found.append(
            _item(
                f"time_to_{name}",
                TIMES[name][1],
                "How long it took, by hours and days that had passed",
                f"to_{name}",
                population=_ASSESSED if name == "outcome" else _CONFIRMED,
                shares=[Share("all in this table", {f"to_{name}": ""})],
                exclusions=[unseen, _NO_VIEW] if name == "outcome" else [unseen],
            )
        )
    return found


def _of_reports() -> list[Definition]:
    def declared(definition_id: str, title: str, says: str, *by: str, compared: bool = False) -> Definition:
        population = {} if by[0] in {"step", "channel"} else _CONFIRMED
        whole = {**population, **dict.fromkeys(by, "")}
        return Definition(
            id=definition_id,
            title=title,
            says=says,
            unit=Unit.REPORT,
            dataset=Dataset.REPORTS,
            scope=Scope.REPORTS,
            rule=CountingRule.PER_REPORT,
            by=by,
            population=population,
            shares=(Share("confirmed" if population else "all reports", whole),),
            exclusions=("reports without an item in this investigation",),
            compared=compared,
        )

    return [
        declared("reports", "Reports", "How far each report came: confirmed where one of its items is", "step",
                 compared=True),
        declared("report_sources", "Sources of reports", "Through which channel reports came, and what became of them",
                 "channel", "step"),
        declared("report_severity_age", "Reports by severity and age", "Confirmed reports by the most severe category "
                 "and the youngest apparent age band among their confirmed items", "severity", "youngest_band"),
        declared("report_realistic", "Realistic reports", "Confirmed reports with at least one realistic item",
                 "realistic", compared=True),
        declared("report_machine_made", "Reports of machine-made material", "Confirmed reports with at least one item "
                 "that people judged to be made by a machine", "machine_made", compared=True),
    ]  # fmt: skip


def _of_work(head: SnapshotHead) -> list[Definition]:
    agreement = Definition(
        id="agreement",
        title="Agreement",
        says="How often two people who assessed the same stack blind gave the same answer",
        unit=Unit.STACK,
        dataset=Dataset.ASSESSMENTS,
        scope=Scope.PAIRS,
        rule=CountingRule.PER_PAIR,
        by=tuple(f"same:{one.id}" for one in head.questions),
        each=True,
        shares=(Share("assessed twice", {f"same:{one.id}": "" for one in head.questions}),),
        exclusions=(
            "stacks that one person assessed",
            "questions that one of the two was not asked count as not compared",
        ),
    )
    both = Definition(
        id="machine_made_by_two",
        title="How sure the machine-made figures are",
        says="What two people who assessed the same stack blind said of its being made by a machine",
        unit=Unit.STACK,
        dataset=Dataset.ASSESSMENTS,
        scope=Scope.PAIRS,
        rule=CountingRule.PER_PAIR,
        by=("both:machine_made",),
        shares=(Share("assessed twice", {"both:machine_made": ""}),),
        exclusions=("stacks that one person assessed",),
    )
    exposure = Definition(
        id="exposure",
        title="Exposure",
        says="Views that were opened at each step of the ladder, of the whole team; a step that fewer than five people "
        "viewed is hidden",
        unit=Unit.VIEW,
        dataset=Dataset.WORK,
        scope=Scope.VIEWS,
        rule=CountingRule.PER_VIEW,
        by=("ladder_step",),
        shares=(Share("all views", {"ladder_step": ""}),),
        exclusions=("views in calibration",),
    )
    return [agreement, both, exposure]


def _steps(head: SnapshotHead, *, not_selected: bool) -> Dimension:
    words = head.statuses
    assessed = Node("assessed", "Assessed", tuple(status.value for status in LegalStatus))
    leaves = [
        Node(LegalStatus.CRIMINAL.value, f"Confirmed: {words.criminal}"),
        Node(LegalStatus.NOT_CRIMINAL.value, _first_up(words.not_criminal)),
        Node(LegalStatus.UNDETERMINED.value, _first_up(words.undetermined)),
    ]
    if not not_selected:
        top = Node("", "All reports", ("waiting", "assessed"))
        nodes = [top, Node("waiting", "Waiting"), assessed, *leaves]
        return Dimension("step", "Step", {node.code: node for node in nodes})
    top = Node("", "Posted", ("not_selected", "selected"))
    selected = Node("selected", "Selected", ("waiting", "assessed"))
    nodes = [top, Node("not_selected", "Not selected"), selected, Node("waiting", "Waiting"), assessed, *leaves]
    return Dimension("step", "Step", {node.code: node for node in nodes})


def _classes(head: SnapshotHead) -> Dimension:
    """Classes under the group that they belong to; those of no group stand directly under the total."""
    groups = {
        "group:realistic": "Realistic",
        "group:prohibited": "Not realistic, prohibited",
        "group:national": "Illegal under this law alone",
    }
    members: dict[str, list[str]] = {}
    top: list[str] = []
    for code, law in head.laws.items():
        if law.group is None:
            top.append(code)
            continue
        group = f"group:{law.group}"
        if group not in members:
            top.append(group)
        members.setdefault(group, []).append(code)
    nodes = {"": Node("", "Confirmed", tuple(top))}
    for group, codes in members.items():
        nodes[group] = Node(group, groups[group], tuple(codes))
    nodes |= {code: Node(code, f"{law.label} ({law.law})") for code, law in head.laws.items()}
    return Dimension("class", "Law", nodes)


def _severity(head: SnapshotHead) -> Dimension:
    asked = head.question(head.severity_question) if head.severity_question else None
    labels = {option.code: option.label for option in asked.options} if asked else {CANNOT_DETERMINE: "Not determined"}
    return Dimension.flat("severity", "Category", labels | {"none": "No category in this law"})


def _answers(head: SnapshotHead, question_id: str, title: str) -> Dimension:
    asked = head.question(question_id)
    labels = {option.code: option.label for option in asked.options} if asked else {}
    return Dimension.flat(question_id, title, labels | {NOT_ASKED: "Not asked"})


def _flag(head: SnapshotHead, column: str) -> Dimension:
    asked = next(one for one in head.questions if column_of(one.id) == column)
    return Dimension.flat(column, asked.text, {one.code: one.label for one in asked.options} | {NOT_ASKED: "Not asked"})


def _duration(name: str, title: str) -> Dimension:
    return Dimension.flat(
        name, title, {code: label for code, (label, _) in DURATIONS.items()} | {NOT_YET: "Not so far"}
    )


def _same(question_id: str, text: str) -> Dimension:
    labels = {"same": "The same answer", "differ": "Different answers", NOT_ASKED: "Not compared"}
    return Dimension.flat(f"same:{question_id}", text, labels)


def _yes_no(other: str) -> dict[str, str]:
    return {"yes": "Yes", "no": "No", CANNOT_DETERMINE: "Cannot determine", other: "Not asked"}


def _words(code: str) -> str:
    return _first_up(code.replace("_", " "))


def _first_up(text: str) -> str:
    return text[:1].upper() + text[1:]
