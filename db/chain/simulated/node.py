"""A node that answers for a simulated ledger: a gRPC server on this machine that speaks pysui's own messages.

It honours read masks, filters, cursors and watermarks as the messages' documentation says a full node does, and
fails on request in the ways nodes fail. What it cannot show is the policy of real servers: limits, rates, and how
they answer for history they have pruned. Importing this module imports pysui.
"""

import asyncio
import ssl
import struct
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.server import Server, Stream
from pysui.sui.sui_grpc.suimsgs.google import rpc
from pysui.sui.sui_grpc.suimsgs.sui.rpc import v2 as proto

from db.chain.models import Position
from db.chain.simulated.ledger import CHAIN, Ledger, SimulatedObject, SimulatedTransaction
from db.chain.simulated.messages import event_message, matches, object_message, paths, project, transaction_message
from db.chain.values import ChainValueError, Digest, ObjectId, parse_address

Message = TypeVar("Message")
Item = TypeVar("Item")

ROUTE: Final = "/sui.rpc.v2.LedgerService/"
SERVER: Final = "opsdeck simulated node"
_DEFAULT_ITEMS: Final = 50
_CURSOR: Final = struct.Struct(">cQII")
_LAST: Final = 0xFFFF_FFFF


@dataclass(slots=True)
class Faults:
    """What goes wrong, switched on and off while the node runs."""

    # One for each of the next calls, in turn; OK lets one through.
    answers: list[tuple[Status, str]] = field(default_factory=list[tuple[Status, str]])
    delay_s: float = 0.0
    break_after: int | None = None  # frames, then the stream breaks; once
    end_without_end: bool = False  # streams end well, but without saying so
    scan_limit: int | None = None  # events looked at in one request
    most_items: int = 1000
    most_at_once: int = 50  # objects or transactions in one request
    no_history: bool = False  # objects as they are now only
    refused: dict[ObjectId, Status] = field(default_factory=dict[ObjectId, Status])  # one of a batch fails
    no_event_queries: bool = False  # as nodes older than 1.76
    hidden: set[Digest] = field(default_factory=set[Digest])  # transactions it says it does not have
    spoil: Callable[[proto.Event], None] | None = None  # changes events on their way out
    before: Callable[[str], None] | None = None  # told the method of each request


class Node:
    """The service. `calls` holds the method of each request and `headers` what came with the last one."""

    def __init__(self, ledger: Ledger, faults: Faults | None = None) -> None:
        self.ledger = ledger
        self.faults = faults or Faults()
        self.calls: list[str] = []
        self.headers: dict[str, str] = {}

    def __mapping__(self) -> dict[str, Handler]:
        unary = (
            ("GetServiceInfo", self._service_info, proto.GetServiceInfoRequest, proto.GetServiceInfoResponse),
            ("BatchGetObjects", self._objects, proto.BatchGetObjectsRequest, proto.BatchGetObjectsResponse),
            ("GetTransaction", self._transaction, proto.GetTransactionRequest, proto.GetTransactionResponse),
            (
                "BatchGetTransactions",
                self._transactions,
                proto.BatchGetTransactionsRequest,
                proto.BatchGetTransactionsResponse,
            ),
        )
        mapping = {
            ROUTE + name: Handler(self._unary(name, answer), Cardinality.UNARY_UNARY, asked, answered)
            for name, answer, asked, answered in unary
        }
        mapping[ROUTE + "ListEvents"] = Handler(
            self._list_events, Cardinality.UNARY_STREAM, proto.ListEventsRequest, proto.ListEventsResponse
        )
        return mapping

    def _unary(self, name: str, answer: Callable[[Any], Any]) -> Callable[[Stream[Any, Any]], Any]:
        async def handle(stream: Stream[Any, Any]) -> None:
            request = await stream.recv_message()
            await self._gate(name, stream)
            await stream.send_message(answer(request))

        return handle

    async def _gate(self, name: str, stream: Stream[Any, Any]) -> None:
        self.calls.append(name)
        if self.faults.before is not None:
            self.faults.before(name)
        self.headers = {str(key): str(value) for key, value in dict(stream.metadata or {}).items()}
        await asyncio.sleep(self.faults.delay_s)
        if self.faults.answers:
            status, text = self.faults.answers.pop(0)
            if status is not Status.OK:
                raise GRPCError(status, text)

    def _service_info(self, _: proto.GetServiceInfoRequest) -> proto.GetServiceInfoResponse:
        return proto.GetServiceInfoResponse(
            chain_id=self.ledger.chain_id,
            chain=CHAIN,
            epoch=0,
            checkpoint_height=self.ledger.tip,
            timestamp=self.ledger.tip_at,
            lowest_available_checkpoint=self.ledger.lowest,
            server=SERVER,
        )

    def _objects(self, request: proto.BatchGetObjectsRequest) -> proto.BatchGetObjectsResponse:
        mask = paths(request.read_mask, ("object_id", "version", "digest"))

        def answer(one: proto.GetObjectRequest) -> proto.GetObjectResult:
            try:
                found = self._object(one)
            except GRPCError as error:
                return proto.GetObjectResult(error=_told(error))
            return proto.GetObjectResult(object=project(object_message(found), mask))

        return proto.BatchGetObjectsResponse(objects=[answer(one) for one in self._no_more(request.requests)])

    def _object(self, request: proto.GetObjectRequest) -> SimulatedObject:
        try:
            wanted = ObjectId(parse_address(request.object_id or "", "object_id"))
        except ChainValueError as error:
            raise GRPCError(Status.INVALID_ARGUMENT, str(error)) from error
        if wanted in self.faults.refused:
            raise GRPCError(self.faults.refused[wanted], f"Object {wanted} cannot be read")
        found = self.ledger.objects.get(wanted)
        if request.version is not None:
            found = None if self.faults.no_history else self.ledger.versions.get((wanted, request.version))
        if found is None:
            raise GRPCError(Status.NOT_FOUND, f"Object {wanted} not found")
        return found

    def _no_more(self, items: list[Item]) -> list[Item]:
        if len(items) > self.faults.most_at_once:
            text = f"number of batch requests exceed limit of {self.faults.most_at_once}"
            raise GRPCError(Status.INVALID_ARGUMENT, text)
        return items

    def _found(self, text: str | None) -> SimulatedTransaction:
        try:
            digest = Digest.parse(text or "")
        except ChainValueError as error:
            raise GRPCError(Status.INVALID_ARGUMENT, str(error)) from error
        found = self.ledger.transactions.get(digest)
        if found is None or digest in self.faults.hidden or found.checkpoint < self.ledger.lowest:
            raise GRPCError(Status.NOT_FOUND, f"Transaction {digest} not found")
        return found

    def _transaction(self, request: proto.GetTransactionRequest) -> proto.GetTransactionResponse:
        mask = paths(request.read_mask, ("digest",))
        return proto.GetTransactionResponse(transaction=project(transaction_message(self._found(request.digest)), mask))

    def _transactions(self, request: proto.BatchGetTransactionsRequest) -> proto.BatchGetTransactionsResponse:
        mask = paths(request.read_mask, ("digest",))
        results: list[proto.GetTransactionResult] = []
        for digest in self._no_more(request.digests):
            try:
                message = project(transaction_message(self._found(digest)), mask)
                results.append(proto.GetTransactionResult(transaction=message))
            except GRPCError as error:
                results.append(proto.GetTransactionResult(error=_told(error)))
        return proto.BatchGetTransactionsResponse(transactions=results)

    async def _list_events(self, stream: Stream[proto.ListEventsRequest, proto.ListEventsResponse]) -> None:
        request = await stream.recv_message()
        await self._gate("ListEvents", stream)
        if self.faults.no_event_queries or request is None:
            raise GRPCError(Status.UNIMPLEMENTED, "unknown method ListEvents for service sui.rpc.v2.LedgerService")
        for sent, frame in enumerate(self._frames(request), start=1):
            if frame.end is not None and self.faults.end_without_end:
                return
            await stream.send_message(frame)
            if sent == self.faults.break_after:
                self.faults.break_after = None
                raise GRPCError(Status.UNAVAILABLE, "upstream reset")

    def _frames(self, request: proto.ListEventsRequest) -> Iterator[proto.ListEventsResponse]:
        """In ascending order. Inside of a checkpoint the watermark covers only those before it."""
        options = request.options or proto.QueryOptions()
        most = min(options.limit or _DEFAULT_ITEMS, self.faults.most_items)
        mask = paths(request.read_mask, ("event_type", "json"))
        first = max(request.start_checkpoint or 0, self.ledger.lowest)
        tip = self.ledger.tip
        last = tip if request.end_checkpoint is None else min(tip, request.end_checkpoint - 1)
        at = max(_position(options.after), Position(first - 1, _LAST, _LAST))
        items = looked = 0
        for event in self.ledger.events_after(at):
            if event.position.checkpoint > last:
                break
            if looked == self.faults.scan_limit:
                yield _frame(at, None, proto.QueryEndReason.SCAN_LIMIT)
                return
            looked, at = looked + 1, event.position
            if not matches(request.filter, event):
                continue
            items += 1
            full = proto.QueryEndReason.ITEM_LIMIT if items == most else None
            message = event_message(event)
            if self.faults.spoil is not None:
                self.faults.spoil(message)
            yield _frame(at, event.position.checkpoint - 1, full, project(message, mask))
            if full is not None:
                return
        reason = proto.QueryEndReason.LEDGER_TIP if last == tip else proto.QueryEndReason.CHECKPOINT_BOUND
        yield _frame(max(at, Position(last, _LAST, _LAST)), last, reason)


@asynccontextmanager
async def serving(node: Node, *, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncGenerator[int]:
    """Listens on this machine only while the block runs; yields the port."""
    server = Server([node])
    await server.start("127.0.0.1", port, ssl=tls)
    try:
        sockets = cast("Any", server)._server.sockets
        yield int(sockets[0].getsockname()[1])
    finally:
        server.close()
        await server.wait_closed()


def _told(error: GRPCError) -> rpc.Status:
    return rpc.Status(code=error.status.value, message=error.message or "")


def _position(cursor: bytes | None) -> Position:
    if not cursor:
        return Position(-1, _LAST, _LAST)
    try:
        version, *parts = _CURSOR.unpack(cursor)
    except struct.error:
        version, parts = b"", []
    if version != b"\1":
        raise GRPCError(Status.INVALID_ARGUMENT, "invalid cursor")
    return Position(*parts)


def _frame(
    at: Position, covered: int | None, end: proto.QueryEndReason | None, event: proto.Event | None = None
) -> proto.ListEventsResponse:
    cursor = _CURSOR.pack(b"\1", *(max(part, 0) for part in at))
    return proto.ListEventsResponse(
        event=event,
        watermark=proto.Watermark(cursor=cursor, checkpoint=None if covered is None or covered < 0 else covered),
        end=None if end is None else proto.QueryEnd(reason=end),
    )
