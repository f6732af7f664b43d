"""One exchange in one folder: configuration, sealed credentials, state, and the live list that it feeds.

```
exchange.json     connector, base URL, name of the list, what the connector is told
credentials.age   sealed, with the base URL inside the seal
state.sqlite      records, quarantine, checkpoint
live/             the live list, for `havenline scan --list` and `havenline matchd`
```
"""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from havenline.connectors import sealed
from havenline.connectors.alarms import Distrusted, end_alarm, raise_alarm
from havenline.connectors.arachnid.client import ArachnidShield
from havenline.connectors.feeding import feed, terms_of
from havenline.connectors.frame import Connector, Feedback
from havenline.connectors.havenline.client import Publisher
from havenline.connectors.havenline.pinned import following_of, is_revoked, revoke_here
from havenline.connectors.havenline.places import InFolder, OnHost, Place, checked_place, folder_of
from havenline.connectors.hma.client import Hma
from havenline.connectors.ncmec.client import Ncmec
from havenline.connectors.one_host import Credentials, OneHost, checked_base
from havenline.connectors.screening import Screen, shipped_screen
from havenline.connectors.stages import SHADOW_DAYS, Stage, StageRefused, check_step, terms_at
from havenline.connectors.stopncii.client import StopNcii
from havenline.connectors.store import Store, key_of
from havenline.connectors.threatexchange.client import TOKEN, ThreatExchange
from havenline.entries import Entries
from havenline.matching.live import CURRENT, LiveLists
from havenline.matching.snapshot import Edition
from havenline.vocabulary import NCII, EditionRef, HavenlineError, ListTerms, check_text
from havenline.whole_file import write_whole

MakeHost = Callable[[str, Credentials], OneHost]


class ExchangeError(HavenlineError):
    """An exchange cannot be set up or used; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What one kind of connector needs: its secrets, what it must be told, and how both make one.

    `ncii`: its entries are of adults' intimate pictures shared without consent, never a lead of child abuse.
    `signed`: what it gives is signed, so that it may come from a folder as well; `made` is then not asked.
    """

    secrets: tuple[str, ...]
    """Which must be there; `more_secrets` may."""
    credentials: Callable[[str, Mapping[str, str]], Credentials]
    made: Callable[[OneHost, Mapping[str, str]], Connector] | None = None
    """Makes what fetches a list; none where `signed` or `asks` says how the partner is reached instead."""
    settings: tuple[str, ...] = ()
    more_secrets: tuple[str, ...] = ()
    more_settings: tuple[str, ...] = ()
    ncii: bool = False
    signed: bool = False
    asks: Callable[[OneHost], ArachnidShield] | None = None
    """Makes what asks a partner that serves no list; `made` is then never called."""
    says: Callable[[OneHost, Mapping[str, str]], Feedback] | None = None
    """Makes what takes this house's opinions of records; None where the partner's protocol has no place for any."""


@dataclass(frozen=True, slots=True)
class Configured:
    """What `exchange.json` says."""

    connector: str
    base_url: str
    list_name: str
    settings: Mapping[str, str] = field(default_factory=dict)
    ca_file: str | None = None
    shadow_days: int = SHADOW_DAYS
    every_minutes: int = 0


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one fetch did. `applied`: how many additions and withdrawals the live list got."""

    pages: int
    records: int
    unread: int
    applied: int
    resynced: bool


def _hma(host: OneHost, settings: Mapping[str, str]) -> Connector:
    gap = settings.get("gap", "")
    if not gap:
        return Hma(host, settings["bank"])
    return Hma(host, settings["bank"], gap=int(gap) if gap.isdigit() else 0)


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "havenline": Kind(
            secrets=("identity",),
            credentials=lambda base, _: Credentials(base),
            settings=("kind", "publishers_list", "recipient", "root_sha256"),
            signed=True,
        ),
        "ncmec": Kind(
            secrets=("user", "password"),
            credentials=lambda base, said: Credentials(base, basic=(said["user"], said["password"])),
            made=lambda host, _: Ncmec(host),
            says=lambda host, _: Ncmec(host),
        ),
        "stopncii": Kind(
            secrets=("fetch_key", "subscription_key"),
            credentials=lambda base, said: Credentials(
                base,
                headers={"x-functions-key": said["fetch_key"], "Ocp-Apim-Subscription-Key": said["subscription_key"]},
                sending={"x-functions-key": said["feedback_key"]} if said.get("feedback_key") else {},
            ),
            made=lambda host, _: StopNcii(host, may_send=host.may_send),
            says=lambda host, _: StopNcii(host, may_send=host.may_send),
            more_secrets=("feedback_key",),
            ncii=True,
        ),
        "threatexchange": Kind(
            secrets=("access_token",),
            credentials=lambda base, said: Credentials(base, query={TOKEN: said["access_token"]}),
            made=lambda host, settings: ThreatExchange(host, settings["privacy_group"]),
            says=lambda host, settings: ThreatExchange(host, settings["privacy_group"]),
            settings=("privacy_group",),
        ),
        "hma": Kind(
            secrets=(),
            more_secrets=("user", "password"),
            credentials=lambda base, said: Credentials(
                base, basic=(said["user"], said["password"]) if {"user", "password"} <= set(said) else None
            ),
            made=_hma,
            settings=("bank",),
            more_settings=("gap",),
        ),
        "arachnid": Kind(
            secrets=("user", "password"),
            credentials=lambda base, said: Credentials(base, basic=(said["user"], said["password"])),
            asks=ArachnidShield,
        ),
    }
)


class Exchange:
    """An exchange in use. Close it when done."""

    def __init__(self, folder: Path) -> None:
        """Open the exchange in `folder`; asks nobody. Raises ExchangeError, StateRefused, LiveListsDamaged."""
        self.folder, self.configured = folder, configured_in(folder)
        self.kind = KINDS[self.configured.connector]
        self.store = Store(folder / "state.sqlite")
        live = folder / "live"
        self.live = LiveLists.open(live) if (live / CURRENT).exists() else LiveLists.create(live)

    @cached_property
    def screen(self) -> Screen:
        """What entries are screened by; read when something is screened, so that suspending never needs it."""
        return shipped_screen()

    def close(self) -> None:
        """Let the state go."""
        self.store.close()

    def connector(
        self,
        key: Path,
        *,
        make_host: MakeHost | None = None,
        from_folder: Path | None = None,
        accept_growth: bool = False,
    ) -> Connector:
        """The connector, with the credentials that `key` opens. Raises CredentialsRefused, PartnerError.

        For a publisher of signed lists: `from_folder`, in place of its usual place; `accept_growth`, where a person
        says that a jump in length is meant.
        """
        said = self.configured
        bound, secrets = self._secrets(key)
        if self.kind.signed:
            place = self._place(bound, from_folder, make_host)
            return Publisher(
                following_of(self.folder, said.settings, secrets["identity"]), place, accept_growth=accept_growth
            )
        if from_folder is not None:
            raise ExchangeError(f"{said.connector}: what it gives is not signed, so it is taken from the partner alone")
        if self.kind.made is None:
            raise ExchangeError("this partner serves no list; ask it about values with `havenline exchange ask`")
        return self.kind.made(self._reached(bound, secrets, make_host), said.settings)

    def shield(self, key: Path, *, make_host: MakeHost | None = None) -> ArachnidShield:
        """What asks a partner that serves no list. Raises ExchangeError for one that does; as `connector`."""
        if self.kind.asks is None:
            raise ExchangeError("this partner serves a list; fetch it with `havenline exchange fetch`")
        return self.kind.asks(self._reached(*self._secrets(key), make_host))

    def feedback(self, key: Path, *, make_host: MakeHost | None = None) -> Feedback:
        """What takes this house's opinions. Raises ExchangeError where the partner takes none; as `connector`."""
        if self.kind.says is None:
            raise ExchangeError(f"{self.configured.connector}: its protocol has no place for an opinion of a record")
        return self.kind.says(self._reached(*self._secrets(key), make_host), self.configured.settings)

    def _secrets(self, key: Path) -> tuple[str, Mapping[str, str]]:
        """The address that the sealed credentials are bound to, and they."""
        bound, secrets = sealed.opened(self.folder / "credentials.age", key=key)
        if missing := [name for name in self.kind.secrets if name not in secrets]:
            raise ExchangeError(f"{self.folder}: the sealed credentials lack {missing[0]}; set the exchange up anew")
        return bound, secrets

    def _reached(self, bound: str, secrets: Mapping[str, str], make_host: MakeHost | None) -> OneHost:
        return (make_host or self._host)(self.configured.base_url, self.kind.credentials(bound, secrets))

    def fetch(
        self,
        connector: Connector,
        *,
        at: dt.datetime,
        resync: bool = False,
        accept_loss: bool = False,
        threads: int = 1,
    ) -> Fetched:
        """Fetch what changed and apply it to the live list.

        After `fresh_for` without a whole fetch, or with `resync`, everything is fetched anew and what the partner no
        longer serves is withdrawn. Whatever happens, the pages that were kept are applied. Raises ExchangeError while
        another process fetches, PartnerError, StateRefused, ChangeRefused, OSError. Where a publisher is Distrusted,
        the alarm of this exchange is raised; it ends with the next fetch that goes well.
        """
        with self._alone():
            try:
                done = self._fetch(connector, at=at, resync=resync, accept_loss=accept_loss, threads=threads)
            except Distrusted as why:
                raise_alarm(self.folder, why, at=at)
                raise
            end_alarm(self.folder)
            return done

    def withhold(self, ids: list[str], *, at: dt.datetime) -> int:
        """Take entries out of the list for good by this house's own decision; returns how many were in it.

        `ids`: of entries, as a match names them. Later versions of the same records stay out too. Raises as `fetch`.
        """
        with self._alone():
            keys = [id_ if self.store.raw(id_) is not None else key_of(id_) for id_ in ids]
            taken = self.store.withhold(keys, at=at)
            self._apply(at=at, threads=1)
        return taken

    def set_stage(self, to: Stage, *, at: dt.datetime, agreed: str = "") -> None:
        """Take the list to another stage, at once for whoever looks up in it; `agreed` names who stands behind it.

        Waits for no fetch. What `enforce` does comes last, and is done again by the next fetch where this process
        ends before it. Raises StageRefused, ChangeRefused, OSError. Not checked: who says so.
        """
        check_step(self.store.staged, to, shadow_days=self.configured.shadow_days, at=at)
        self.store.set_stage(to, at=at, agreed=agreed)
        self.enforce(at=at)

    def enforce(self, *, at: dt.datetime) -> bool:
        """Have the live list do what its stage says; whether it did not before. Raises ChangeRefused, OSError."""
        before = terms_of(self.live, self.configured.list_name)
        if before is None or (terms := terms_at(self.store.staged.stage, before)) == before:
            return False
        self.live.change(terms={self.configured.list_name: terms}, at=at)
        return True

    def let_through(self, key: str, *, at: dt.datetime, agreed: str) -> None:
        """Put an entry that the screen keeps out into the list. Raises ExchangeError for another, and as `fetch`."""
        with self._alone():
            if not self.store.let_through(key, at=at, agreed=agreed):
                raise ExchangeError("the screen keeps no such entry out; nothing was changed")
            self._apply(at=at, threads=1)

    def retry(self, connector: Connector, *, at: dt.datetime, threads: int = 1) -> int:
        """Read the quarantine again, as after this program became newer; returns how many records it understood.

        Raises as `fetch`.
        """
        with self._alone():
            rows = [(unread, connector.reread(unread.raw)) for unread, _ in self.store.quarantine()]
            understood = self.store.retry(rows, at=at, screen=self.screen)
            self._apply(at=at, threads=threads)
        return understood

    def _fetch(
        self, connector: Connector, *, at: dt.datetime, resync: bool, accept_loss: bool, threads: int
    ) -> Fetched:
        store, pages, records, unread = self.store, 0, 0, 0
        store.screen_anew(self.screen, at=at)
        # What an earlier fetch kept and could not apply any more comes first.
        applied = self._apply(at=at, threads=threads)
        before = store.standing()
        stale = False
        if connector.fresh_for is not None and before.complete_at is not None:
            stale = at - before.complete_at > connector.fresh_for
        if resync or (stale and not before.resyncing):
            store.begin_resync()
        resyncing = store.standing().resyncing
        try:
            for page in connector.pages(store.checkpoint, at=at):
                store.keep(page, at=at, accept_loss=accept_loss, screen=self.screen)
                pages, records, unread = pages + 1, records + len(page.records), unread + len(page.unread)
        finally:
            applied += self._apply(at=at, threads=threads)
        if store.staged.stage is Stage.STAGED and store.standing().complete_at is not None:
            with suppress(StageRefused):  # somebody has just suspended it
                self.set_stage(Stage.SHADOW, at=at)
        return Fetched(pages, records, unread, applied, resyncing)

    def revoke(self, *, at: dt.datetime, threads: int = 1) -> int:
        """Trust this publisher no more, for good: its list is emptied now. Returns how many entries were in it.

        To trust it again is to add it anew, under another name. Raises ExchangeError, ChangeRefused, OSError.
        """
        if not self.kind.signed:
            raise ExchangeError(f"{self.folder}: is no publisher of signed lists")
        with self._alone():
            revoke_here(self.folder, at=at)
            entries = self.store.standing().live
            empty, name = Entries.of([]), self.configured.list_name
            ref = EditionRef(name, self.store.next_number(), empty.digest())
            self.live.publish(Edition(ref, empty, ListTerms(enabled=False)), threads=threads)
        return entries

    def _apply(self, *, at: dt.datetime, threads: int) -> int:
        if self.kind.signed and is_revoked(self.folder):
            return 0
        applied = feed(self.store, self.live, self.configured.list_name, at=at, threads=threads)
        # A whole edition carries the terms from before it was built; a suspension meanwhile counts.
        self.enforce(at=at)
        return applied

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Alone among all that change this exchange; the lock falls with the process."""
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ExchangeError(f"{self.folder}: another process fetches; wait for it, or stop it") from None
            yield
        finally:
            os.close(lock)

    def _place(self, bound: str, from_folder: Path | None, make_host: MakeHost | None) -> Place:
        base = self.configured.base_url
        if bound != base:
            raise ExchangeError(f"{self.folder}: the key was sealed for another place; add the publisher anew")
        folder = from_folder if from_folder is not None else folder_of(base)
        return InFolder(folder) if folder is not None else OnHost((make_host or self._host)(base, Credentials(base)))

    def _host(self, base_url: str, credentials: Credentials) -> OneHost:
        return OneHost(base_url, credentials, ca_file=self.configured.ca_file)


def set_up(folder: Path, configured: Configured, secrets: Mapping[str, str], *, key: Path) -> None:
    """Make an exchange in `folder`, or give it new credentials; what it fetched before stays.

    Raises ExchangeError where the configuration cannot be or is another partner's than before, CredentialsRefused,
    OSError.
    """
    kind = KINDS.get(configured.connector)
    if kind is None:
        raise ExchangeError(f"there is no connector {configured.connector!r}; there is: {', '.join(KINDS)}")
    try:
        base = (checked_place if kind.signed else checked_base)(configured.base_url)
        check_text("name of the list", configured.list_name)
    except ValueError as error:
        raise ExchangeError(f"{error}; nothing was set up") from None
    if configured.list_name.startswith(NCII) is not kind.ncii:
        only = "alone" if configured.list_name.startswith(NCII) else "always"
        raise ExchangeError(f"a list of kind ncii is named {NCII}…, and {only} such a list; nothing was set up")
    for what, wanted, given in (("setting", kind.settings, configured.settings), ("secret", kind.secrets, secrets)):
        optional = kind.more_secrets if what == "secret" else kind.more_settings
        if not set(wanted) <= set(given) <= {*wanted, *optional}:
            raise ExchangeError(f"{configured.connector} needs each {what} of: {', '.join(wanted) or 'none'}")
    said = {
        "connector": configured.connector,
        "base_url": base,
        "list": configured.list_name,
        "settings": dict(configured.settings),
        "ca_file": configured.ca_file,
        "shadow_days": configured.shadow_days,
        "every_minutes": configured.every_minutes,
    }
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "exchange.json"
    if path.exists():
        before = configured_in(folder)
        if (before.connector, before.base_url, before.list_name) != (configured.connector, base, configured.list_name):
            raise ExchangeError(f"{folder}: is the exchange of another partner or list; use another name")
    sealed.seal(secrets, base_url=base, key=key, to=folder / "credentials.age")
    with write_whole(path, replace=True) as file:
        file.write(json.dumps(said, indent=2).encode() + b"\n")


def configured_in(folder: Path) -> Configured:
    """What the exchange in `folder` is. Raises ExchangeError."""
    path = folder / "exchange.json"
    try:
        said = json.loads(path.read_bytes())
        days, every = int(said.get("shadow_days", SHADOW_DAYS)), int(said.get("every_minutes", 0))
        told = (said["connector"], said["base_url"], said["list"], dict(said["settings"]), said["ca_file"])
        made = Configured(*told, shadow_days=days, every_minutes=every)
    except FileNotFoundError:
        raise ExchangeError(f"{folder}: there is no exchange; make it with `havenline exchange set-up`") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExchangeError(f"{path}: cannot be read ({type(error).__name__})") from None
    if made.connector not in KINDS:
        raise ExchangeError(f"{path}: there is no connector {made.connector!r}")
    return made
