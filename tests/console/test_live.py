"""What others change shows by itself; a lost database greys the screen, and it comes back by itself."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from db.audit import Actor
from db.database import Database, Limits
from db.perform import perform
from db.suiftly.operations.revoke_keys import RevokeKeys
from tests.console.screens import console, cut_connections, locked, query
from tests.console.test_requests import follows, log, numbers


class Wire:
    """A TCP port in front of the server's socket that can be cut and joined again."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def join(self) -> None:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._server.wait_closed()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        there_reader, there_writer = await asyncio.open_unix_connection(self._target)
        both = {writer, there_writer}
        self._writers |= both
        try:
            await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))
        finally:
            self._writers -= both
            for end in both:
                end.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
        target.write_eof()
    except (ConnectionError, OSError):
        pass


@asynccontextmanager
async def wired(dsn: str) -> AsyncGenerator[tuple[Wire, str]]:
    """A wire to the server of `dsn`, not joined yet, and the DSN that goes through it once it is."""
    known = conninfo_to_dict(dsn)
    wire = Wire(f"{known['host']}/.s.PGSQL.{known.get('port') or 5432}")
    await wire.join()
    await wire.cut()
    try:
        yield wire, make_conninfo(dsn, host="127.0.0.1", port=wire.port, sslmode="disable", gssencmode="disable")
    finally:
        await wire.cut()


async def test_a_colleagues_revocation_shows_without_a_key_press(business: str) -> None:
    colleague = Database(business)
    await colleague.open()
    async with console(business) as deck:
        await deck.press("3")
        await deck.sees("0x0000002a")
        assert "revoked" not in deck.line("0x0000002a")
        receipt = await perform(colleague, RevokeKeys((42,)), actor=Actor("ann", None), reason="leaked")
        assert receipt.done
        await deck.until(lambda: " revoked " in deck.line("0x0000002a"), "the row says revoked", wait_s=2)
        assert "leaked" in deck.line("0x0000002a")
    await colleague.close()


async def test_killed_backends_grey_the_screen_and_it_comes_back_by_itself(business: str) -> None:
    async with console(business) as deck:
        await deck.press("3")
        await deck.sees("0x0000002a")
        assert cut_connections(business) >= 2
        # All of it at one look: it lasts for a second.
        text = await deck.sees("✕ connection lost, retry in", "the database does not answer:")
        assert deck.app.screen.has_class("stale")
        assert " s old" in text.splitlines()[0]
        assert "0x0000002a" in text
        await deck.until(lambda: "● connected" in deck.header, "connected again")
        await deck.until(lambda: not deck.app.screen.has_class("stale"), "no longer grey")
        assert "the database does not answer" not in deck.text
        query(business, "UPDATE customers SET status = 'suspended' WHERE customer_id = 7")
        query(business, "SELECT pg_notify('opsdeck', 'customers')")
        await deck.sees("live, suspended", wait_s=3)


async def test_what_changed_while_nobody_listened_is_read_when_somebody_listens_again(business: str) -> None:
    async with console(business) as deck:
        await deck.press("3")
        await deck.sees("0x0000002a")
        query(
            business,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'opsdeck %%|%%'",
        )
        await deck.sees("✕ connection lost")
        query(business, "UPDATE customers SET status = 'suspended' WHERE customer_id = 7")  # no hint: nobody hears it
        await deck.sees("live, suspended", wait_s=4)


async def test_the_log_goes_on_after_a_lost_connection_with_no_row_missing_or_doubled(business: str) -> None:
    log(business, 0, 5)
    async with console(business) as deck:
        await deck.press("4")
        await follows(deck, 4)
        for start in (5, 8):
            cut_connections(business)
            log(business, start, start + 3, ago_s=0)
            await follows(deck, start + 2)
        assert numbers(deck.lines) == list(range(11))


async def test_a_database_that_is_away_at_the_start_is_waited_for(business: str) -> None:
    limits = Limits(connect_s=0.5)
    async with wired(business) as (wire, dsn), console(dsn, connected=False, limits=limits) as deck:
        await deck.sees("✕ connection lost, retry in", "the database does not answer")
        assert deck.app.screen.has_class("stale")
        await deck.press("2")
        await deck.sees("customers")
        await deck.say(":", "42")  # neither known as a customer nor as a key: still no reason to fall over
        await deck.sees("customer 42", "nothing loaded yet")
        await deck.press("escape")
        await wire.join()
        await deck.sees("4294967295", "● connected", wait_s=10)
        await deck.until(lambda: not deck.app.screen.has_class("stale"), "no longer grey")


async def test_a_cut_wire_keeps_the_last_rows_with_their_age_and_what_changed_is_read_when_it_is_joined(
    business: str,
) -> None:
    async with wired(business) as (wire, dsn):
        await wire.join()
        async with console(dsn) as deck:
            await deck.press("3")
            await deck.sees("0x0000002a")
            await wire.cut()
            await deck.until(lambda: "✕ connection lost" in deck.header, "the header says it")
            assert deck.app.screen.has_class("stale")
            assert "0x0000002a" in deck.text
            await deck.until(lambda: "the database does not answer" in deck.text, "a sentence")
            await deck.until(lambda: " s old" in deck.header, "the age of what is shown")
            query(
                business,
                "UPDATE api_keys SET is_active = false, revoked_at = now(), revocation_reason = 'meanwhile'"
                " WHERE api_key_fp = 42",
            )
            await wire.join()
            await deck.until(lambda: "meanwhile" in deck.line("0x0000002a"), "what happened meanwhile", wait_s=10)
            await deck.until(lambda: "● connected" in deck.header, "connected again")


async def test_a_replica_that_is_away_is_told_and_only_the_log_waits_for_it(business: str) -> None:
    log(business, 0, 3)
    limits = Limits(connect_s=0.5)
    async with wired(business) as (wire, there), console(business, replica_dsn=there, limits=limits) as deck:
        await deck.until(lambda: "▲ replica lost" in deck.header, "the header says it")
        assert "● connected" in deck.header
        await deck.press("4")
        await deck.sees("the replica, where the log is read, cannot be used: ")
        await deck.say(":", "keys")
        await deck.sees("0x0000002a", "live")
        assert not deck.app.screen.has_class("stale")
        await deck.say(":", "key 42")
        await deck.sees("decimal 42", "the replica, where the log is read, cannot be used: ")
        assert "nothing on record" in deck.line("history")
        await deck.press("ctrl+r")
        await deck.sees("live → revoked", "its traffic is not known")
        await deck.press("escape")
        await wire.join()
        await deck.press("4")
        await follows(deck, 2)
        query(business, "SELECT pg_notify('opsdeck', 'keys')")
        # What was joined is no standby but the primary once more.
        await deck.until(lambda: "▲ wrong replica" in deck.header, "the header says what is wrong now")


async def test_a_log_that_does_not_answer_takes_nothing_else_from_the_header(business: str) -> None:
    query(business, "UPDATE system_control SET maintenance_mode = true")
    async with locked(business, "haproxy_raw_logs"), console(business, limits=Limits(lock_s=0.2)) as deck:
        await deck.until(lambda: "▲ served keys: not known" in deck.header, "what is not known is said")
        assert "MAINTENANCE" in deck.header
