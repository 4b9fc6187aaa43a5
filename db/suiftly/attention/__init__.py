"""What needs a look: each line says it in a sentence and names the subject that it opens."""

from db.database import Connection
from db.suiftly.attention.gateway_lines import of_gateways
from db.suiftly.attention.job_lines import of_jobs
from db.suiftly.attention.line import Attention
from db.suiftly.attention.rules import BOUNDS, RULES, chain_late, still_served
from db.suiftly.gateways import read_reports
from db.suiftly.metering import cursor_states

__all__ = ["Attention", "attention", "chain_late", "still_served"]


async def attention(connection: Connection) -> tuple[Attention, ...]:
    """The whole list, the worst first. A job has one line, that of what it leaves undone before that of its run."""
    lines = [
        Attention(state.severity, f"{state.what}: {state.sentence}", f"jobs:{state.job}")
        for state in await cursor_states(connection)
        if state.severity != "good"
    ]
    for rule in RULES:
        lines += [rule.line(*row) for row in await (await connection.execute(rule.query, BOUNDS)).fetchall()]
    lines += of_gateways(await read_reports(connection))
    told = {line.subject for line in lines}
    lines += [line for line in await of_jobs(connection) if line.subject not in told]
    return tuple(sorted(lines, key=lambda line: line.severity != "bad"))
