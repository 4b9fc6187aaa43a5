"""Filters: words in, the same words out; SQL that only carries literals; Python with the meaning of the SQL."""

# pyright: reportPrivateUsage=false

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.suiftly.log import filter as request_filter
from db.suiftly.log.codes import TRAFFIC_CLASS_SQL, TrafficClass
from db.suiftly.log.filter import NAMES, FilterError, RequestFilter, from_options, parse
from tests.db.seed import SERVED

KEY = "SUGAMHVFVDLVE3GG9TNYCTAF1GZVC2CG6ZTPG"
FINGERPRINT = 2711124630
ROW = SERVED._replace(
    api_key_fp=FINGERPRINT,
    traffic_type=2,
    event_type=31,
    status_code=403,
    bytes_sent=0,
    time_total=501,
    time_request=None,
    time_queue=None,
    time_connect=None,
    time_response=None,
    termination_state="PR",
)
# One word per filter that ROW meets.
MET = {
    "customer": "42",
    "key": "0xa1987a96",
    "status": "403",
    "class": "invalid",
    "event": "api-key-revoked",
    "service": "grpc",
    "network": "mainnet",
    "server": "r3-s07",
    "ip": "203.0.113.0/24",
    "path": "/v1",
    "slower-than": "500ms",
}
NEGATABLE = [name for name in NAMES if name != "slower-than"]


def spans() -> st.SearchStrategy[tuple[int, int]]:
    real = st.tuples(st.integers(100, 999), st.integers(100, 999)).map(lambda pair: (min(pair), max(pair)))
    return st.one_of(st.just((-1, -1)), real, st.integers(1, 5).map(lambda n: (100 * n, 100 * n + 99)))


def addresses() -> st.SearchStrategy[str]:
    plain = st.ip_addresses().map(str)
    networks = st.tuples(st.ip_addresses(), st.integers(0, 32)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    return st.one_of(plain, networks).map(lambda text: parse(f"ip:{text}").ip or "")


paths = (
    st.text(st.characters(exclude_categories=("Z", "C"), codec="utf-8"), min_size=1, max_size=14)
    .map(lambda text: text.lstrip("/"))
    .filter(bool)
)
filters = st.builds(
    RequestFilter,
    customer=st.lists(st.integers(0, 2**32 - 1), max_size=3).map(tuple),
    key=st.lists(st.integers(0, 2**32 - 1), max_size=3).map(tuple),
    status=st.lists(spans(), max_size=3).map(tuple),
    traffic_class=st.lists(st.sampled_from(TrafficClass), max_size=3).map(tuple),
    event=st.lists(st.integers(0, 70), max_size=3).map(tuple),
    service=st.lists(st.integers(0, 15), max_size=3).map(tuple),
    network=st.lists(st.integers(0, 5), max_size=3).map(tuple),
    server=st.lists(st.integers(0, 255), max_size=3).map(tuple),
    ip=st.none() | addresses(),
    path=st.none() | paths,
    slower_than=st.none() | st.integers(0, 2**31 - 1),
    negated=st.frozensets(st.sampled_from(NEGATABLE)),
)


@settings(deadline=None)
@given(filters)
def test_chips_round_trip(wanted: RequestFilter) -> None:
    assert parse(" ".join(wanted.chips())) == wanted


@settings(deadline=None)
@given(filters)
def test_shell_options_round_trip(wanted: RequestFilter) -> None:
    options: dict[str, str] = {}
    for chip in wanted.chips():
        name, _, value = chip.removeprefix("!").partition(":")
        options[name] = "!" * chip.startswith("!") + value
    assert from_options(options) == wanted


@settings(deadline=None)
@given(filters)
def test_where_names_exactly_its_parameters(wanted: RequestFilter) -> None:
    condition, parameters = wanted.where()
    assert set(re.findall(r"%\((\w+)\)s", condition)) == set(parameters)
    assert len(parameters) == len(wanted.chips())
    assert "%" not in re.sub(r"%\(\w+\)s", "", condition)
    assert condition != ""


def test_empty() -> None:
    assert RequestFilter().where() == ("true", {})
    assert RequestFilter().chips() == ()
    assert parse("  ") == from_options({}) == RequestFilter()
    assert RequestFilter().matches(ROW)


def test_the_example_of_the_design() -> None:
    wanted = parse("status:4xx !class:burst key:0x9f00aa12 slower-than:500ms")
    assert wanted == RequestFilter(
        key=(0x9F00AA12,),
        status=((400, 499),),
        traffic_class=(TrafficClass.BURST,),
        slower_than=500,
        negated=frozenset({"class"}),
    )
    assert wanted == from_options({"status": "4xx", "class": "!burst", "key": "0x9f00aa12", "slower_than": "500ms"})
    assert wanted.chips() == ("key:0x9f00aa12", "status:4xx", "!class:burst", "slower-than:500ms")
    assert parse("class:!burst") == parse("!class:burst")


@pytest.mark.parametrize(
    ("word", "condition", "parameters"),
    [
        ("customer:42", "customer_id = (%(f_customer)s::int8[])[1]", {"f_customer": [42]}),
        ("customer:42,7", "customer_id = ANY(%(f_customer)s::int8[])", {"f_customer": [7, 42]}),
        ("customer:none,7", "coalesce(customer_id, 0) = ANY(%(f_customer)s::int8[])", {"f_customer": [0, 7]}),
        ("!customer:42", "coalesce(customer_id, 0) <> ALL(%(f_customer)s::int8[])", {"f_customer": [42]}),
        ("key:-1583842666", "api_key_fp = ANY(%(f_key)s::int8[])", {"f_key": [FINGERPRINT]}),
        ("key:none", "api_key_fp = ANY(%(f_key)s::int8[])", {"f_key": [0]}),
        (
            "status:500-504,404",
            "status_code::int4 <@ %(f_status)s::int4multirange",
            {"f_status": "{[404,404],[500,504]}"},
        ),
        (
            "!status:none",
            "NOT status_code::int4 <@ %(f_status)s::int4multirange",
            {"f_status": "{[-1,-1]}"},
        ),
        ("event:32,31,31", "event_type = ANY(%(f_event)s::int2[])", {"f_event": [31, 32]}),
        ("server:0xc8", "server_id = ANY(%(f_server)s::int2[])", {"f_server": [200, -56]}),
        ("ip:10.1.2.3/8", "client_ip <<= %(f_ip)s::inet", {"f_ip": "10.0.0.0/8"}),
        ("class:server_error", TRAFFIC_CLASS_SQL + " = ANY(%(f_class)s::text[])", {"f_class": ["server-error"]}),
        ("slower-than:1.5s", "time_total > %(f_slower_than)s", {"f_slower_than": 1500}),
        ("customer:0xdeadbeef", "customer_id = (%(f_customer)s::int8[])[1]", {"f_customer": [3735928559]}),
        ("customer:-559038737", "customer_id = (%(f_customer)s::int8[])[1]", {"f_customer": [3735928559]}),
    ],
)
def test_where(word: str, condition: str, parameters: dict[str, object]) -> None:
    assert parse(word).where() == (condition, parameters)


def test_conditions_are_joined_in_fixed_order() -> None:
    first, second = parse("network:mainnet customer:42"), parse("customer:42 network:mainnet")
    assert first == second
    assert first.where()[0] == "customer_id = (%(f_customer)s::int8[])[1] AND network = ANY(%(f_network)s::int2[])"


@pytest.mark.parametrize(
    ("word", "chip"),
    [
        (KEY, "key:0xa1987a96"),
        ("!0x9f00aa12", "!key:0x9f00aa12"),
        ("203.0.113.9", "ip:203.0.113.9"),
        ("2001:DB8::/32", "ip:2001:db8::/32"),
        ("cafe::1", "ip:cafe::1"),
        ("!5XX", "!status:5xx"),
        ("404,5xx", "status:404,5xx"),
        ("400-599", "status:4xx,5xx"),
        ("/v1/decrypt", "path:/v1/decrypt"),
        ("Burst", "class:burst"),
    ],
)
def test_bare_words(word: str, chip: str) -> None:
    assert parse(word).chips() == (chip,)


def test_a_path_may_begin_with_an_exclamation_mark() -> None:
    assert parse("path:/!x") == RequestFilter(path="!x")
    assert parse("path:!x") == RequestFilter(path="x", negated=frozenset({"path"}))


@pytest.mark.parametrize("name", NAMES)
def test_every_filter_meets_its_row_and_its_negation_does_not(name: str) -> None:
    assert from_options({name: MET[name]}).matches(ROW)
    if name != "slower-than":
        assert not from_options({name: f"!{MET[name]}"}).matches(ROW)


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("customer:42", {"customer_id": 43}),
        ("customer:42", {"customer_id": None}),
        ("customer:7,42", {"customer_id": None}),
        ("key:none,0xa1987a96", {"api_key_fp": 7}),
        ("key:0xa1987a96", {"api_key_fp": 0}),
        ("status:403", {"status_code": -1}),
        ("status:4xx", {"status_code": 500}),
        ("class:invalid", {"traffic_type": 3}),
        ("event:31", {"event_type": 0}),
        ("service:grpc", {"service_type": 1}),
        ("network:mainnet", {"network": 0}),
        ("server:r3-s07", {"server_id": 0x38}),
        ("ip:203.0.113.0/24", {"client_ip": "203.0.114.1"}),
        ("ip:203.0.113.0/24", {"client_ip": "2001:db8::1"}),
        ("path:/v1", {"path_prefix": "v2"}),
        ("path:/v1", {"path_prefix": None}),
        ("slower-than:500ms", {"time_total": 500}),
    ],
)
def test_what_does_not_match(words: str, change: dict[str, object]) -> None:
    row = ROW._replace(**change)  # pyright: ignore[reportArgumentType]
    assert parse(words).matches(ROW)
    assert not parse(words).matches(row)
    if not words.startswith("slower"):
        assert parse(f"!{words}").matches(row)


def test_all_words_must_hold() -> None:
    assert parse("customer:42 status:403").matches(ROW)
    assert not parse("customer:42 status:200").matches(ROW)
    assert not parse("customer:42 !status:403").matches(ROW)


def test_negative_server_ids_are_the_upper_half() -> None:
    assert parse("server:200").matches(ROW._replace(server_id=-56))


@pytest.mark.parametrize(
    ("path", "logged", "expected"),
    [
        ("/v1/decrypt/abc", "v1/decrypt", True),
        ("/v1/decrypt/abc", "/v1/decryp", True),
        ("/v1/decrypt/abc", "v1/decr", False),
        ("/v1/decrypt/abc", "v1/encrypt", False),
        ("v1/dec", "/v1/decryp", True),
    ],
)
def test_paths_compare_as_far_as_the_log_goes(path: str, logged: str, expected: bool) -> None:
    assert parse(f"path:{path}").matches(ROW._replace(path_prefix=logged)) is expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("hello", "hello: not understood"),
        ("foo:bar", "foo:bar: not understood"),
        ("status:2", "status: give"),
        ("status:504-500", "status: give"),
        ("status:4xx status:404", "status: given twice"),
        ("4xx 404", "status: given twice"),
        ("customer:0", "customer: give"),
        ("customer:4294967296", "customer: give"),
        ("customer:42,", "customer: give"),
        ("customer:", "customer: needs a value"),
        ("key:xyz", "key: give"),
        ("class:fast", "class: give"),
        ("event:nonsense", "event: give"),
        ("event:31,", "event: give"),
        ("event:99999", "event: give"),
        ("service:ftp", "service: give"),
        ("network:moon", "network: give"),
        ("server:r99-s1", "server: give"),
        ("ip:300.1.1.1", "ip: give"),
        ("ip:fe80::1%eth0", "ip: give"),
        ("path:/", "path: give"),
        ("slower-than:500", "slower-than: give"),
        ("slower-than:0.0001s", "slower-than: give"),
        ("slower-than:9999999s", "slower-than: give"),
        ("!slower-than:1s", "slower-than: cannot be negated"),
    ],
)
def test_errors_name_the_filter(words: str, message: str) -> None:
    with pytest.raises(FilterError, match=f"^{re.escape(message)}"):
        parse(words)


def test_unknown_words_list_the_known_names() -> None:
    with pytest.raises(FilterError) as caught:
        parse("hello")
    assert all(name in str(caught.value) for name in NAMES)
    with pytest.raises(FilterError, match="no such filter") as caught:
        from_options({"colour": "red"})
    assert all(name in str(caught.value) for name in NAMES)


@pytest.mark.parametrize("secret", [KEY[:-1], KEY + "A", KEY.lower(), bytes(range(32)).hex(), "x" + KEY])
@pytest.mark.parametrize("form", ["{}", "!{}", "key:{}", "customer:{}", "status:{}", "event:{}", "ip:{}", "foo:{}"])
def test_errors_never_repeat_a_secret(secret: str, form: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(form.format(secret))
    assert secret[5:] not in str(caught.value)
    assert secret[:12] not in str(caught.value)


def test_a_pasted_key_is_not_kept() -> None:
    wanted = parse(f"key:{KEY}")
    assert wanted == parse(KEY) == RequestFilter(key=(FINGERPRINT,))
    assert KEY not in repr(wanted)


def test_direct_construction_is_canonical() -> None:
    wanted = RequestFilter(status=((500, 599), (400, 499)), event=(31, 10, 31), negated=frozenset({"ip", "event"}))
    assert wanted == parse("status:4xx,5xx !event:10,31")
    with pytest.raises(FilterError):
        RequestFilter(slower_than=1, negated=frozenset({"slower-than"}))


def test_the_path_length_in_sql_is_the_one_in_python() -> None:
    assert f">= {request_filter._LOGGED_PATH} " in request_filter._PATH_SQL


@pytest.mark.parametrize(
    ("words", "name", "value", "only", "without"),
    [
        ("", "customer", 42, "customer:42", "!customer:42"),
        ("", "customer", 0, "customer:none", "!customer:none"),
        ("!customer:7", "customer", 42, "customer:42", "!customer:7,42"),
        ("customer:7,42", "customer", 42, "customer:42", "customer:7"),
        ("5xx", "customer", 42, "customer:42 status:5xx", "!customer:42 status:5xx"),
        ("5xx", "status", 503, "status:503", "status:500-502,504-599"),
        ("!5xx", "status", 404, "status:404", "!status:404,5xx"),
        ("500,501", "status", 500, "status:500", "status:501"),
        ("", "status", -1, "status:none", "!status:none"),
        ("", "class", "burst", "class:burst", "!class:burst"),
        ("!rejected", "class", "burst", "class:burst", "!class:burst,rejected"),
        ("", "path", "v1/a", "path:/v1/a", "!path:/v1/a"),
    ],
)
def test_one_value_more_or_less(words: str, name: str, value: int | str, only: str, without: str) -> None:
    assert parse(words).only(name, value) == parse(only)
    assert parse(words).without(name, value) == parse(without)


@pytest.mark.parametrize(
    ("words", "name", "value", "message"),
    [
        ("customer:42", "customer", 42, "customer: nothing would be left"),
        ("status:404", "status", 404, "status: nothing would be left"),
        ("!path:/v1", "path", "v2", "path: there is one"),
        ("path:/v1", "path", "v1/a", "path: there is one"),
    ],
)
def test_what_no_filter_says_is_refused(words: str, name: str, value: int | str, message: str) -> None:
    with pytest.raises(FilterError, match=f"^{message}"):
        parse(words).without(name, value)
