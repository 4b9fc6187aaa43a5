"""The doctor: each check when it is fine, when it wants a look, and when it is bad."""

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from db.database import Database
from db.suiftly.health import Check, State, health
from db.suiftly.jobs.aggregate_usage import AggregateUsage
from db.suiftly.jobs.log_consumer import take_step
from db.suiftly.overview import Traffic
from tests.db.seed import CUSTOMER, add_customer, add_key, add_request


def change(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)  # pyright: ignore


async def look(dsn: str, name: str) -> Check:
    """One check, on connections of its own: some tests change what a session starts with."""
    database = Database(dsn)
    await database.open()
    try:
        found = [check for check in await health(database) if check.name == name]
    finally:
        await database.close()
    assert len(found) == 1
    return found[0]


async def test_a_healthy_database_is_good_all_over(dsn: str, database: Database) -> None:
    add_request(dsn)
    checks = await health(database)
    assert [check.name for check in checks] == [
        "server",
        "schema",
        "role",
        "request log",
        "partitions",
        "metering",
        "rollups",
        "reconcile",
        "gateways",
        "attention",
    ]
    assert {check.state for check in checks} == {State.GOOD}, checks
    assert checks[-1].sentence == "nothing needs a look"


async def test_a_database_without_our_tables_says_what_to_run(empty_dsn: str) -> None:
    database = Database(empty_dsn)
    await database.open()
    checks = await health(database)
    await database.close()
    assert [(check.name, check.state) for check in checks] == [("server", State.GOOD), ("schema", State.BAD)]
    assert checks[1].sentence.endswith("run `opsdeck migrate`")


async def test_the_server_says_which_kind_it_is(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        hypertable = connection.execute("SELECT console.log_is_hypertable()").fetchall()[0][0]
    check = await look(dsn, "server")
    assert check.state is State.GOOD
    assert ("TimescaleDB" if hypertable else "plain partitions") in check.sentence


@pytest.mark.parametrize(
    ("pretence", "state", "sentence"),
    [
        (
            """CREATE FUNCTION pretence.current_setting(name text) RETURNS text LANGUAGE sql AS
               $$SELECT CASE WHEN name = 'server_version_num' THEN '140012'
                             WHEN name = 'server_version' THEN '14.12' ELSE pg_catalog.current_setting(name) END$$""",
            State.BAD,
            "PostgreSQL 14.12 is too old; opsdeck needs 15 or newer",
        ),
        (
            "CREATE FUNCTION pretence.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'",
            State.WARN,
            "is a standby: nothing can be changed here",
        ),
    ],
)
async def test_a_server_that_will_not_do(dsn: str, pretence: str, state: State, sentence: str) -> None:
    name = str(conninfo_to_dict(dsn)["dbname"])
    change(
        dsn, "CREATE SCHEMA pretence", pretence,
        f"ALTER DATABASE {name} SET search_path = pretence, pg_catalog, public",
    )  # fmt: skip
    check = await look(dsn, "server")
    assert check.state is state
    assert sentence in check.sentence


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("UPDATE console.migration SET checksum = 'x' WHERE number = 2", "0002_request_log was edited"),
        ("DELETE FROM console.migration WHERE number = 4", "run `opsdeck migrate`"),
        ("INSERT INTO console.migration VALUES (9999, 'later', 'x')", "migrated by a newer opsdeck"),
    ],
)
async def test_a_schema_that_is_not_ours_is_bad_and_nothing_more_is_asked(
    dsn: str, database: Database, statement: str, sentence: str
) -> None:
    change(dsn, statement)
    checks = await health(database)
    assert [check.name for check in checks] == ["server", "schema"]
    assert checks[1].state is State.BAD
    assert sentence in checks[1].sentence


async def test_a_role_that_may_only_read_is_told_so(dsn: str) -> None:
    name = str(conninfo_to_dict(dsn)["dbname"])
    role = f"reader_{name}"
    change(
        dsn, f"CREATE ROLE {role} LOGIN", f"GRANT pg_read_all_data TO {role}",
    )  # fmt: skip
    try:
        check = await look(dsn.replace("postgres@", f"{role}@"), "role")
        assert (check.state, check.sentence) == (State.WARN, f"{role} may only read")
        change(dsn, f"GRANT UPDATE ON api_keys TO {role}")
        check = await look(dsn.replace("postgres@", f"{role}@"), "role")
        assert check.state is State.WARN  # without a record nothing is changed
        change(dsn, f"GRANT INSERT ON console.audit TO {role}")
        check = await look(dsn.replace("postgres@", f"{role}@"), "role")
        assert (check.state, check.sentence) == (State.GOOD, f"{role} may change things")
    finally:
        change(dsn, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


@pytest.mark.parametrize(
    ("age", "state", "sentence"),
    [
        (None, State.WARN, "no request was logged in the last 10 minutes"),
        ("11 minutes", State.WARN, "no request was logged in the last 10 minutes"),
        ("5 minutes", State.WARN, "s old"),
        ("30 seconds", State.GOOD, "s old"),
        ("-2 minutes", State.WARN, "no request was logged in the last 10 minutes"),  # the rule of clocks tells the rest
    ],
)
async def test_the_age_of_the_log(dsn: str, age: str | None, state: State, sentence: str) -> None:
    if age is not None:
        with psycopg.connect(dsn) as connection:
            (then,) = connection.execute("SELECT now() - %s::interval", (age,)).fetchall()[0]
        add_request(dsn, timestamp=then)
    check = await look(dsn, "request log")
    assert check.state is state, check
    assert sentence in check.sentence


@pytest.mark.parametrize(
    ("hours", "state", "sentence"),
    [(5, State.BAD, "made only 5 h ahead; run `"), (8, State.WARN, "made only 8 h ahead; run `"),
     (24, State.GOOD, "24 hourly partitions ahead")],
)  # fmt: skip
async def test_how_far_the_partitions_reach(
    dsn: str, database: Database, hours: int, state: State, sentence: str
) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        if connection.execute("SELECT console.log_is_hypertable()").fetchone() == (True,):
            check = await look(dsn, "partitions")
            assert (check.state, check.sentence) == (State.GOOD, "the hypertable makes its own chunks")
            return
        # Counted from the hour that runs now, which is the first of them.
        beyond = connection.execute(
            """SELECT relname FROM pg_class WHERE relname ~ '^haproxy_raw_logs_\\d{10}$' AND relname >=
               'haproxy_raw_logs_' || to_char(now() AT TIME ZONE 'UTC' + %s * interval '1 hour', 'YYYYMMDDHH24')""",
            (hours,),
        ).fetchall()
        for (name,) in beyond:
            connection.execute(f"DROP TABLE {name}")
    checks = await health(database)
    [told] = [check for check in checks if " ahead" in check.sentence]  # once, by check and rule alike
    assert (told.name, told.state, sentence in told.sentence) == ("partitions", state, True)


async def test_what_needs_a_look_is_part_of_the_visit(dsn: str) -> None:
    add_customer(dsn, CUSTOMER)
    add_key(dsn, 42, CUSTOMER)
    add_request(dsn)
    change(dsn, "UPDATE api_keys SET is_active = false, revoked_at = now() - interval '9 minutes'")
    check = await look(dsn, "attention")
    assert (check.state, "0x0000002a is still served" in check.sentence) == (State.BAD, True)
    change(dsn, "DELETE FROM haproxy_raw_logs", "UPDATE system_control SET maintenance_mode = true")
    check = await look(dsn, "attention")
    assert (check.state, "maintenance mode is on" in check.sentence) == (State.WARN, True)


@pytest.mark.parametrize(
    ("hours", "state", "words"),
    [(1, State.GOOD, "2 %"), (13, State.WARN, "27 %"), (25, State.BAD, "52 %"), (40, State.BAD, "outgrows")],
)
async def test_metering_is_held_against_the_retention(database: Database, hours: int, state: State, words: str) -> None:
    async with database.writing() as connection:
        await connection.execute(
            "UPDATE console.capture_state SET caught_up_at = now() - make_interval(hours => %s)", (hours,)
        )
    [check] = [check for check in await health(database) if check.name == "metering"]
    assert check.state is state
    assert words in check.sentence


async def test_a_database_restored_from_another_cluster_is_recognised(database: Database) -> None:
    async with database.writing() as connection:
        await connection.execute("UPDATE console.capture_state SET system_identifier = 1")
    [check] = [check for check in await health(database) if check.name == "metering"]
    assert check.state is State.BAD
    assert "another cluster" in check.sentence


async def test_usage_that_is_not_what_the_log_says_is_bad(dsn: str, database: Database) -> None:
    add_customer(dsn, CUSTOMER)
    add_request(dsn, customer_id=CUSTOMER)
    async with database.writing() as connection:
        await take_step(connection, AggregateUsage())
    assert (await look(dsn, "reconcile")).state is State.GOOD
    change(dsn, "UPDATE usage_records SET request_count = request_count + 1")
    check = await look(dsn, "reconcile")
    assert check.state is State.BAD
    assert "1 usage records differ" in check.sentence


async def test_an_hour_too_long_to_be_compared_is_said_and_costs_no_more_than_its_time(
    dsn: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.suiftly.health.RECONCILE_S", 0.001)
    check = await look(dsn, "reconcile")
    assert check.state is State.WARN
    assert "`opsdeck usage reconcile` checks it" in check.sentence


async def test_a_late_cursor_stands_in_the_attention_list(dsn: str, database: Database) -> None:
    change(dsn, "UPDATE console.capture_state SET caught_up_at = now() - interval '13 hours' WHERE name = 'traffic'")
    [line] = (await Traffic(database).overview()).attention
    assert (line.severity, line.subject) == ("warn", "jobs:roll-up-traffic")
    assert "27 % of the log's retention" in line.sentence
