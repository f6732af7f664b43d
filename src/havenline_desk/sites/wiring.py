"""Wire a data folder to its database and to Django: what every command of the desk does first."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

import django
from psycopg.conninfo import make_conninfo

from .cluster import DESK_ROLE, OWNER_ROLE, Cluster, StartResult
from .home import Home, HomeError
from .own_keyd import OwnKeyd, stop


@dataclass(frozen=True, slots=True)
class Wired:
    """A running database. `cluster` is None when HAVENLINE_DATABASE_URL names a server of the operator's own.

    `keyd` is the key process that was started here; None when one answers already, or HAVENLINE_KEYD names it.
    `own_keyd` is the key process of the data folder, whoever started it; None when HAVENLINE_KEYD names the operator's.
    """

    home: Home
    cluster: Cluster | None
    started: bool
    keyd: subprocess.Popen[bytes] | None = None
    own_keyd: OwnKeyd | None = None

    def release(self) -> None:
        """Stop `keyd` and the embedded PostgreSQL when this process started them; adopted ones go on."""
        if self.keyd is not None:
            stop(self.keyd)
        if self.cluster is not None and self.started:
            self.cluster.stop()


def wire(home: Home, *, database: str = "havenline", plain_loopback: bool = False) -> Wired:
    """Start or adopt database and `keyd` of `home`, set the environment that `sites.settings` reads, set Django up.

    `plain_loopback` serves http on loopback, by itself or behind the proxy that HAVENLINE_ORIGIN and
    HAVENLINE_TRUSTED_PROXIES tell of. Raises ClusterError or OwnKeydError when PostgreSQL or `keyd` cannot be had,
    HomeError where only one of the two is set, or where HAVENLINE_ADOPT=1 and no database runs. Not checked: the
    schema; see `sites.schema.bring_up_to_date`.
    """
    behind_tls = os.environ.get("HAVENLINE_ORIGIN", "").startswith("https://")
    if plain_loopback and behind_tls and os.environ.get("HAVENLINE_TRUSTED_PROXIES", "0") == "0":
        raise HomeError(
            "HAVENLINE_ORIGIN begins with https://, and the desk itself speaks plain http on loopback: put a proxy "
            "that does TLS before it, and say how many there are with HAVENLINE_TRUSTED_PROXIES=1"
        )
    cluster: Cluster | None = None
    started = False
    if "HAVENLINE_DATABASE_URL" not in os.environ:
        cluster = Cluster(home.postgresql)
        if os.environ.get("HAVENLINE_ADOPT") == "1" and not cluster.running():
            raise HomeError("the desk's database does not run yet, and this process is to start none")
        started = cluster.start() is StartResult.STARTED
        cluster.ensure_roles_and_database()
        os.environ["HAVENLINE_DATABASE_URL"] = make_conninfo(**cluster.connection(role=DESK_ROLE, database=database))
        os.environ["HAVENLINE_OWNER_URL"] = make_conninfo(**cluster.connection(role=OWNER_ROLE, database=database))
    keyd: subprocess.Popen[bytes] | None = None
    process: OwnKeyd | None = None
    if "HAVENLINE_KEYD" not in os.environ and not home.signs_by_file:
        process = OwnKeyd(home.keyd)
        process.create(owner=home.uid)
        keyd = process.start()
        os.environ["HAVENLINE_KEYD"] = str(process.socket)
    os.environ["HAVENLINE_HOME"] = str(home.path)
    os.environ["HAVENLINE_SECRET_KEY"] = home.secret_key()
    os.environ["DJANGO_SETTINGS_MODULE"] = "havenline_desk.sites.settings"
    if plain_loopback and not behind_tls:
        os.environ["HAVENLINE_PLAIN_LOOPBACK"] = "1"
    django.setup()
    return Wired(home, cluster, started, keyd, process)
