"""How well grouping did on the demo collection, against the truth of every file."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from havenline.testing.truth import Truth, TruthFile
from havenline.vocabulary import QUALITY_FLOOR

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class HardKind:
    """What became of one kind that nothing is promised of.

    `files` of it exist; `comparable` of them have quality 50 or more, and so has their original; `found` of
    those share a stack with their original. A picture that is its own original has nothing to be found with.
    `strangers` of the files share a stack with a file of another original.
    """

    kind: str
    files: int
    comparable: int
    found: int
    strangers: int
    own_original: bool


@dataclass(frozen=True, slots=True)
class Score:
    """The result of `score`. Pairs are of paths; the second path of `missed` is the original.

    `promised` counts pairs of a near or exact file and its original, both of quality 50 or more; `too_flat`
    those left out because one side is of less. `unrelated` are pairs in one stack whose originals differ,
    pictures of the hard set and their copies left out. `hashed`, `refused` and `unanswered` add up to all
    files; `refusals_due` counts the files that had to be refused, `refusals_met` those of them that were.
    `exact_due` counts exact copies, `exact_met` those in one stack with their original, whatever the quality.
    `separate_met` of `separate_due` rotated pictures share a stack with no other file.
    """

    files: int
    promised: int
    missed: tuple[Pair, ...]
    too_flat: int
    unrelated: tuple[Pair, ...]
    hashed: int
    refused: int
    unanswered: tuple[str, ...]
    refusals_due: int
    refusals_met: int
    exact_due: int
    exact_met: int
    separate_due: int
    separate_met: int
    hard: tuple[HardKind, ...]

    @property
    def found(self) -> int:
        """Promised pairs that share a stack."""
        return self.promised - len(self.missed)

    @property
    def passed(self) -> bool:
        """Whether every promise of the demo collection is kept; the hard set does not count."""
        return (
            not self.missed
            and not self.unrelated
            and not self.unanswered
            and self.refused == self.refusals_due == self.refusals_met
            and self.exact_met == self.exact_due
            and self.separate_met == self.separate_due
        )

    def render(self) -> str:
        """A short table for a terminal, without colour, at most 90 columns wide."""
        rows = [
            ("files", f"{self.files}", f"{self.hashed} hashed, {self.refused} refused"),
            ("files that ended with neither", f"{len(self.unanswered)}", _verdict(not self.unanswered)),
            ("damaged files refused", f"{self.refusals_met} of {self.refusals_due}", self._refusal_verdict()),
            ("near-duplicates found", f"{self.found} of {self.promised}", _verdict(not self.missed)),
            ("unrelated pairs in one stack", f"{len(self.unrelated)}", _verdict(not self.unrelated)),
            ("exact copies together", *_of(self.exact_met, self.exact_due)),
            ("files to be kept apart", *_of(self.separate_met, self.separate_due)),
        ]
        lines = ["Score on the demo collection (the truth of every file is known)"]
        lines += [f"  {name:<32}{amount:>12}  {note}".rstrip() for name, amount, note in rows]
        lines += ["Hard set, reported and not promised", *self._hard_lines()]
        return "\n".join(lines)

    def _hard_lines(self) -> Iterator[str]:
        """All altered and converted forms are one line: nothing printed says which change does what to a match."""
        forms = [kind for kind in self.hard if not kind.own_original]
        if forms:
            found, strangers = sum(kind.found for kind in forms), sum(kind.strangers for kind in forms)
            yield _line("other forms of a picture", str(sum(kind.files for kind in forms)), found, "found", strangers)
        for kind in self.hard:
            if kind.own_original:
                flat = kind.files - kind.comparable
                yield _line(kind.kind, str(kind.files), flat, "too flat to compare", kind.strangers)

    def _refusal_verdict(self) -> str:
        return _verdict(self.refused == self.refusals_due == self.refusals_met)


def _line(kind: str, files: str, count: int, what: str, strangers: int) -> str:
    return f"  {kind:<32}{files:>12}  {count} {what}, {strangers} with strangers"


def _verdict(kept: bool) -> str:
    return "as promised" if kept else "NOT AS PROMISED"


def _of(met: int, due: int) -> tuple[str, str]:
    return f"{met} of {due}", _verdict(met == due)


def score(truth: Truth, stacks: Iterable[Collection[str]], fingerprints: Mapping[str, int | None]) -> Score:
    """Compare `stacks` (sets of paths) and `fingerprints` with the truth.

    `fingerprints` maps each path to the PDQ quality of its hash, or to None where the file was refused by
    name; a path that is missing ended with neither. Stacks of one file may be left out. Paths are those of
    the truth, below the collection folder; others are ignored. Raises ValueError when a path is in two
    stacks. Not checked: whether a refusal names the right reason, and who represents a stack.
    """
    files = {file.path: file for file in truth.files}
    originals = truth.originals()
    together = _Stacks(stacks, files)
    firm = {path for path, file in files.items() if "hard" not in (file.group, files[originals[file.original]].group)}

    def comparable(path: str) -> bool:
        quality = fingerprints.get(path)
        return quality is not None and quality >= QUALITY_FLOOR

    def pairs(*groups: str) -> list[Pair]:
        """Files of these groups with their original, those that are their own original left out."""
        return [
            (path, originals[file.original])
            for path, file in files.items()
            if file.group in groups and originals[file.original] != path
        ]

    near, exact = pairs("near", "exact"), pairs("exact")
    promised = [pair for pair in near if comparable(pair[0]) and comparable(pair[1])]
    separate = [path for path, file in files.items() if file.group == "separate"]
    due = [path for path, file in files.items() if file.group == "refused"]
    return Score(
        files=len(files),
        promised=len(promised),
        missed=tuple(pair for pair in promised if not together.share(*pair)),
        too_flat=len(near) - len(promised),
        unrelated=tuple(together.strangers(firm)),
        hashed=sum(fingerprints.get(path) is not None for path in files),
        refused=sum(path in fingerprints and fingerprints[path] is None for path in files),
        unanswered=tuple(path for path in files if path not in fingerprints),
        refusals_due=len(due),
        refusals_met=sum(path in fingerprints and fingerprints[path] is None for path in due),
        exact_due=len(exact),
        exact_met=sum(together.share(*pair) for pair in exact),
        separate_due=len(separate),
        separate_met=sum(len(together.of(path)) == 1 for path in separate),
        hard=tuple(_hard_kinds(files, originals, together, {path for path in files if comparable(path)})),
    )


class _Stacks:
    """Which known paths are in one stack with which."""

    def __init__(self, stacks: Iterable[Collection[str]], files: Mapping[str, TruthFile]) -> None:
        self._files = files
        self._stacks: dict[str, tuple[str, ...]] = {}
        for stack in stacks:
            known = tuple(sorted(path for path in stack if path in files))
            for path in known:
                if path in self._stacks:
                    raise ValueError(f"{path} is in two stacks")
                self._stacks[path] = known

    def of(self, path: str) -> tuple[str, ...]:
        return self._stacks.get(path, (path,))

    def share(self, one: str, other: str) -> bool:
        return other in self.of(one)

    def has_stranger(self, path: str) -> bool:
        original = self._files[path].original
        return any(self._files[other].original != original for other in self.of(path))

    def strangers(self, among: Collection[str]) -> Iterator[Pair]:
        """Pairs of one stack whose originals differ, both in `among`."""
        for stack in sorted(set(self._stacks.values())):
            for one, other in combinations([path for path in stack if path in among], 2):
                if self._files[one].original != self._files[other].original:
                    yield one, other


def _hard_kinds(
    files: Mapping[str, TruthFile], originals: Mapping[str, str], together: _Stacks, comparable: set[str]
) -> Iterator[HardKind]:
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for path, file in files.items():
        if file.group != "hard":
            continue
        original = originals[file.original]
        tally = kinds[file.variant]
        tally["files"] += 1
        tally["own"] += original == path
        tally["strangers"] += together.has_stranger(path)
        if path in comparable and original in comparable:
            tally["comparable"] += 1
            tally["found"] += together.share(path, original)
    for kind, tally in sorted(kinds.items()):
        yield HardKind(
            kind, tally["files"], tally["comparable"], tally["found"], tally["strangers"], bool(tally["own"])
        )
