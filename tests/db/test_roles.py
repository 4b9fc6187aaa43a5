"""Three roles, each tried by logging in as one who has it."""

import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.json import Jsonb

from db.audit import Actor
from db.audit_chain import verify
from db.chain.reader import ChainReader
from db.chain.simulated.ledger import Ledger
from db.chain.simulated.node import Node, serving
from db.chain.values import ObjectId
from db.database import Database
from db.errors import Refused
from db.migrate import ROLES, migrate, missing_roles
from db.rights import Rights
from db.source import (
    JOBS,
    AcceptChain,
    AdoptPrices,
    ApiSecret,
    AssignEvent,
    CreateKey,
    CustomerSearch,
    DisableService,
    DismissEvent,
    EndSessions,
    EscrowChain,
    EventId,
    KeyMetadata,
    KeySearch,
    KeyService,
    Operation,
    PayBill,
    Receipt,
    RevokeKeys,
    RotateKey,
    SetMonthlyLimit,
    Source,
    SuspendCustomer,
    UndoRevocation,
    VaultPlace,
)
from tests.db.chain.world import ACCOUNT, OTHER_ACCOUNT, PACKAGE, USER, event, quick
from tests.db.seed import CUSTOMER, add_customer, add_key, add_request, add_service

ANN = Actor("ann", None)
MADE_FOR = KeyMetadata(0, "mainnet", "open", None, 1)
GRANTS = files("db").joinpath("migrations", "grants.sql").read_text()


@contextmanager
def login(dsn: str, *roles: str) -> Iterator[str]:
    """DSN of a new login that has these roles."""
    name = f"{roles[0] if roles else 'nobody'}_of_{conninfo_to_dict(dsn)['dbname']}"
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {name} LOGIN {f'IN ROLE {roles[0]}' if roles else ''}")  # pyright: ignore
        try:
            yield dsn.replace("postgres@", f"{name}@")
        finally:
            owner.execute(f"REASSIGN OWNED BY {name} TO CURRENT_USER")  # pyright: ignore
            owner.execute(f"DROP OWNED BY {name}")  # pyright: ignore
            owner.execute(f"DROP ROLE {name}")  # pyright: ignore


@pytest.fixture
def business(dsn: str) -> str:
    add_customer(dsn, CUSTOMER)
    add_service(dsn, CUSTOMER, "seal")
    add_key(dsn, 42, CUSTOMER)
    add_request(dsn, customer_id=CUSTOMER)
    with psycopg.connect(dsn) as owner:
        owner.execute("UPDATE api_keys SET metadata = %s", (Jsonb(MADE_FOR.to_json()),))
    return dsn


@asynccontextmanager
async def console(dsn: str, vault: VaultPlace | None = None, chain: EscrowChain | None = None) -> AsyncIterator[Source]:
    database = Database(dsn)
    await database.open()
    source = Source(database, ANN, secret=ApiSecret(bytes(32)), vault=vault, chain=chain)
    yield source
    await source.close()
    await database.close()


def tables(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            """SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname IN ('public', 'console') AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
                 AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')"""
        ).fetchall()
    return [row[0] for row in rows]


def refused(dsn: str, *statements: str) -> None:
    """Each of them, alone, ends in a lack of rights or in a refusal of the function that was asked."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute(statement)  # pyright: ignore
            except (psycopg.errors.InsufficientPrivilege, psycopg.errors.RaiseException):
                continue
            raise AssertionError(f"it was let do: {statement}")


def test_who_lacks_a_right_that_an_operation_takes_is_told_so_first() -> None:
    needed: dict[type[Operation], tuple[str, ...]] = {
        AdoptPrices: ("UPDATE console.billing",),
        PayBill: ("UPDATE public.billing_records", "INSERT public.ledger_entries", "UPDATE public.customers"),
    }
    for operation, rights in needed.items():
        all_of_them = {"INSERT console.audit", *rights}
        assert Rights(frozenset(all_of_them)).may(operation)
        assert not any(Rights(frozenset(all_of_them - {one})).may(operation) for one in all_of_them)


def test_every_table_has_a_line(dsn: str) -> None:
    listed = set(re.findall(r"^ +\('((?:public|console)\.\w+)'", GRANTS, re.MULTILINE))
    missing = set(tables(dsn)) - listed
    assert not missing, "say in db/migrations/grants.sql who may do what with it"


async def test_a_reader_sees_the_business_and_cannot_write_a_byte(business: str) -> None:
    with login(business, "opsdeck_reader") as dsn:
        async with console(dsn) as source:
            assert (await source.customers.detail(CUSTOMER)) is not None
            assert (await source.customers.page(CustomerSearch())).rows
            assert (await source.keys.page(KeySearch())).rows
            assert (await source.traffic.overview()).requests == 1
            assert (await source.audit.verify()).sound
            assert await source.health()
            assert (await source.jobs.page()) == ()
            control = await source.control.read()
            assert (control.role, control.can_write) == (conninfo_to_dict(dsn)["user"], False)
            assert not (await source.perform(RevokeKeys((42,)), "leaked")).done
            tried = await source.propose(RevokeKeys((99,)), "leaked")
            assert isinstance(tried, Receipt)
            assert "The try itself could not be put on record" in tried.message
        with psycopg.connect(dsn) as connection:
            for table in tables(business):
                granted = connection.execute(
                    """SELECT privilege FROM unnest('{INSERT,UPDATE,DELETE,TRUNCATE,TRIGGER}'::text[]) privilege
                       WHERE has_table_privilege(%(table)s, privilege)
                          OR privilege IN ('INSERT', 'UPDATE') AND has_any_column_privilege(%(table)s, privilege)""",
                    {"table": table},
                ).fetchall()
                assert granted == [], table
        refused(
            dsn,
            "INSERT INTO console.audit (operation_id, action, subjects, os_user, reason, outcome)"
            " VALUES (gen_random_uuid(), 'x', '{}', 'x', 'x', 'done')",
            "UPDATE customers SET status = 'active'",
            "DELETE FROM haproxy_raw_logs",
            "CREATE TABLE public.mine (a int)",
            "CREATE TABLE console.mine (a int)",
            "SELECT console.sweep_log_default('2020-01-01')",
            "SELECT console.ensure_log_hour(now())",
            "SELECT console.hold_gateway_reports()",
            *SECRETS,
        )


SECRETS = (
    "SELECT api_key_id FROM api_keys",
    "SELECT * FROM api_keys",
    "SELECT encrypted_private_key FROM seal_keys",
    "SELECT token_hash FROM refresh_tokens",
    "SELECT nonce FROM auth_nonces",
    "SELECT count(*) FROM customer_encryption_keys",
)
NOT_THE_RECORD_NOR_THE_SCHEMA = (
    "UPDATE console.audit SET reason = 'harmless'",
    "DELETE FROM console.audit",
    "TRUNCATE console.audit",
    "INSERT INTO console.audit (operation_id, at, action, subjects, os_user, reason, outcome)"
    " VALUES (gen_random_uuid(), '2020-01-01', 'x', '{}', 'x', 'x', 'done')",
    "INSERT INTO console.audit (operation_id, db_role, action, subjects, os_user, reason, outcome)"
    " VALUES (gen_random_uuid(), 'bob', 'x', '{}', 'x', 'x', 'done')",
    "UPDATE console.audit_head SET seq = 0",
    "SELECT FROM console.audit_head FOR UPDATE",
    "ALTER TABLE console.audit DISABLE TRIGGER ALL",
    "DROP TRIGGER chain ON console.audit",
    "SET session_replication_role = 'replica'",
    "CREATE OR REPLACE FUNCTION console.audit_hash(entry console.audit) RETURNS bytea LANGUAGE sql RETURN ''::bytea",
    "DROP TABLE console.audit",
    "LOCK TABLE console.audit IN EXCLUSIVE MODE",
    "ALTER TABLE customers ADD COLUMN mine int",
    "CREATE TABLE public.mine (a int)",
    "CREATE TABLE console.mine (a int)",
    "DROP TABLE haproxy_raw_logs",
    "DELETE FROM haproxy_raw_logs",
    "UPDATE console.gateway_vault SET applied_seq = 0",
    "DELETE FROM console.service_span",
    "CREATE TEMP TABLE mine (LIKE public.service_instances);"
    "CREATE TRIGGER mine AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION console.keep_service_span()",
    "LOCK TABLE console.gateway_vault IN ACCESS EXCLUSIVE MODE",
    "UPDATE console.migration SET checksum = ''",
    "GRANT opsdeck_admin TO CURRENT_USER",
    # What the functions that run as the owner are asked for is checked.
    "SELECT console.drop_log_part('console.audit')",
    "SELECT console.drop_log_part('public.customers')",
    "SELECT console.compress_log_part('console.audit')",
    "SELECT console.ensure_log_hour(now() + interval '2 years')",
    "SELECT console.sweep_log_default('infinity')",
)


async def test_an_operator_works_and_changes_neither_the_record_nor_the_schema(business: str, tmp_path: Path) -> None:
    old = datetime.now(UTC) - timedelta(days=3)
    with psycopg.connect(business) as owner:
        owner.execute("SELECT console.ensure_log_partitions(%s, %s)", (old, old + timedelta(minutes=1)))
    add_request(business, timestamp=old)
    with psycopg.connect(business) as owner:
        owner.execute("UPDATE customers SET escrow_contract_id = %s", (ACCOUNT,))
        owner.execute(
            "INSERT INTO refresh_tokens (customer_id, token_hash, expires_at)"
            " VALUES (%s, repeat('a', 64), now() + interval '1 day')",
            (CUSTOMER,),
        )
    ledger = Ledger()
    strange = [event("DepositEvent", account_id=OTHER_ACCOUNT, amount=7)] * 2
    ledger.commit(USER, [event("DepositEvent", account_id=ACCOUNT, amount=5)])
    waiting, disputed = (
        ledger.commit(USER, strange),
        ledger.commit(USER, [event("ChargeEvent", account_id=ACCOUNT, amount=9)]),
    )
    with psycopg.connect(business) as owner:
        owner.execute(
            "INSERT INTO escrow_transactions (customer_id, tx_digest, tx_type, amount, timestamp)"
            " VALUES (%s, %s, 'charge', 8, now())",
            (CUSTOMER, str(disputed)),
        )
        owner.execute(
            "INSERT INTO ledger_entries (customer_id, type, amount_usd_cents, tx_hash) VALUES (%s, 'charge', -800, %s)",
            (CUSTOMER, str(disputed)),
        )
    vault = VaultPlace(tmp_path, key_text=f"k1 {'0' * 64}")
    with login(business, "opsdeck_operator") as dsn:
        async with (
            serving(Node(ledger)) as port,
            console(dsn, vault, EscrowChain(ChainReader(quick(port)), (ObjectId(PACKAGE),))) as source,
        ):
            assert (await source.control.read()).can_write
            for operation in (
                CreateKey(CUSTOMER, KeyService.SEAL, MADE_FOR, source.issuer),
                RotateKey(42, timedelta(days=1), source.issuer),
                RevokeKeys((42,)),
                UndoRevocation((42,)),
                SuspendCustomer(CUSTOMER),
                DisableService(CUSTOMER, KeyService.SEAL),
                SetMonthlyLimit(CUSTOMER, 5000, source.prices),
                EndSessions(CUSTOMER),
            ):
                assert (await source.rights()).may(type(operation))
                receipt = await source.perform(operation, "leaked")
                assert receipt.done, receipt
            runs = [await source.run_job(job) for job in JOBS]
            owners = "generate-mm-vault"  # imported encryption keys are for no role of ours to read
            expected = [(job.name, "failed" if job.name == owners else "succeeded") for job in JOBS]
            assert [(run.job, run.outcome) for run in runs] == expected
            assert [version.seq for version in await source.vaults.versions()] == [1]
            assert {run.job: run.counts for run in runs}["sync-chain"]["mirrored"] == 1
            for operation in (
                AssignEvent(EventId(waiting, 0), customer_id=CUSTOMER),
                DismissEvent(EventId(waiting, 1)),
                AcceptChain(EventId(disputed, 0)),
            ):
                assert (await source.rights()).may(type(operation))
                receipt = await source.perform(operation, "as agreed")
                assert receipt.done, receipt
            with psycopg.connect(business) as owner:
                ended = owner.execute("SELECT until IS NOT NULL FROM console.service_span").fetchall()
            assert ended == [(True,)], "the history is written for who may not write it"
            kept = {run.job: run.counts for run in runs}["maintain-partitions"]
            assert kept["dropped"] == 1, "an hour that is counted and over"
            assert {row.db_role for row in (await source.audit.page()).rows} == {conninfo_to_dict(dsn)["user"]}
        refused(
            dsn,
            *NOT_THE_RECORD_NOR_THE_SCHEMA,
            *SECRETS,
            "UPDATE console.metering SET retention = '1 hour'",
            "UPDATE escrow_transactions SET tx_digest = 'x'",
            "UPDATE ledger_entries SET amount_usd_cents = 0",
        )
    async with console(business) as source:
        found = await verify(source.database)
    assert (found.sound, found.rows) == (True, 12 + len(JOBS))


async def test_an_admin_sets_the_rules_and_changes_neither_the_record_nor_the_schema(business: str) -> None:
    with login(business, "opsdeck_admin") as dsn:
        with psycopg.connect(dsn) as connection:
            connection.execute("UPDATE console.metering SET retention = '3 days'")
        async with console(dsn) as source:
            assert (await source.perform(RevokeKeys((42,)), "leaked")).done
        refused(dsn, *(one for one in NOT_THE_RECORD_NOR_THE_SCHEMA if "GRANT" not in one), *SECRETS)


async def test_who_may_not_create_roles_migrates_all_the_same(empty_dsn: str, migrated_template: str) -> None:
    with login(empty_dsn) as dsn:
        named = conninfo_to_dict(dsn)
        with psycopg.connect(empty_dsn, autocommit=True) as owner:
            for grant in ("CREATE ON DATABASE {dbname}", "CREATE ON SCHEMA public"):
                owner.execute(f"GRANT {grant.format(**named)} TO {named['user']}")  # pyright: ignore
            async with console(dsn) as source:
                with pytest.raises(Refused, match=f"GRANT pg_read_all_settings TO {named['user']}. Nothing"):
                    await migrate(source.database)
            assert owner.execute("SELECT to_regnamespace('console')").fetchone() == (None,)
            owner.execute(f"GRANT pg_read_all_settings TO {named['user']}")  # pyright: ignore
            hypertable = owner.execute("SELECT FROM pg_available_extensions WHERE name = 'timescaledb'").fetchone()
            if hypertable is not None:
                owner.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        async with console(dsn) as source:
            assert await migrate(source.database)
            with psycopg.connect(empty_dsn, autocommit=True) as owner:
                owner.execute(f"REVOKE pg_read_all_settings FROM {named['user']}")  # pyright: ignore
            assert not await migrate(source.database), "it was needed for that once"
            assert await missing_roles(source.database) == (), "an earlier database of this cluster made them"
        with psycopg.connect(dsn) as connection:
            connection.execute(GRANTS.replace("opsdeck_", "lacking_"))  # pyright: ignore
            made = connection.execute("SELECT count(*) FROM pg_roles WHERE rolname ~ '^lacking_'").fetchone()
            assert made == (0,), "it may not, and goes on"
        with login(empty_dsn, "opsdeck_reader") as reader, psycopg.connect(reader) as connection:
            assert connection.execute("SELECT count(*) FROM customers").fetchone() == (0,), "its owner granted it"


def test_roles_made_from_two_databases_at_once_are_made_once(dsn: str, empty_dsn: str) -> None:
    """The roles of one cluster, wanted by databases that are migrated at the same moment."""
    body = GRANTS.replace("opsdeck_", "twice_").partition("DO $$\nDECLARE\n    relation")[0]
    failed: list[psycopg.Error] = []
    barrier = threading.Barrier(2)

    def make(where: str) -> None:
        try:
            with psycopg.connect(where) as connection:
                barrier.wait()
                connection.execute(body)  # pyright: ignore
        except psycopg.Error as error:
            failed.append(error)

    runs = [threading.Thread(target=make, args=(where,)) for where in (dsn, empty_dsn)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    with psycopg.connect(dsn, autocommit=True) as connection:
        made = connection.execute("SELECT rolname FROM pg_roles WHERE rolname ~ '^twice_' ORDER BY 1").fetchall()
        for (name,) in made:
            connection.execute(f"DROP ROLE {name}")  # pyright: ignore
    assert failed == []
    assert [name for (name,) in made] == sorted(role.replace("opsdeck_", "twice_") for role in ROLES)
