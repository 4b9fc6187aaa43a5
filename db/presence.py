"""Who else has a console open, and where: each tells it in the application_name of the connection that listens.

Visible to every role in pg_stat_activity, gone with the connection, and never an address. Through pgbouncer nobody is
seen: an idle client has no connection to the server there.
"""

import getpass
import os
import re
import socket
from dataclasses import dataclass
from datetime import datetime

from db.database import Connection

_NAME = re.compile(r"opsdeck (\S+)@(\S*) \| (.*)")
_MOST = 63  # bytes of an application_name; the server cuts what is longer


@dataclass(frozen=True, slots=True)
class Visitor:
    """Another console."""

    login: str
    host: str  # the machine it runs on, by its short name
    place: str  # "key 2711124630", "requests"
    since: datetime | None  # when it connected, where the role may see that
    role: str | None  # its database login, where that is another one than ours

    @property
    def subject(self) -> str:
        """The place as the record names subjects: "key:2711124630"."""
        return self.place.replace(" ", ":", 1)

    @property
    def words(self) -> str:
        who = f"{self.login}@{self.host}" if self.host else self.login
        return who if self.role in (None, self.login) else f"{who} as {self.role}"


class Presence:
    """What this console tells of itself. Whoever has the listening connection keeps it up to date."""

    def __init__(self) -> None:
        login = os.environ.get("SUDO_USER") or getpass.getuser()
        self._who = f"opsdeck {_plain(login)}@{_plain(socket.gethostname().partition('.')[0])}"
        self._place = "overview"
        self.backend: int | None = None  # the listening connection's, so that one does not meet oneself

    def at(self, kind: str, subject: str) -> None:
        """Says where one is. Of a subject only which customer or key: a filter may hold an address."""
        self._place = f"{kind} {subject}" if kind in ("customer", "key") else kind

    @property
    def label(self) -> str:
        """The application_name, in the ASCII that the server keeps."""
        return f"{self._who} | {_plain(self._place, ' ')}"[:_MOST]


def _plain(text: str, space: str = "_") -> str:
    return re.sub(r"[^!-~]", lambda found: space if found[0] == " " else "?", text)[:30]


async def others(connection: Connection, presence: Presence) -> tuple[Visitor, ...]:
    """The other consoles on this database, longest first."""
    cursor = await connection.execute(
        """SELECT application_name, backend_start, nullif(usename, session_user) FROM pg_stat_activity
           WHERE datname = current_database() AND application_name LIKE 'opsdeck %%|%%'
             AND pid IS DISTINCT FROM %s ORDER BY pid""",
        (presence.backend,),
    )
    found = [(_NAME.fullmatch(name), since, role) for name, since, role in await cursor.fetchall()]
    return tuple(Visitor(name[1], name[2], name[3], since, role) for name, since, role in found if name)
