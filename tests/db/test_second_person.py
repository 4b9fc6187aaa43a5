"""Acts that take two people, with two that log in to the database as themselves."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from db.audit import Actor
from db.database import Database
from db.errors import Refused
from db.source import (
    Approve,
    Export,
    ExportFormat,
    Outcome,
    Receipt,
    Reject,
    RequireSecondPerson,
    RevealAddress,
    RevokeKeys,
    Rule,
    Source,
    Waiting,
    parse_request_filter,
)
from tests.console.command import opsdeck
from tests.db.seed import CUSTOMER, add_customer, add_key, add_request

TWO = RevokeKeys((42, 43))
NOW = datetime.now(UTC)
RULE = Rule("revoke-keys", 1, 3600, "role")


@dataclass
class Team:
    """Ann and bob are operators; the owner of the tables is the admin."""

    ann: Source
    bob: Source
    owner: Source
    dsn: str
    dsns: dict[str, str]


@pytest.fixture
async def team(dsn: str) -> AsyncIterator[Team]:
    add_customer(dsn, CUSTOMER)
    for fingerprint in (42, 43, 44):
        add_key(dsn, fingerprint, CUSTOMER)
    dsns = {name: dsn.replace("postgres@", f"{name}_{conninfo_to_dict(dsn)['dbname']}@") for name in ("ann", "bob")}
    users = [conninfo_to_dict(one)["user"] for one in dsns.values()]
    with psycopg.connect(dsn, autocommit=True) as connection:
        for user in users:
            connection.execute(f"CREATE ROLE {user} LOGIN IN ROLE opsdeck_operator")  # pyright: ignore
    async with AsyncExitStack() as stack:
        sources: list[Source] = []
        for name, where in {**dsns, "owner": dsn}.items():
            database = Database(where)
            await database.open()
            stack.push_async_callback(database.close)
            sources.append(Source(database, Actor(name, None)))
        yield Team(*sources, dsn=dsn, dsns=dsns)
    with psycopg.connect(dsn, autocommit=True) as connection:
        for user in users:
            connection.execute(f"DROP ROLE {user}")  # pyright: ignore


async def asked(source: Source) -> Receipt:
    receipt = await source.perform(TWO, "leaked")
    assert receipt.outcome is Outcome.REFUSED
    assert "opsdeck approvals approve" in receipt.message
    return receipt


async def test_one_asks_another_approves_the_first_carries_it_out_once(team: Team) -> None:
    assert (await team.owner.perform(RequireSecondPerson("revoke-keys", RULE), "policy 7")).done
    assert (await team.ann.perform(RevokeKeys((44,)), "one alone weighs less")).done
    assert "takes a second person" in (await team.ann.preview(TWO)).consequences[-1]
    assert not any("second" in line for line in (await team.ann.preview(RevokeKeys((42,)))).consequences)

    await asked(team.ann)
    await asked(team.ann)
    [request] = await team.bob.approvals.page(open_only=True)
    assert (request.state, request.command, request.asked_by, request.reason) == ("asked", TWO.shell, "ann", "leaked")

    # Nobody approves their own, whoever they say they are.
    for name in ("ann", "bob"):
        own = await Source(team.ann.database, Actor(name, None)).perform(Approve(request.approval_id), "I say so")
        assert "another database login" in own.message
    assert (await team.ann.waiting_for_me(), await team.bob.waiting_for_me()) == (Waiting(), Waiting(asked=1))
    # A database login of one's own is enough: on a jump host the operating system user may be the same.
    bob = Source(team.bob.database, Actor("ann", None))
    assert (await bob.perform(Approve(request.approval_id), "seen the leak")).done
    assert (await team.ann.waiting_for_me(), await team.bob.waiting_for_me()) == (Waiting(approved=1), Waiting())
    await asked(team.bob)  # what was approved is ann's to do

    done = await team.ann.perform(RevokeKeys((43, 42)), "leaked")  # the same keys, in another order
    assert done.done
    by = f"ann as {conninfo_to_dict(team.dsns['bob'])['user']}"
    assert done.message.endswith(f"; approved by {by}")
    assert (done.after or {})["approval"] == {"by": by}
    assert (await team.ann.waiting_for_me()).approved == 0
    assert [one.state for one in await team.ann.approvals.page()] == ["asked", "used"]
    with psycopg.connect(team.dsn) as owner:
        owner.execute("UPDATE api_keys SET is_active = true, revoked_at = NULL, revoked_by = NULL")
    await asked(team.ann)  # it served once

    rows = (await team.owner.audit.page()).rows
    told = [(row.action, row.os_user, row.outcome) for row in rows]
    assert told.count(("approve", "ann", "done")) == 1
    assert told.count(("approve", "ann", "refused")) == 1
    assert told.count(("revoke-keys", "ann", "refused")) == 3
    assert (await team.owner.audit.verify()).sound


async def test_what_is_rejected_expired_or_in_vain_lets_nobody_do_it(team: Team) -> None:
    assert not (await team.ann.perform(RequireSecondPerson("revoke-keys", None), "no rule, no wait")).done
    await team.owner.perform(RequireSecondPerson("revoke-keys", RULE), "policy 7")
    await asked(team.ann)
    [request] = await team.ann.approvals.page(open_only=True)
    assert (await team.bob.perform(Reject(request.approval_id), "wrong keys")).done
    late = await team.bob.perform(Approve(request.approval_id), "second thoughts")
    assert "rejected already, by bob" in late.message
    await asked(team.ann)
    [request] = await team.ann.approvals.page(open_only=True)
    assert (await team.bob.perform(Approve(request.approval_id), "all right")).done
    with psycopg.connect(team.dsn) as owner:
        owner.execute("UPDATE console.approval SET expires_at = now() WHERE verdict = 'approved'")
    await asked(team.ann)
    with pytest.raises(Refused, match="expired"):
        await team.bob.preview(Approve(request.approval_id))
    in_vain = await team.ann.perform(RevokeKeys((42, 999)), "leaked")
    assert "no key with fingerprint" in in_vain.message
    assert len(await team.ann.approvals.page(open_only=True)) == 1
    with psycopg.connect(team.dsns["ann"]) as connection:
        for forged in (
            "UPDATE console.approval SET verdict = 'approved', decided_by = 'bob'",
            "DELETE FROM console.second_person",
            "UPDATE console.second_person SET above = 1000",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute(forged)  # pyright: ignore


async def test_no_address_goes_into_a_file_past_the_rule_for_addresses(team: Team, tmp_path: Path) -> None:
    add_request(team.dsn, client_ip="203.0.113.77", customer_id=CUSTOMER)
    nobody = RevealAddress(NOW, "r1-s03", customer_id=None, key=0)
    assert nobody.weight == 1, "a request that names nobody counts too"
    assert (await team.owner.perform(RequireSecondPerson("reveal-address", replace(RULE, above=9)), "policy 8")).done
    cursor = (
        await team.ann.requests.begin(parse_request_filter(f"customer:{CUSTOMER} !ip:10.1.2.0/24"), recent=0)
    ).cursor
    span = (NOW - timedelta(hours=1), NOW + timedelta(hours=1))
    order = Export(cursor, tmp_path / "log.jsonl", ExportFormat.JSONL, *span, addresses=True, reason="abuse case 7")
    other = replace(order, end=NOW)
    assert (await team.ann.export(replace(order, addresses=False, path=tmp_path / "masked"), print)).rows == 1
    for _ in range(2):
        with pytest.raises(Refused, match="takes a second person"):
            await team.ann.export(order, print)
    [request] = await team.bob.approvals.page(open_only=True)
    filters = f"--customer {CUSTOMER} --ip '!10.1.x.x'"
    assert request.command.startswith(f"opsdeck export {order.path} {filters} --from ")
    assert (await team.bob.perform(Approve(request.approval_id), "seen the case")).done
    with pytest.raises(Refused, match="takes a second person"):
        await team.ann.export(other, print)
    assert not order.path.exists()
    assert (await team.ann.export(order, print)).client_addresses == "readable"
    assert "203.0.113.77" in order.path.read_text()


async def test_the_same_in_the_shell_of_a_team_that_shares_one_login(team: Team) -> None:
    dsn = team.dsn
    because = ("--reason", "policy 7", "--yes")
    assert "there is no action 'revoke'" in opsdeck(dsn, "approvals", "require", "revoke", *because).complained(2)
    require = ("approvals", "require", "suspend-customer", "--expires", "10m", "--told-apart-by", "login")
    assert "within 10m" in opsdeck(dsn, *require, *because).out
    suspend = ("customers", "suspend", str(CUSTOMER), *because)
    assert opsdeck(dsn, *suspend, SUDO_USER="ann").code == 1
    request = opsdeck(dsn, "approvals", "list", "--json").json["requests"][0]["approval_id"]
    approve = ("approvals", "approve", request, *because)
    assert "takes another person" in opsdeck(dsn, *approve, SUDO_USER="ann").err
    assert opsdeck(dsn, *approve, SUDO_USER="bob").code == 0
    done = opsdeck(dsn, *suspend, SUDO_USER="ann")
    assert (done.code, "approved by bob" in done.out) == (0, True)
    waive = ("approvals", "waive", "suspend-customer", *because)
    assert opsdeck(dsn, *waive).code == 0
    assert "suspend-customer takes one person already" in opsdeck(dsn, *waive).err
