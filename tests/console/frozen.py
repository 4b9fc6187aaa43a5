"""A business and a moment that never change, for pictures of screens."""

import math
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from db.audit import Actor
from db.capture import Mark
from db.database import Connection, Database
from db.errors import Unavailable
from db.server.reader import Server
from db.source import (
    ApiKey,
    Attention,
    Batch,
    Cursor,
    CustomerRecord,
    GatewayVault,
    Group,
    GroupBy,
    Groups,
    History,
    KeyTraffic,
    Latencies,
    LogKeeping,
    Measures,
    Overview,
    Proof,
    RequestFilter,
    RequestRow,
    Session,
    Sessions,
    Source,
    Spending,
    SystemControl,
    Top,
    TopBy,
    TopCustomer,
    TopRow,
    TrafficClass,
    Usage,
    UsageQuestion,
    VaultVersion,
)
from db.suiftly.billing.spending import SpendingLimits
from db.suiftly.billing.spending_watch import SpendingWatch
from db.suiftly.control import Control
from db.suiftly.customers import Customers, UsageDay
from db.suiftly.keys.keys import Keys
from db.suiftly.keys.proof_evidence import Evidence, Publication, ServerTraffic
from db.suiftly.keys.proof_verdict import judge
from db.suiftly.keys.proofs import Proofs
from db.suiftly.log.breakdown import Breakdown
from db.suiftly.log.requests import Requests
from db.suiftly.overview import Traffic
from db.suiftly.usage.charts import Charts
from db.suiftly.usage.top import Ranking
from db.suiftly.usage.window import window_of
from tests.db.seed import SERVED

NOW = datetime(2026, 3, 14, 15, 9, 26, 535000, tzinfo=UTC)
LIVE_KEY, BUSY_KEY, OLD_KEY = 0x0100607B, 0x9F00AA12, 0x7B3D10C4
BUSY_CUSTOMER = 2711124630

_SEED = """
INSERT INTO customers (customer_id, wallet_address, escrow_contract_id, status, max_monthly_usd_cents,
                       current_balance_usd_cents, current_month_charged_usd_cents, created_at)
SELECT id, '0x' || repeat(wallet, 8), '0x' || repeat(escrow, 32), status, most, balance, charged, created FROM (VALUES
    (1042, '1a2b3c4d', 'e5', 'active', 50000, 123456, 4210, timestamptz '2025-11-03 08:15:00Z'),
    (77310, 'c0ffee00', NULL, 'suspended', 2000, 0, 2000, '2025-12-24 19:00:07Z'),
    (900001, '00ddba11', NULL, 'closed', NULL, NULL, NULL, '2026-01-01 00:00:00Z'),
    (2711124630, '9f8e7d6c', 'ab', 'active', NULL, 98765432, 1234567, '2026-01-15 12:30:45Z')
) AS v (id, wallet, escrow, status, most, balance, charged, created);
INSERT INTO service_instances (customer_id, service_type, tier, is_enabled) VALUES
    (2711124630, 'seal', 'enterprise', true), (2711124630, 'grpc', 'pro', true),
    (2711124630, 'graphql', 'starter', false);
INSERT INTO api_keys (api_key_id, api_key_fp, api_key_hash, customer_id, service_type, metadata, is_active, created_at,
                      revoked_at, revoked_by, revocation_reason)
SELECT 'sealed-' || fp, fp, lpad(to_hex(fp), 64, '0'), customer, service,
       '{"seal_network": 1, "seal_access": 0, "proc_group": 1}', revoked IS NULL, created, revoked, by, reason
FROM (VALUES
    (16801915, 2711124630, 'seal', timestamptz '2026-03-10 09:00:00Z', NULL::timestamptz, NULL, NULL),
    (2667620882, 2711124630, 'grpc', '2026-02-01 10:20:30Z', NULL, NULL, NULL),
    (2067599556, 2711124630, 'seal', '2026-01-20 16:45:00Z', '2026-03-14 14:55:00Z', 'ann',
     'found in a public repository'),
    (4242, 77310, 'graphql', '2025-12-25 00:00:00Z', NULL, NULL, NULL),
    (99, 1042, 'seal', '2025-11-03 08:20:00Z', '2026-02-02 02:02:02Z', 'bob', 'rotation')
) AS v (fp, customer, service, created, revoked, by, reason);
INSERT INTO ledger_entries (customer_id, type, amount_usd_cents, tx_hash, invoice_id, description, created_at)
    VALUES (2711124630, 'deposit', 98765432, 'tx-1', NULL, 'Deposit in USDC', '2026-01-16 00:00:00Z'),
           (1042, 'deposit', 130000, 'tx-2', NULL, 'Deposit in USDC', '2026-01-05 09:00:00Z'),
           (1042, 'charge', -6544, 'tx-3', '5e1f0000-0000-4000-8000-000000000002', 'Usage 2026-02-01 to 2026-02-15',
            '2026-02-15 00:06:00Z'),
           (1042, 'charge', -200, 'tx-4', NULL, NULL, '2026-03-02 12:00:00Z');
INSERT INTO escrow_transactions (customer_id, tx_digest, tx_type, amount, asset_type, timestamp)
    VALUES (1042, 'tx-2', 'deposit', 1300, '0x2::usdc::USDC', '2026-01-05 09:00:00Z'),
           (1042, 'tx-3', 'charge', 65.44, '0x2::usdc::USDC', '2026-02-15 00:06:00Z'),
           (1042, 'tx-5', 'withdraw', 20, '0x2::usdc::USDC', '2026-03-01 08:00:00Z');
INSERT INTO billing_records (id, customer_id, billing_period_start, billing_period_end, amount_usd_cents, type, status,
                             tx_digest, created_at)
    VALUES ('5e1f0000-0000-4000-8000-000000000001', 2711124630, '2026-02-01Z', '2026-03-01Z', 345600, 'charge',
            'pending', NULL, '2026-03-01 00:05:00Z'),
           ('5e1f0000-0000-4000-8000-000000000002', 1042, '2026-02-01Z', '2026-02-15Z', 6544, 'charge', 'paid', 'tx-3',
            '2026-02-15 00:05:00Z'),
           ('5e1f0000-0000-4000-8000-000000000003', 1042, '2026-02-15Z', '2026-03-01Z', 8111, 'charge', 'failed', NULL,
            '2026-03-01 00:05:01Z'),
           ('5e1f0000-0000-4000-8000-000000000004', 1042, '2026-02-01Z', '2026-03-01Z', -1250, 'credit', 'paid', NULL,
            '2026-02-20 10:00:00Z');
INSERT INTO usage_records (customer_id, service_type, request_count, bytes_transferred, window_start, window_end,
                           billing_record_id, charged_amount)
SELECT 1042, service, requests, requests * 900, at, at + interval '1 hour', bill::uuid, charged FROM (VALUES
    ('seal', 400000, timestamptz '2026-02-03 10:00Z', '5e1f0000-0000-4000-8000-000000000002', 40.0),
    ('grpc', 254321, '2026-02-05 11:00Z', '5e1f0000-0000-4000-8000-000000000002', 25.4321),
    ('seal', 1234, '2026-02-03 10:00Z', '5e1f0000-0000-4000-8000-000000000003', 0.1234),
    ('seal', 409800, '2026-02-17 10:00Z', '5e1f0000-0000-4000-8000-000000000003', 40.98)
) AS v (service, requests, at, bill, charged);
INSERT INTO console.monthly_fee (customer_id, month, service_type, item, detail, amount_usd, billing_record_id)
    VALUES (1042, '2026-02-01', 'seal', 'tier', 'pro', 40, '5e1f0000-0000-4000-8000-000000000003');
INSERT INTO console.billing_blocked (customer_id, reason, open_usd, since)
    VALUES (77310, 'suspended', 12.3456, '2026-03-13 00:05:00Z');
INSERT INTO console.audit (operation_id, at, action, subjects, os_user, ssh_source, db_role, reason, outcome, message,
                           before, after)
VALUES ('00000000-0000-4000-8000-000000000001', '2026-03-14 14:55:00Z', 'revoke-keys', '{key:2067599556}', 'ann',
        '198.51.100.7', 'operator', 'found in a public repository', 'done', 'Revoked 0x7b3d10c4',
        '{"key:2067599556": {"is_active": true, "revoked_at": null}}',
        '{"key:2067599556": {"is_active": false, "revoked_at": "2026-03-14T14:55:00Z"}}'),
       ('00000000-0000-4000-8000-000000000003', '2026-03-14 15:01:00Z', 'publish-vault', '{vault:ma}', 'ann', NULL,
        'operator', '1 key removed', 'done', 'Published', NULL,
        '{"vault:ma": {"version": "000000012-5d41402abc4b2a76"}}'),
       ('00000000-0000-4000-8000-000000000002', '2026-03-14 14:56:10Z', 'revoke-keys', '{key:2067599556}', 'bob',
        NULL, 'operator', 'same finding', 'refused', 'revoked already', NULL, NULL);
UPDATE system_control SET ma_vault_version = '000000012-5d41402abc4b2a76', last_monthly_reset = '2026-03-01';
INSERT INTO console.vault_version (vault, seq, path, sha256, key_id, customers, keys, built_at, published_at,
                                   operation_id)
SELECT 'ma', 10 + n, '/srv/vault/ma-' || 10 + n || '.enc', sha, '2026a', 9812 + n, 30007 - n,
       at, at, gen_random_uuid()
FROM (VALUES (1, repeat('c4ca4238a0b92382', 4), timestamptz '2026-03-14 13:01:00Z'),
             (2, repeat('5d41402abc4b2a76', 4), '2026-03-14 15:01:00Z')) AS v (n, sha, at);
"""


class FrozenDatetime(datetime):
    """It is always NOW."""

    @classmethod
    def now(cls, tz: object = None) -> "FrozenDatetime":
        return cls.fromtimestamp(NOW.timestamp(), tz=UTC)


def freeze(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stops the clocks that screens read."""
    for module in ("console.screens.base", "console.screens.key", "console.parts.revoking"):
        monkeypatch.setattr(f"{module}.datetime", FrozenDatetime)
    for module in ("console.screens.base", "console.screens.requests", "console.parts.log_account"):
        monkeypatch.setattr(f"{module}.monotonic", lambda: 1000.0)
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")


def seed(dsn: str) -> None:
    """The business."""
    with psycopg.connect(dsn) as connection:
        connection.execute(_SEED)  # pyright: ignore


class FrozenDatabase(Database):
    """The real one under a lasting name; `cut` makes every question fail."""

    cut = False

    @property
    def place(self) -> str:
        return "suiftly@db1.example"

    def reading(
        self, statement_s: float | None = None, *, one_snapshot: bool = False, may_lag: bool = False
    ) -> AbstractAsyncContextManager[Connection]:
        if self.cut:
            raise Unavailable("the connection was lost")
        return super().reading(statement_s, one_snapshot=one_snapshot, may_lag=may_lag)


class _Customers(Customers):
    async def record(self, customer_id: int) -> CustomerRecord | None:
        """Usage is counted back from today: here it ends with NOW."""
        found = await super().record(customer_id)
        counts = (1_234_567, 2_345_678, 2_100_000, 950_000, 400_123, 2_222_222, 1_999_999)
        days = (NOW.date() - timedelta(days=age) for age in range(len(counts)))
        usage = tuple(UsageDay(day, n, n * 700, Decimal("1.5")) for day, n in zip(days, counts, strict=True))
        return found and replace(found, detail=replace(found.detail, usage=usage))


class _Keys(Keys):
    async def traffic(self, key: ApiKey, *, statement_s: float = 2.0) -> KeyTraffic:
        """The log is counted back from now as well."""
        seen, served = NOW - timedelta(seconds=2), NOW - timedelta(seconds=3)
        if key.fingerprint == BUSY_KEY:
            return KeyTraffic(48_213, 47_900, 0, seen, served, None, (0x13, 0x27, 0x31), 212)
        if key.fingerprint == OLD_KEY:
            revoked = datetime(2026, 3, 14, 14, 55, tzinfo=UTC)
            refused = revoked + timedelta(seconds=9)
            return KeyTraffic(5_120, 40, 5_080, seen, served, refused, (0x13, 0x27), 3)
        return KeyTraffic(0, 0, 0, None, None, None, (), 0)


class _Proofs(Proofs):
    async def of(self, key: ApiKey, *, statement_s: float = 2.0) -> Proof:
        """Of the old key: one gateway of two was held back, and serves it still."""
        revoked = datetime(2026, 3, 14, 14, 55, tzinfo=UTC)
        published = VaultVersion(
            "ma", 13, "/srv/vault/ma-13.enc", "1" * 16, "1" * 64, "2026a", 9813, 30006, revoked,
            revoked + timedelta(seconds=2),
        )  # fmt: skip
        late, minute = published.published_at, timedelta(minutes=1)
        gateways = (
            GatewayVault("r1-s03", "ma", 12, NOW - timedelta(seconds=4), None, 13, late, NOW, minute),
            GatewayVault("r2-s07", "ma", 13, NOW - timedelta(seconds=5), None, 13, None, NOW, minute),
        )
        servers = (
            ServerTraffic(0x13, 0, None, None, NOW - timedelta(seconds=3)),
            ServerTraffic(0x27, 5_080, revoked + timedelta(seconds=9), NOW - timedelta(seconds=2), None),
        )
        return judge(Evidence(key, revoked, Publication(published), gateways, servers, NOW, minute))


class _Traffic(Traffic):
    async def overview(self) -> Overview:
        """A burst, a failing backend, and somebody who is refused."""
        end = datetime(2026, 3, 14, 15, 10, tzinfo=UTC)
        series = tuple(
            {
                TrafficClass.GUARANTEED.value: 800 + 37 * (i % 7) + 6 * i,
                TrafficClass.BURST.value: 300 if 20 <= i < 34 else 20,
                TrafficClass.REJECTED.value: 15 + 4 * (i % 5),
                TrafficClass.INVALID.value: 30,
                TrafficClass.SERVER_ERROR.value: 160 if 44 <= i < 50 else i % 3,
                TrafficClass.OTHER.value: 8,
            }
            for i in range(60)
        )
        return Overview(
            start=end - timedelta(hours=1),
            end=end,
            now=end - timedelta(seconds=35),
            series=series,
            requests=101_900,
            server_errors=1019,
            client_errors=3180,
            bytes=412_345_678,
            latencies=(38, 212, 1480),
            top=(
                TopCustomer(BUSY_CUSTOMER, 48_213, 313),
                TopCustomer(1042, 9_120, 12),
                TopCustomer(77310, 1_004, 1_004),
            ),
            attention=(
                Attention("bad", "revoked key 0x7b3d10c4 is still served: 40 request(s) in 5 min", f"key:{OLD_KEY}"),
                Attention("bad", "customer 77310 is not active but served: 3 request(s)", "customer:77310"),
                Attention("warn", "maintenance mode is on: new signups are paused", "control"),
            ),
        )

    async def still_served(self) -> int:
        return 1


def _row(number: int, **other: object) -> RequestRow:
    """An ordinary success; `number` tenths of a second before NOW."""
    row = SERVED._replace(
        timestamp=NOW - timedelta(milliseconds=100 * number),
        customer_id=BUSY_CUSTOMER,
        path_prefix="/v1/fetch_",
        config_hex=25 << 36 | 50 << 28 | 100 << 20 | 3 << 16,
        server_id=0x13 + number % 3,
        service_type=1 + number % 2,
        api_key_fp=BUSY_KEY,
        bytes_sent=5120,
        time_total=30 + number * 7 % 50,
        time_queue=0,
        time_connect=2,
        backend_id=1,
    )
    return row._replace(**other)


_FAILED = {
    "status_code": 504,
    "event_type": 53,
    "time_total": 5012,
    "time_queue": 9,
    "time_response": None,
    "termination_state": "sH",
    "backend_id": 12,
}
_REFUSED = {
    "status_code": 403,
    "event_type": 31,
    "traffic_type": 3,
    "api_key_fp": OLD_KEY,
    "time_total": 0,
    "time_queue": None,
    "time_connect": None,
    "time_response": None,
    "termination_state": "PR",
    "backend_id": 0,
}


def requests() -> list[RequestRow]:
    """Oldest first; the newest is a time-out behind the gateway."""
    rows = [_row(number) for number in range(60)]
    rows[0] = rows[0]._replace(**_FAILED)
    for number in (4, 9, 10):
        rows[number] = rows[number]._replace(**_REFUSED)
    rows[6] = rows[6]._replace(traffic_type=2, time_total=212)
    rows[12] = rows[12]._replace(status_code=429, traffic_type=4, event_type=0, repeat=250, time_total=0)
    rows[15] = rows[15]._replace(customer_id=None, api_key_fp=0, status_code=401, event_type=10, traffic_type=3)
    rows[20] = rows[20]._replace(status_code=404, path_prefix="/favicon.i")
    rows[21] = rows[21]._replace(status_code=-1, termination_state="CD", customer_id=7)
    return rows[::-1]


_THERE = 25  # of the rows before anybody looked; the others come at once


class _Requests(Requests):
    async def begin(
        self, wanted: RequestFilter, *, recent: int = 200, within: timedelta = timedelta(minutes=15)
    ) -> Batch:
        return Batch(requests()[:_THERE], Cursor(Mark(1), wanted, NOW + timedelta(milliseconds=300)), NOW - within)

    async def since(self, cursor: Cursor, *, at_most: int | None = None, step: int | None = None) -> Batch:
        new = requests()[_THERE:] if cursor.mark == Mark(1) else []
        return Batch(new, replace(cursor, mark=Mark(2)), cursor.at, committed=len(new), passed=len(new))

    async def before(
        self,
        wanted: RequestFilter,
        moment: datetime,
        *,
        cursor: Cursor | None = None,
        limit: int = 500,
        bound: datetime | None = None,
    ) -> History:
        return History([], moment, complete=True)

    async def around(self, row: RequestRow, *, each_side: int = 10) -> list[RequestRow]:
        return [other for other in requests() if other.customer_id == row.customer_id][-each_side:]


class _Breakdown(Breakdown):
    async def recent(self, wanted: RequestFilter, by: GroupBy, within: timedelta, limit: int = 100) -> Groups:
        """One customer who is most of it, one who is refused, and requests of nobody."""
        counted = (
            (BUSY_CUSTOMER, 48_213, 313, 212),
            (1042, 9_120, 12, 48),
            (77310, 1_004, 1_004, None),
            (0, 120, 120, None),
        )
        total = sum(requests for _, requests, _, _ in counted)
        rows = tuple(
            Group(value, requests, errors, requests / total, NOW - timedelta(seconds=number), p95)
            for number, (value, requests, errors, p95) in enumerate(counted)
        )
        return Groups(by, NOW - within, NOW, rows, len(rows), total, sum(row.errors for row in rows))


def _measures(requests: int, *, failing: int = 0, slow: int = 1) -> Measures:
    classes = {
        TrafficClass.GUARANTEED: requests * 80 // 100,
        TrafficClass.BURST: requests * 7 // 100,
        TrafficClass.REJECTED: requests * 10 // 100,
        TrafficClass.INVALID: requests * 2 // 100,
        TrafficClass.SERVER_ERROR: failing,
        TrafficClass.OTHER: requests // 100,
    }
    latencies = Latencies(38 * slow, 212 * slow, 900 * slow * slow) if requests else None
    return Measures(classes, requests * 12 // 100, failing, requests * 4_300, latencies)


class _Charts(Charts):
    async def usage(self, question: UsageQuestion, *, columns: int) -> Usage:
        """A day, with a backend that fails and a quiet night in which one gateway did not report."""
        window = window_of(question, NOW, columns=columns, finest=timedelta(minutes=1))
        if question.wanted.asked:
            nothing = Measures(dict.fromkeys(TrafficClass, 0), 0, 0, 0, None)
            return Usage(window, (nothing,) * window.steps, nothing, nothing, "rolled up by minute", None)
        points: list[Measures] = []
        for step in range(window.steps):
            share = step / window.steps
            daily = 60_000 + round(40_000 * math.cos(2 * math.pi * (share - 0.95)))
            down = 0.7 < share < 0.75
            requests = 0 if 0.4 < share < 0.42 else daily
            points.append(_measures(requests, failing=requests // (8 if down else 2000), slow=3 if down else 1))
        total = _measures(5_810_000, failing=40_112)
        return Usage(window, tuple(points), total, _measures(5_300_000, failing=3_010), "rolled up by minute", None)


class _Ranking(Ranking):
    async def top(self, question: UsageQuestion, by: TopBy, *, limit: int = 10) -> Top:
        window = window_of(question, NOW, columns=110, finest=timedelta(minutes=1))
        if question.wanted.asked:
            return Top(by, window, (), 0, 0, from_log=False)
        counted = (
            (BUSY_CUSTOMER, 2_310_400, 1_990_212),
            (1042, 912_077, 913_000),
            (0, 401_020, 120_555),
            (77310, 40, 0),
        )
        rows = tuple(
            TopRow(value, requests, requests * 3 // 100, requests / 5_810_000, before)
            for value, requests, before in counted
        )
        return Top(by, window, rows, len(rows), 5_810_000, from_log=False)


class _Control(Control):
    async def keeping(self) -> LogKeeping:
        """The same on every server."""
        hour = timedelta(hours=1)
        return LogKeeping(48 * hour, 6 * hour, True, 49, 0, 0, NOW - 48 * hour, NOW + hour)

    async def read(self) -> SystemControl:
        return replace(await super().read(), now=NOW)


class _Spending(SpendingLimits):
    """Of the limit, as if it were NOW."""

    async def of(self, customer: int) -> Spending | None:
        found = await super().of(customer)
        return found and _in_march(found)

    async def near(self, *, percent: int = 80, limit: int = 100) -> tuple[Spending, ...]:
        return tuple(map(_in_march, await super().near(percent=percent, limit=limit)))


def _in_march(spending: Spending) -> Spending:
    so_far = spending.spent_cents + spending.open_cents
    return replace(spending, begin=date(2026, 3, 1), end=date(2026, 4, 1), projected_cents=so_far * 31 // 14)


def _session(pid: int, application: str, **other: object) -> Session:
    """A program that is idle for a minute."""
    quiet = NOW - timedelta(minutes=1)
    row = Session(
        pid=pid,
        started=NOW - timedelta(hours=2),
        kind="client backend",
        owner="suiftly",
        database="suiftly",
        application=application,
        state="idle",
        waits_for="Client: ClientRead",
        transaction_since=None,
        statement_since=quiet,
        state_since=quiet,
        blocked_by=(),
        holds_capture=False,
        holds_vacuum=False,
        statement="COMMIT",
    )
    return replace(row, **other)


class _Server(Server):
    """A report that somebody left open stands in the way of the shop."""

    async def sessions(self) -> Sessions:
        waiting = {"state": "active", "waits_for": "Lock: transactionid", "blocked_by": (4711,)}
        update = "UPDATE customers SET status = '…' WHERE customer_id = $1"
        report = _session(
            4711,
            "nightly report",
            owner="reports",
            state="idle in transaction",
            transaction_since=NOW - timedelta(minutes=12),
            statement_since=NOW - timedelta(minutes=11),
            holds_capture=True,
            holds_vacuum=True,
            statement=update,
            blocks=2,
        )
        shop = [
            _session(pid, "shop", transaction_since=NOW - timedelta(seconds=age), statement=update, **waiting)
            for pid, age in ((5003, 95), (5004, 40))
        ]
        feed = _session(77, "standby1", owner="replication", kind="walsender", database="", state="active")
        clients = [_session(pid, "shop") for pid in range(5005, 5011)]
        consoles = [_session(6001, "opsdeck ann@admin1 | database", owner="ann")]
        return Sessions((report, *shop, *consoles, *clients, feed), 10, 100, NOW)


class FrozenSource(Source):
    """The real source; only what is counted back from now is canned."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, Actor("ann", None))
        self.breakdown = _Breakdown(database)
        self.charts = _Charts(database)
        self.control = _Control(database)
        self.customers = _Customers(database)
        self.keys = _Keys(database)
        self.proofs = _Proofs(database, self.vaults, self.gateways)
        self.ranking = _Ranking(database)
        self.requests = _Requests(database)
        self.spending = _Spending(database, self.prices)
        self.spending_watch = SpendingWatch(self.spending, self.billing)
        self.server = _Server(database)
        self.traffic = _Traffic(database)
