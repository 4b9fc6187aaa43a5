"""Single requests as a gateway logs them: status, event, traffic class, phases and termination state agree.

The codes are those of db/suiftly/log/codes.py and termination.py. Where the sources of the format are
silent a choice was made: event 14 is a 408 with cR and traffic type 0 (the request never was complete), event 15 has no
HTTP answer at all (status -1), a customer over its limit gets event 21 with traffic type 3, an address over its limit
event 21 with traffic type 5, and burst traffic that waited 5 s in the queue gets event 63 with traffic type 4.
"""

from datetime import UTC, datetime
from random import Random
from typing import Final

from db.suiftly.log.row import RequestRow
from db.suiftly.simulation.cast import Sender

# Rows are made ahead of time; the batch that carries them sets the time.
UNSTAMPED: Final = datetime(1970, 1, 1, tzinfo=UTC)

GUARANTEED: Final = 1
BURST: Final = 2

# Limits in force per tier as the 64-bit customer header of B.3. Enterprise: 1,020 rps per address, guaranteed and
# burst (255 units of 4), QoS 4.
CONFIG_BY_TIER: Final = {
    "starter": 0x30_3000_0000,
    "pro": 0x323_27D2_0000,
    "enterprise": 0xFF << 36 | 0xFF << 28 | 0xFF << 20 | 4 << 16,
}

# First 10 characters of the path without its leading slash; the first of each is by far the most called.
_PATHS: Final = {
    1: ("v1/fetch_k", "v1/fetch_k", "v1/fetch_k", "v1/service"),
    2: ("sui.rpc.v2", "sui.rpc.v2", "sui.rpc.v2", "grpc.refle"),
    3: ("graphql", "graphql", "graphql", "graphql/he"),
}
_ATTACK_PATHS: Final = (".env", "wp-login.p", "admin/conf", ".git/confi", "v1/fetch_k", "graphql", "phpmyadmin")
# Per service: logarithm of the median answer time in ms, and of the median body in bytes.
_ANSWER: Final = {1: (3.7, 6.2), 2: (3.1, 7.2), 3: (4.3, 8.0)}

# event -> status, termination state, how many of (request, queue, connect, response) were reached,
# bounds in ms of what was spent waiting in vain: server timeout 30 s, three connects of 1 s or 5 s, queue 5 s.
_FAILURES: Final = {
    50: (500, "--", 4, (0, 20)),
    51: (502, "SH", 3, (1, 4_000)),
    52: (503, "--", 4, (0, 20)),
    53: (504, "sH", 3, (30_000, 30_020)),
    54: (500, "SD", 4, (1, 2_000)),
    60: (503, "SC", 2, (3_000, 3_040)),
    61: (503, "sC", 2, (15_000, 15_040)),
    62: (503, "RC", 1, (0, 3)),
    63: (503, "sQ", 2, (0, 3)),
}
QUEUE_TIMEOUT_MS: Final = 5_000

_STRAY_EVENTS: Final = (10, 11, 12, 13, 14, 15, 16, 17)
_STRAY_WEIGHTS: Final = (40, 20, 12, 2, 5, 3, 12, 6)
_ATTACK_EVENTS: Final = (10, 11, 12, 20, 21)
_ATTACK_WEIGHTS: Final = (25, 25, 15, 15, 20)


def answered(random: Random, server_id: int, sender: Sender, tier: str, traffic_type: int = GUARANTEED) -> RequestRow:
    """A request the backend answered: event 0, whatever it said (2xx, 3xx or 4xx)."""
    response_log, bytes_log = _ANSWER[sender.service]
    dice = random.random()
    status = 200 if dice < 0.966 else 304 if dice < 0.970 else random.choice((400, 400, 400, 404, 404, 413))
    request = int(random.random() * 2.2)
    queue = int(random.expovariate(0.05)) if traffic_type == BURST else 0 if random.random() < 0.9 else 1
    connect = int(random.random() * 2.5)
    response = int(random.lognormvariate(response_log, 0.55)) + 1
    left_early = status == 200 and random.random() < 0.004
    sent = 0 if status == 304 else 96 if status >= 400 else int(random.lognormvariate(bytes_log, 0.7))
    return RequestRow(
        timestamp=UNSTAMPED,
        customer_id=sender.customer_id,
        path_prefix=random.choice(_PATHS[sender.service]),
        config_hex=CONFIG_BY_TIER.get(tier),
        network=sender.network,
        server_id=server_id,
        service_type=sender.service,
        api_key_fp=sender.fp,
        fe_type=2,
        traffic_type=traffic_type,
        event_type=0,
        client_ip=random.choice(sender.clients),
        key_metadata=sender.key_metadata,
        status_code=status,
        bytes_sent=sent,
        time_total=request + queue + connect + response + int(random.expovariate(0.2)),
        time_request=request,
        time_queue=queue,
        time_connect=connect,
        time_response=response,
        backend_id=random.choice((1, 1, 2, 2, 3)),
        termination_state=random.choice(("CD", "CD", "CD", "cD")) if left_early else "--",
        repeat=1,
    )


def failed(
    random: Random, server_id: int, sender: Sender, tier: str, event: int, *, traffic_type: int = GUARANTEED
) -> RequestRow:
    """A request that was let in and then failed behind the gateway: events 50-54 and 60-63."""
    status, termination, reached, wasted = _FAILURES[event]
    waited = QUEUE_TIMEOUT_MS if event == 63 else int(random.expovariate(0.02))
    spent = (int(random.random() * 2.2), waited, int(random.random() * 40), int(random.lognormvariate(4.5, 0.8)) + 1)
    phases = tuple(spent[phase] if phase < reached else None for phase in range(4))
    if event == 62:
        traffic_type = 6
    elif event == 63 and traffic_type == BURST:
        traffic_type = 4
    return RequestRow(
        timestamp=UNSTAMPED,
        customer_id=sender.customer_id,
        path_prefix=random.choice(_PATHS[sender.service]),
        config_hex=CONFIG_BY_TIER.get(tier),
        network=sender.network,
        server_id=server_id,
        service_type=sender.service,
        api_key_fp=sender.fp,
        fe_type=2,
        traffic_type=traffic_type,
        event_type=event,
        client_ip=random.choice(sender.clients),
        key_metadata=sender.key_metadata,
        status_code=status,
        bytes_sent=107,
        time_total=sum(spent[:reached]) + random.randint(*wasted),
        time_request=phases[0],
        time_queue=phases[1],
        time_connect=phases[2],
        time_response=phases[3],
        backend_id=0 if event in {62, 63} else random.choice((1, 2, 3)),
        termination_state=termination,
        repeat=1,
    )


def refused(random: Random, server_id: int, sender: Sender, tier: str | None, event: int) -> RequestRow:
    """A request of a known key refused at the edge: 21 (over its limit), 30, 31 or 32.

    `tier` None: the gateway has no limits for this key. Identical refusals of
    one second come folded: `repeat` of them, `bytes_sent` summed.
    """
    repeat = _folded(random, 0.25, 12)
    limits = None if event == 32 else 0 if event == 30 or tier is None else CONFIG_BY_TIER.get(tier)
    return _at_the_edge(random, server_id, event, random.choice(sender.clients), repeat)._replace(
        customer_id=sender.customer_id,
        path_prefix=random.choice(_PATHS[sender.service]),
        config_hex=limits,
        network=sender.network,
        service_type=sender.service,
        api_key_fp=sender.fp,
        key_metadata=sender.key_metadata,
    )


def attack(random: Random, server_id: int, addresses: tuple[str, ...]) -> RequestRow:
    """A request of an attacker: no key, an invented key (fingerprint of nobody), garbage, or a banned address."""
    event = random.choices(_ATTACK_EVENTS, _ATTACK_WEIGHTS)[0]
    return _stranger(random, server_id, event, random.choice(addresses), _folded(random, 0.6, 60))


def stray(random: Random, server_id: int) -> RequestRow:
    """Background noise of the Internet and of badly written clients: events 10 to 17."""
    event = random.choices(_STRAY_EVENTS, _STRAY_WEIGHTS)[0]
    return _stranger(random, server_id, event, f"198.51.100.{random.randrange(1, 255)}", _folded(random, 0.1, 4))


def probe(random: Random, server_id: int) -> RequestRow:
    """A health check of our own monitor on the local, unmetered frontend: nobody's traffic, traffic type 0."""
    response = int(random.random() * 3)
    return RequestRow(
        timestamp=UNSTAMPED,
        customer_id=None,
        path_prefix="health",
        config_hex=None,
        network=1,
        server_id=server_id,
        service_type=random.choice((1, 2, 3)),
        api_key_fp=0,
        fe_type=3,
        traffic_type=0,
        event_type=0,
        client_ip=f"192.0.2.{server_id & 15}",
        key_metadata=None,
        status_code=200,
        bytes_sent=2,
        time_total=response + 1,
        time_request=0,
        time_queue=0,
        time_connect=0,
        time_response=response,
        backend_id=1,
        termination_state="--",
        repeat=1,
    )


def _stranger(random: Random, server_id: int, event: int, client_ip: str, repeat: int) -> RequestRow:
    service = random.choice((1, 1, 2, 3))
    known_path = event in {10, 11, 17}
    return _at_the_edge(random, server_id, event, client_ip, repeat)._replace(
        path_prefix=None if event in {14, 15} else random.choice(_PATHS[service] if known_path else _ATTACK_PATHS),
        network=0 if random.random() < 0.1 else 1,
        service_type=service,
        api_key_fp=random.randrange(1, 4_294_967_296) if event == 11 else 0,
        traffic_type=5 if event in {20, 21} else 0 if event in {14, 15} else 3,
    )


def _at_the_edge(random: Random, server_id: int, event: int, client_ip: str, repeat: int) -> RequestRow:
    """Refused by the proxy itself, before any backend: no backend, no backend phase; nobody's until said otherwise."""
    slow = event == 14  # the client never finished its request: 10 s, then 408
    request = None if event in {14, 15} else int(random.random() * 1.5)
    return RequestRow(
        timestamp=UNSTAMPED,
        customer_id=None,
        path_prefix=None,
        config_hex=None,
        network=1,
        server_id=server_id,
        service_type=1,
        api_key_fp=0,
        fe_type=2,
        traffic_type=3,
        event_type=event,
        client_ip=client_ip,
        key_metadata=None,
        status_code=408 if slow else -1 if event == 15 else 403 if event >= 20 else 400,
        bytes_sent=0 if event == 15 else 112 * repeat,
        time_total=10_000 + int(random.random() * 9) if slow else (request or 0) + int(random.random() * 1.3),
        time_request=request,
        time_queue=None,
        time_connect=None,
        time_response=None,
        backend_id=0,
        termination_state="cR" if slow else "PR",
        repeat=repeat,
    )


def _folded(random: Random, chance: float, most: int) -> int:
    """How many identical refusals one row stands for: mostly 1, else up to `most`."""
    return 2 + int(random.random() ** 3 * (most - 1)) if random.random() < chance else 1
