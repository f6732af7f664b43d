"""The repository of one publisher: its roles, what waits for signatures, and what partners may fetch.

```
publisher.json       name of the house, and how many people work there when the root was made
online/              keys of snapshot and timestamp
public/metadata/     what is served, together with
public/targets/      sealed pieces
staged/              root.json or targets.json without signatures, signatures beside it, pieces in targets/
recipients.json      opaque ids of partners
```
"""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast

from securesystemslib.exceptions import StorageError
from securesystemslib.signer import Key, Signature, SSlibKey
from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from havenline.repository.keys import make_online_key, online_key
from havenline.vocabulary import HavenlineError
from havenline.whole_file import write_whole

S = TypeVar("S", Root, Targets, Snapshot, Timestamp)

VALID = MappingProxyType(
    {
        Root.type: dt.timedelta(days=365),
        Targets.type: dt.timedelta(days=30),
        Snapshot.type: dt.timedelta(days=7),
        Timestamp.type: dt.timedelta(hours=48),
    }
)
THRESHOLD = 2
"""People who sign a root or targets, in every house: one person alone publishes nothing."""
KEYS_WANTED = MappingProxyType({"six_or_more": 3, "three_to_five": 2, "two": 2})
"""Keys of root and of targets that a house of so many people has at least; with one person there is no repository."""
_ONLINE = (Snapshot.type, Timestamp.type)


class RepositoryRefused(HavenlineError):
    """Nothing was made or published; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a repository stands: versions and ends in UTC by role, and what waits with how many valid signatures."""

    versions: Mapping[str, tuple[int, dt.datetime]]
    root_sha256: str | None
    waiting: str | None
    signatures: int


class Repository:
    """A repository in a folder. One process at a time stages; publishing and renewing wait for each other."""

    def __init__(self, folder: Path) -> None:
        """Not checked: that there is one; see `init`."""
        self.folder = folder
        self.metadata, self.targets = folder / "public" / "metadata", folder / "public" / "targets"
        self.staged, self._online = folder / "staged", folder / "online"

    def init(
        self, name: str, house: str, *, root: Sequence[SSlibKey], targets: Sequence[SSlibKey], at: dt.datetime
    ) -> Path:
        """Make the repository and stage its first root for signing; returns that file.

        `house`: how many people work there, as the desk's declaration has it. Raises RepositoryRefused, OSError.
        """
        _check_keys(house, root, targets)
        if (self.folder / "publisher.json").exists():
            raise RepositoryRefused(f"{self.folder}: there is a repository already; nothing was changed")
        for folder in (self.metadata, self.targets, self.staged, self._online):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = Root(expires=_until(Root.type, at), consistent_snapshot=True)
        self._give_roles(made, root, targets, new_online=True)
        path = self._stage(Root.type, Metadata(made))
        with write_whole(self.folder / "publisher.json", replace=False) as file:
            file.write(json.dumps({"name": name, "house": house}, indent=2).encode() + b"\n")
        return path

    def rotate_root(
        self,
        house: str,
        *,
        root: Sequence[SSlibKey],
        targets: Sequence[SSlibKey],
        new_online: bool,
        at: dt.datetime,
    ) -> Path:
        """Stage the next root, with these keys; two people of the last root and two of the new one sign it.

        `new_online`: the server's keys too, as after a theft; what was signed by the old ones then counts no more with
        a recipient, however high its version. Raises as `init`.
        """
        _check_keys(house, root, targets)
        made = self.root().signed
        made.version, made.expires = made.version + 1, _until(Root.type, at)
        for role in (Root.type, Targets.type, *(_ONLINE if new_online else ())):
            for keyid in list(made.roles[role].keyids):
                made.revoke_key(keyid, role)
        self._give_roles(made, root, targets, new_online=new_online)
        return self._stage(Root.type, Metadata(made))

    def root(self) -> Metadata[Root]:
        """The root that is published. Raises RepositoryRefused."""
        numbers = [int(path.name.split(".")[0]) for path in self.metadata.glob("*.root.json")]
        if not numbers:
            raise RepositoryRefused(f"{self.folder}: no root is published yet; have it signed, then publish it")
        return _read(Root, self.metadata / f"{max(numbers)}.root.json")

    def published_targets(self) -> Metadata[Targets] | None:
        """The targets that partners get now, None before the first."""
        snapshot = self._published_snapshot()
        if snapshot is None:
            return None
        version = snapshot.signed.meta["targets.json"].version
        return _read(Targets, self.metadata / f"{version}.targets.json")

    def stage_targets(self, targets: Targets) -> Path:
        """Put targets down for signing, in place of what waits. Their pieces lie in `staged/targets` or are public."""
        return self._stage(Targets.type, Metadata(targets))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until no other process changes what is published: the timer renews while people publish."""
        with (self.folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def publish(self, *, at: dt.datetime) -> str:
        """Publish what waits, where enough people signed it; returns the role. Nothing is published below that.

        A new root is published alone, or with snapshot and timestamp anew where their keys are new. Partners see the
        whole of it or nothing: the timestamp is written last. Done again after a crash it comes to the same.
        Raises RepositoryRefused, OSError.
        """
        with self._alone():
            return self._publish(at=at)

    def _publish(self, *, at: dt.datetime) -> str:
        waiting = self._waiting()
        if waiting is None:
            raise RepositoryRefused(f"{self.folder}: nothing waits for publication")
        role, signed = waiting
        missing = self._missing(role, signed)
        if missing:
            raise RepositoryRefused(
                f"{self.folder}: {missing} more of the {role} keys must sign; nothing was published"
            )
        if role == Root.type:
            self._write(f"{signed.signed.version}.root.json", signed)
            self._take_new_keys()
            if self.published_targets() is not None:
                self._renew(at=at, everything=True)
        else:
            self._publish_targets(cast("Metadata[Targets]", signed), at=at)
        shutil.rmtree(self.staged)
        self.staged.mkdir(mode=0o700)
        return role

    def renew(self, *, at: dt.datetime) -> bool:
        """Sign a timestamp anew, and the snapshot where it ends within three days; whether there was anything to sign.

        For a timer: partners refuse what is older than 48 hours. Raises RepositoryRefused, OSError.
        """
        if not self.metadata.exists():
            return False
        with self._alone():
            return self._renew(at=at, everything=False)

    def _renew(self, *, at: dt.datetime, everything: bool) -> bool:
        snapshot, timestamp = self._published_snapshot(), self._published(Timestamp)
        if snapshot is None or timestamp is None:
            return False
        if everything or snapshot.signed.expires - at < dt.timedelta(days=3):
            snapshot.signed.version += 1
            self._sign_snapshot(snapshot.signed, at=at)
        self._sign_timestamp(snapshot.signed, timestamp.signed.version + 1, at=at)
        return True

    def timestamp(self) -> tuple[int, dt.datetime] | None:
        """Version and end of the timestamp that is published; None before the first. Raises RepositoryRefused."""
        stands = self._published(Timestamp)
        return None if stands is None else (stands.signed.version, stands.signed.expires)

    def staged_targets(self) -> Metadata[Targets] | None:
        """The targets that wait for signatures, if any do. Raises RepositoryRefused."""
        path = self.staged / f"{Targets.type}.json"
        return _read(Targets, path) if path.exists() else None

    def waits(self) -> tuple[str, int, str] | None:
        """Role, version and digest of what waits for signatures, as its signers are shown it."""
        waiting = self._waiting()
        if waiting is None:
            return None
        role, metadata = waiting
        return role, metadata.signed.version, hashlib.sha256(metadata.signed_bytes).hexdigest()

    def standing(self) -> Standing:
        """How it stands. Raises RepositoryRefused."""
        versions: dict[str, tuple[int, dt.datetime]] = {}
        first = self.metadata / "1.root.json"
        if first.exists():
            for each in (self.root(), self.published_targets(), self._published_snapshot(), self._published(Timestamp)):
                if each is not None:
                    versions[each.signed.type] = (each.signed.version, each.signed.expires)
        waiting = self._waiting()
        return Standing(
            MappingProxyType(versions),
            hashlib.sha256(first.read_bytes()).hexdigest() if first.exists() else None,
            waiting[0] if waiting else None,
            self._valid(*waiting) if waiting else 0,
        )

    def _publish_targets(self, signed: Metadata[Targets], *, at: dt.datetime) -> None:
        self._place_pieces(signed.signed)
        self._write(f"{signed.signed.version}.targets.json", signed)
        before, last = self._published_snapshot(), self._published(Timestamp)
        made = Snapshot(version=before.signed.version + 1 if before else 1)
        made.meta["targets.json"] = MetaFile(signed.signed.version)
        self._sign_snapshot(made, at=at)
        self._sign_timestamp(made, last.signed.version + 1 if last else 1, at=at)
        self._sweep(signed.signed)

    def _place_pieces(self, targets: Targets) -> None:
        for path, target in targets.targets.items():
            place = self.targets / hashed_name(path, target.hashes["sha256"])
            staged = self.staged / "targets" / hashed_name(path, target.hashes["sha256"])
            if staged.exists():
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                staged.replace(place)
            if not place.exists():
                raise RepositoryRefused(f"{path}: is signed for and lies nowhere; stage anew, nothing was published")

    def _sweep(self, targets: Targets) -> None:
        """Take away pieces that no metadata names any more."""
        named = {hashed_name(path, target.hashes["sha256"]) for path, target in targets.targets.items()}
        for path in list(self.targets.glob("*/*/*.age")):
            if os.fspath(path.relative_to(self.targets)) not in named:
                path.unlink()

    def _sign_snapshot(self, snapshot: Snapshot, *, at: dt.datetime) -> None:
        snapshot.expires = _until(Snapshot.type, at)
        self._sign_online(snapshot, f"{snapshot.version}.snapshot.json")

    def _sign_timestamp(self, snapshot: Snapshot, version: int, *, at: dt.datetime) -> None:
        made = Timestamp(version=version, expires=_until(Timestamp.type, at))
        made.snapshot_meta = MetaFile(snapshot.version)
        self._sign_online(made, "timestamp.json")

    def _sign_online(self, signed: Snapshot | Timestamp, name: str) -> None:
        metadata: Metadata[Any] = Metadata(signed)
        metadata.sign(online_key(self._online / f"{signed.type}.key"))
        self._write(name, metadata)

    def _take_new_keys(self) -> None:
        """A root that is published counts: its online keys take the place of those before."""
        for role in _ONLINE:
            new = self._online / f"{role}.next.key"
            if new.exists() and online_key(new).public_key.keyid in self.root().signed.roles[role].keyids:
                new.replace(self._online / f"{role}.key")

    def _published_snapshot(self) -> Metadata[Snapshot] | None:
        timestamp = self._published(Timestamp)
        if timestamp is None:
            return None
        return _read(Snapshot, self.metadata / f"{timestamp.signed.snapshot_meta.version}.snapshot.json")

    def _published(self, kind: type[Timestamp]) -> Metadata[Timestamp] | None:
        path = self.metadata / f"{kind.type}.json"
        return _read(kind, path) if path.exists() else None

    def _waiting(self) -> tuple[str, Metadata[Root] | Metadata[Targets]] | None:
        """What was staged, with those signatures beside it that are of keys that count."""
        metadata: Metadata[Root] | Metadata[Targets]
        if (path := self.staged / f"{Root.type}.json").exists():
            metadata = _read(Root, path)
        elif (path := self.staged / f"{Targets.type}.json").exists():
            metadata = _read(Targets, path)
        else:
            return None
        role = metadata.signed.type
        for file in sorted(self.staged.glob(f"{role}.*.sig")):
            signature = read_signature(file)
            metadata.signatures[signature.keyid] = signature
        return role, metadata

    def _missing(self, role: str, signed: Metadata[Root] | Metadata[Targets]) -> int:
        """How many more must sign, of those who lack most."""
        return max(0, max(wanted - have for wanted, have in self._counts(role, signed)))

    def _valid(self, role: str, signed: Metadata[Root] | Metadata[Targets]) -> int:
        return min(have for _, have in self._counts(role, signed))

    def _counts(self, role: str, signed: Metadata[Root] | Metadata[Targets]) -> list[tuple[int, int]]:
        """Threshold and valid signatures, by each root that the staged file must satisfy."""
        roots = [signed.signed] if isinstance(signed.signed, Root) else []
        if role == Targets.type or signed.signed.version > 1:
            roots.append(self.root().signed)
        return [
            (result.threshold, len(result.signed))
            for result in (root.get_verification_result(role, signed.signed_bytes, signed.signatures) for root in roots)
        ]

    def _give_roles(
        self, made: Root, root: Sequence[SSlibKey], targets: Sequence[SSlibKey], *, new_online: bool
    ) -> None:
        roles: dict[str, Sequence[Key]] = {Root.type: root, Targets.type: targets}
        if new_online:
            roles |= {role: [make_online_key(self._online / f"{role}.next.key")] for role in _ONLINE}
        for role, keys in roles.items():
            for key in keys:
                made.add_key(key, role)
            made.roles[role].threshold = 1 if role in _ONLINE else THRESHOLD

    def _stage(self, role: str, metadata: Metadata[Root] | Metadata[Targets]) -> Path:
        for old in (*self.staged.glob("*.sig"), *(self.staged / f"{kind}.json" for kind in (Root.type, Targets.type))):
            old.unlink(missing_ok=True)
        path = self.staged / f"{role}.json"
        with write_whole(path, replace=True) as file:
            file.write(metadata.to_bytes())
        return path

    def _write(self, name: str, metadata: Metadata[Any]) -> None:
        with write_whole(self.metadata / name, replace=True) as file:
            file.write(metadata.to_bytes())


def hashed_name(path: str, sha256: str) -> str:
    """Where a piece lies below the folder of targets: its SHA-256 stands before its name (consistent snapshots)."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{sha256}.{name}"


def read_signature(path: Path) -> Signature:
    """One signature as a signer's machine wrote it. Raises RepositoryRefused."""
    try:
        said = json.loads(path.read_bytes())
        return Signature(str(said["keyid"]), str(said["sig"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise RepositoryRefused(f"{path}: is no signature; take it away, nothing was published") from None


def _read(kind: type[S], path: Path) -> Metadata[S]:
    try:
        found: Metadata[Any] = Metadata.from_file(os.fspath(path))
    except (DeserializationError, RepositoryError, StorageError, UnsignedMetadataError) as error:
        raise RepositoryRefused(f"{path}: cannot be read ({type(error).__name__})") from None
    if not isinstance(found.signed, kind):
        raise RepositoryRefused(f"{path}: is no {kind.type}")
    return cast("Metadata[S]", found)


def _check_keys(house: str, root: Sequence[SSlibKey], targets: Sequence[SSlibKey]) -> None:
    wanted = KEYS_WANTED.get(house)
    if wanted is None:
        raise RepositoryRefused(f"a house of {house} cannot publish: two people must sign; nothing was made")
    for role, keys in ((Root.type, root), (Targets.type, targets)):
        different = len({key.keyid for key in keys})
        if different < wanted or different != len(keys):
            raise RepositoryRefused(f"{role}: {wanted} different keys at least are needed; nothing was made")


def _until(role: str, at: dt.datetime) -> dt.datetime:
    return at.astimezone(dt.UTC).replace(microsecond=0) + VALID[role]
