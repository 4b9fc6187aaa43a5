"""Reading the chain: what is asked of which node, how often, and what is tried again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final, TypeVar

from db.chain.config import ChainConfig, Target
from db.chain.errors import RETRIED, ChainError, ErrorKind
from db.chain.models import ChainObject, EventPage, EventQuery, ObjectAt, ServiceInfo, Transaction
from db.chain.pace import Breaker, Bucket, pause_s
from db.chain.values import Digest, ObjectId

if TYPE_CHECKING:
    from db.chain.wire import Wire

Answer = TypeVar("Answer")
Item = TypeVar("Item")

_AT_ONCE: Final = 50  # transactions or objects in one request, as Sui's own nodes take them


@dataclass(frozen=True, slots=True)
class ChainHealth:
    """How a node stood when it was asked last."""

    target: str
    asked: bool
    error: ChainError | None  # None after an answer
    asks_again_in_s: float | None  # None while it is not left alone


class ChainReader:
    """Read-only access to a chain; holds no key, signs nothing. Belongs to the event loop that asks it first.

    Every method raises only ChainError. Never call one inside of a database transaction: they may take long.
    """

    def __init__(self, config: ChainConfig) -> None:
        self.config = config
        self._node = _Node(config.target, config)
        self._archive = None if config.archive is None else _Node(config.archive, config)

    @property
    def health(self) -> ChainHealth:
        """Of the node, without asking it."""
        return self._node.health

    @property
    def has_archive(self) -> bool:
        return self._archive is not None

    async def close(self) -> None:
        """Leaves the nodes; asking again connects again."""
        for node in (self._node, self._archive):
            if node is not None:
                node.close()
        await asyncio.sleep(0)  # in which the sockets close

    async def service_info(self, *, archive: bool = False) -> ServiceInfo:
        """Which chain the node is of, and what it keeps. Raises ChainError(WRONG_CHAIN) for another one."""
        return await self._of(archive).info()

    async def object(self, object_id: ObjectId) -> ChainObject | None:
        """An object as it is now; None when the node does not know it."""
        found = (await self.objects([(object_id, None)]))[0]
        if isinstance(found, ChainObject):
            return found
        if found.kind is ErrorKind.NOT_FOUND:
            return None
        raise found

    async def objects(self, wanted: Sequence[ObjectAt]) -> list[ChainObject | ChainError]:
        """For each of them the object, or what is wrong with this one. An earlier version that the node no longer has
        is looked for in the archive. Raises what concerns all of them."""
        found = await self._node.objects(wanted)
        gone = [at for at, one in enumerate(found) if wanted[at][1] is not None and _not_found(one)]
        if gone and self._archive is not None:
            older = await self._archive.objects([wanted[at] for at in gone])
            for at, one in zip(gone, older, strict=True):
                found[at] = one
        return found

    async def transaction(self, digest: Digest) -> Transaction | None:
        """A transaction with its events. None: neither the node nor the archive has it, which does not mean that it
        never was: nodes keep recent history only, from `service_info().lowest` on."""
        return (await self.transactions([digest], whole=True)).get(digest)

    async def transactions(self, digests: Sequence[Digest], *, whole: bool = False) -> dict[Digest, Transaction]:
        """Those that the node or else the archive has; what they did only where the whole of them is wanted."""
        found = await self._node.transactions(digests, whole=whole)
        missing = [digest for digest in digests if digest not in found]
        if missing and self._archive is not None:
            found |= await self._archive.transactions(missing, whole=whole)
        return found

    async def events(self, query: EventQuery, *, archive: bool = False) -> EventPage:
        """One page of events, in ledger order. Its cursor may be kept in the transaction that keeps its events."""
        return await self._of(archive).ask(lambda wire: wire.events(query))

    def _of(self, archive: bool) -> "_Node":
        if not archive:
            return self._node
        if self._archive is None:
            raise ChainError(ErrorKind.OFF, "there is no archive configured; set archive in the chain table")
        return self._archive


def _not_found(one: ChainObject | ChainError) -> bool:
    return isinstance(one, ChainError) and one.kind is ErrorKind.NOT_FOUND


class _Node:
    """One target, and how it has been answering."""

    def __init__(self, target: Target, config: ChainConfig) -> None:
        self._target = target
        self._config = config
        self._bucket = Bucket(config.requests_per_s)
        self._breaker = Breaker(config.breaker_failures, config.breaker_s)
        self._wire: Wire | None = None
        self._right_chain = False
        self._asked = False
        self._at_once = _AT_ONCE

    @property
    def health(self) -> ChainHealth:
        return ChainHealth(str(self._target), self._asked, self._breaker.error, self._breaker.opens_in_s)

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
        self._wire, self._right_chain = None, False

    async def info(self) -> ServiceInfo:
        """Checks the chain as well."""
        return await self._attempted(self._checked_info)

    async def ask(self, question: Callable[["Wire"], Awaitable[Answer]]) -> Answer:
        """Asks once it is known to be of the right chain."""

        async def attempt(wire: "Wire") -> Answer:
            if not self._right_chain:
                await self._checked_info(wire)
                await self._bucket.take()
            return await question(wire)

        return await self._attempted(attempt)

    async def transactions(self, digests: Sequence[Digest], *, whole: bool) -> dict[Digest, Transaction]:
        found: dict[Digest, Transaction] = {}
        for some in await self._batched(digests, lambda wire, some: wire.transactions(some, whole=whole)):
            found |= some
        return found

    async def objects(self, wanted: Sequence[ObjectAt]) -> list["ChainObject | ChainError"]:
        batches = await self._batched(wanted, lambda wire, some: wire.objects(some))
        return [one for batch in batches for one in batch]

    async def _batched(
        self, items: Sequence[Item], question: Callable[["Wire", Sequence[Item]], Awaitable[Answer]]
    ) -> list[Answer]:
        """Asks about so many at once as the node takes; one that finds that too many is asked about half of them."""
        answers: list[Answer] = []
        done = 0
        while done < len(items):
            some = items[done : done + self._at_once]
            try:
                answers.append(await self.ask(lambda wire, some=some: question(wire, some)))
            except ChainError as error:
                if error.kind is not ErrorKind.INVALID or len(some) == 1:
                    raise
                self._at_once = (len(some) + 1) // 2
            else:
                done += len(some)
        return answers

    async def _checked_info(self, wire: "Wire") -> ServiceInfo:
        info = await wire.service_info()
        if self._config.chain_id not in (None, info.chain_id):
            raise ChainError(
                ErrorKind.WRONG_CHAIN,
                f"{self._target} is of chain {info.chain} ({info.chain_id}), not of {self._config.chain_id}",
            )
        self._right_chain = True
        return info

    async def _attempted(self, attempt: Callable[["Wire"], Awaitable[Answer]]) -> Answer:
        for number in range(self._config.attempts):
            self._breaker.check()
            wire = await self._connected()
            await self._bucket.take()
            self._asked = True
            try:
                answer = await attempt(wire)
            except ChainError as error:
                self._breaker.note(error)
                if error.kind not in RETRIED or number + 1 == self._config.attempts:
                    raise
                await asyncio.sleep(pause_s(number, self._config.first_pause_s))
            else:
                self._breaker.answered()
                return answer
        raise AssertionError("there is one attempt at least")

    async def _connected(self) -> "Wire":
        if self._wire is None:
            # In a thread: loading pysui takes half a second, in which the screen would stand still.
            module = await asyncio.to_thread(import_module, "db.chain.wire")
            if self._wire is None:  # nobody else was faster
                self._wire = module.Wire(self._target, self._config)
        wire = self._wire
        assert wire is not None  # noqa: S101 - made above
        return wire
