"""One key: whose it is, what it did in the last minutes, what was done to it, and what came after a revocation."""

from tests.console.conftest import CUSTOMER
from tests.console.screens import console, hint, query
from tests.db.seed import add_request


async def test_a_key_shows_its_customer_its_making_and_its_traffic(business: str) -> None:
    for address, server in (("203.0.113.9", 0x13), ("203.0.113.10", 0x27), ("203.0.113.10", 0x27)):
        add_request(business, api_key_fp=42, client_ip=address, server_id=server)
    add_request(business, api_key_fp=42, traffic_type=3, event_type=20, status_code=403)
    add_request(business, api_key_fp=43)
    async with console(business) as deck:
        await deck.say(":", "key 42")
        await deck.sees("0x0000002a, decimal 42", "4 (0.3 a minute), 75 % served by a backend", "nothing on record")
        await deck.until(lambda: f"{CUSTOMER} (active)" in deck.line(" customer  "), "all of it is painted")
        assert f"{CUSTOMER} (active)" in deck.line(" customer  ")
        assert "seal, mainnet, open, production" in deck.line("service")
        assert "2 different" in deck.line("addresses")
        assert "r1-s03, r2-s07" in deck.line("servers")
        assert "nothing on record" in deck.line("history")


async def test_a_key_without_traffic_says_none(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.say(":", "key 42")
        await deck.sees("requests  none")


async def test_after_a_revocation_the_timeline_leads_to_its_proof(business: str) -> None:
    query(
        business,
        "UPDATE api_keys SET is_active = false, revoked_at = now() - interval '100 s', revoked_by = 'ann',"
        " revocation_reason = 'leaked' WHERE api_key_fp = 42",
    )
    served = query(business, "SELECT revoked_at + interval '5 s' FROM api_keys WHERE api_key_fp = 42")[0][0]
    add_request(business, api_key_fp=42, timestamp=served)
    async with console(business) as deck:
        await deck.say(":", "key 42")
        await deck.sees("the revocation", "no refusal seen yet", "NO TRAFFIC YET", "5 s after the revocation")
        assert "by ann" in deck.line("revoked ")
        assert "leaked" in deck.line("reason")
        assert "no MA vault is on record" in deck.line("vault ")
        assert "none reports what it applies" in deck.line("gateways ")
        assert "Revoke" not in deck.footer
        refused = query(business, "SELECT revoked_at + interval '10 s' FROM api_keys WHERE api_key_fp = 42")[0][0]
        add_request(
            business, api_key_fp=42, timestamp=refused, traffic_type=3, event_type=31, status_code=403, repeat=7
        )
        hint(business, "keys")
        await deck.sees("PROVEN: 7 refusals, no success since", "10 s after the revocation; 7 in all (403, event 31)")
        assert "and not since" in deck.line(" served ")


async def test_a_revoked_key_served_for_longer_than_a_minute_is_shouted_about(business: str) -> None:
    query(
        business, "UPDATE api_keys SET is_active = false, revoked_at = now() - interval '5 min' WHERE api_key_fp = 42"
    )
    add_request(business, api_key_fp=42)
    async with console(business) as deck:
        await deck.say(":", "key 42")
        await deck.sees("STILL SERVED by r1-s03", "▲ 1 revoked key(s) served")


async def test_l_shows_the_requests_of_this_key_and_c_its_customer(business: str) -> None:
    add_request(business, api_key_fp=42, path_prefix="/mine")
    add_request(business, api_key_fp=43, path_prefix="/theirs")
    async with console(business) as deck:
        await deck.say(":", "key 42")
        await deck.sees("0x0000002a, decimal 42")
        await deck.press("c")
        await deck.sees(f"customer {CUSTOMER}", "wallet")
        await deck.press("escape", "l")
        await deck.sees(f"[customer:{CUSTOMER}]", "[key:0x0000002a]", "/mine")
        assert "/theirs" not in deck.text


async def test_a_key_that_does_not_exist_is_said_not_to_exist(same_business: str) -> None:
    async with console(same_business) as deck:
        await deck.say(":", "key 0xdeadbeef")
        await deck.sees("there is no key with fingerprint 0xdeadbeef")
