"""Sui's gRPC through pysui: its generated messages and stubs, on a channel of ours. One attempt each, no policy.

pysui's own client stays out of it: it trusts public authorities only, writes its errors with tracebacks to stderr
(which is the screen), returns some failures and raises others, and wants a configuration folder with a keystore.

Importing this module imports pysui: 0.4 s and 20 MB. Only the reader does, in a thread, when it is first asked.
"""

import asyncio
import os
import re
import ssl
from collections.abc import Sequence
from typing import Final, TypeVar

from grpclib.client import Channel
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from pysui.sui.sui_grpc.suimsgs.google import rpc
from pysui.sui.sui_grpc.suimsgs.google.protobuf import FieldMask, Value
from pysui.sui.sui_grpc.suimsgs.sui.rpc import v2 as proto

from db.chain.config import ChainConfig, Target
from db.chain.errors import RETRIED, ChainError, ErrorKind
from db.chain.models import (
    ChainEvent,
    ChainObject,
    EmittedEvent,
    EventPage,
    EventQuery,
    ObjectAt,
    PageEnd,
    Position,
    ServiceInfo,
    Transaction,
)
from db.chain.values import ChainValueError, Digest, MoveType, ObjectId, parse_address, parse_object_id

Known = TypeVar("Known")

_OBJECT: Final = ("object_id", "version", "object_type", "owner", "json", "previous_transaction")
_TRANSACTION: Final = ("digest", "checkpoint", "timestamp", "effects.status")
_WHOLE: Final[tuple[str, ...]] = (*_TRANSACTION, "events", "effects.changed_objects")
_EVENT: Final = (
    "event_type", "json", "sender", "checkpoint", "transaction_digest", "transaction_index", "event_index",
)  # fmt: skip
_KINDS: Final = {
    Status.NOT_FOUND: ErrorKind.NOT_FOUND,
    Status.INVALID_ARGUMENT: ErrorKind.INVALID,
    Status.OUT_OF_RANGE: ErrorKind.INVALID,
    Status.FAILED_PRECONDITION: ErrorKind.INVALID,
    Status.UNAVAILABLE: ErrorKind.UNAVAILABLE,
    Status.ABORTED: ErrorKind.UNAVAILABLE,
    Status.INTERNAL: ErrorKind.UNAVAILABLE,
    Status.UNKNOWN: ErrorKind.UNAVAILABLE,  # what a proxy with a page of HTML becomes
    Status.CANCELLED: ErrorKind.UNAVAILABLE,
    Status.DEADLINE_EXCEEDED: ErrorKind.TIMEOUT,
    Status.RESOURCE_EXHAUSTED: ErrorKind.RATE_LIMITED,
    Status.UNAUTHENTICATED: ErrorKind.NOT_LET_IN,
    Status.PERMISSION_DENIED: ErrorKind.NOT_LET_IN,
    Status.UNIMPLEMENTED: ErrorKind.UNSUPPORTED,
}
_ENDS: Final = {
    proto.QueryEndReason.ITEM_LIMIT: PageEnd.LIMIT,
    proto.QueryEndReason.SCAN_LIMIT: PageEnd.LIMIT,
    proto.QueryEndReason.CHECKPOINT_BOUND: PageEnd.BOUND,
    proto.QueryEndReason.CURSOR_BOUND: PageEnd.BOUND,
    proto.QueryEndReason.LEDGER_TIP: PageEnd.TIP,
}


class Wire:
    """A connection to one node, made at the first request and again after it was lost. Raises only ChainError."""

    def __init__(self, target: Target, config: ChainConfig) -> None:
        self._target = target
        self._timeout_s = config.timeout_s
        self._headers = dict(config.headers)
        context = None
        if config.tls:
            try:
                context = ssl.create_default_context(cafile=config.ca_file)
            except (OSError, ssl.SSLError) as error:
                raise ChainError(ErrorKind.INVALID, f"ca_file {config.ca_file} cannot be used: {error}") from error
            context.set_alpn_protocols(["h2"])
        self._channel = Channel(host=target.host, port=target.port, ssl=context)
        self._stub = proto.LedgerServiceStub(self._channel)

    def close(self) -> None:
        self._channel.close()

    async def service_info(self) -> ServiceInfo:
        """What the node is and which checkpoints it has."""
        try:
            answer = await self._stub.get_service_info(timeout=self._timeout_s, metadata=self._headers)
        except Exception as error:
            raise self._worded(error) from error
        with _Reading("service info"):
            return ServiceInfo(
                chain_id=_printable(_known(answer.chain_id, "chain_id")),
                chain=_printable(answer.chain or "unnamed"),
                tip=_known(answer.checkpoint_height, "checkpoint_height"),
                tip_at=answer.timestamp,
                lowest=answer.lowest_available_checkpoint or 0,
                server=_printable(answer.server or ""),
            )

    async def objects(self, wanted: Sequence[ObjectAt]) -> list[ChainObject | ChainError]:
        """For each of them the object, or what is wrong with it alone."""
        request = proto.BatchGetObjectsRequest(
            requests=[proto.GetObjectRequest(object_id=id_, version=version) for id_, version in wanted],
            read_mask=FieldMask(paths=list(_OBJECT)),
        )
        try:
            answer = await self._stub.batch_get_objects(request, timeout=self._timeout_s, metadata=self._headers)
        except Exception as error:
            raise self._worded(error) from error
        if len(answer.objects) != len(wanted):
            told = f"{len(answer.objects)} of {len(wanted)} objects were answered"
            raise ChainError(ErrorKind.UNREADABLE, f"{self._target}: {told}")
        return [self._object(id_, one) for (id_, _), one in zip(wanted, answer.objects, strict=True)]

    def _object(self, wanted: ObjectId, result: proto.GetObjectResult) -> ChainObject | ChainError:
        if result.object is None:
            return self._worded(_refusal(result.error))
        try:
            with _Reading(f"object {wanted}"):
                return _object(wanted, result.object)
        except ChainError as error:
            return error

    async def transactions(self, digests: Sequence[Digest], *, whole: bool) -> dict[Digest, Transaction]:
        """Those of them that this node has. What they did is read where wanted: it is long."""
        paths: list[str] = [*(_WHOLE if whole else _TRANSACTION)]
        request = proto.BatchGetTransactionsRequest(
            digests=[str(digest) for digest in digests], read_mask=FieldMask(paths=paths)
        )
        try:
            answer = await self._stub.batch_get_transactions(request, timeout=self._timeout_s, metadata=self._headers)
        except Exception as error:
            raise self._worded(error) from error
        found: dict[Digest, Transaction] = {}
        for result in answer.transactions:
            if result.transaction is not None:
                transaction = _transaction(result.transaction)
                found[transaction.digest] = transaction
            elif result.error is None or result.error.code != Status.NOT_FOUND.value:
                raise self._worded(_refusal(result.error))
        return found

    async def events(self, query: EventQuery) -> EventPage:
        """The events that come in one stream. One that breaks, or brings what cannot be read, after it got us ahead
        is a page that ends there: the next one begins with what was the matter."""
        request = proto.ListEventsRequest(
            read_mask=FieldMask(paths=list(_EVENT)),
            start_checkpoint=query.start,
            end_checkpoint=query.before,
            filter=proto.EventFilter(terms=[_of_module(module) for module in query.modules]),
            options=proto.QueryOptions(limit=query.limit, after=query.after),
        )
        events: list[ChainEvent] = []
        cursor, covered = query.after, None
        try:
            async for frame in self._stub.list_events(request, timeout=self._timeout_s, metadata=self._headers):
                mark = _known(frame.watermark, "watermark")
                reached = covered if mark.checkpoint is None else mark.checkpoint
                if frame.event is not None:
                    events.append(_event(frame.event, _known(mark.cursor, "cursor"), reached))
                # Only now: one cannot go on behind an event that could not be read.
                cursor, covered = mark.cursor or cursor, reached
                if frame.end is not None:
                    end = _ENDS.get(frame.end.reason or proto.QueryEndReason.UNKNOWN)
                    if end is None:
                        raise ChainError(ErrorKind.UNREADABLE, f"{self._target}: the page ends for no known reason")
                    return EventPage(tuple(events), cursor, covered, end)
            raise ChainError(ErrorKind.UNAVAILABLE, f"{self._target}: the stream of events broke off")
        except Exception as error:
            worded = self._worded(error)
            if cursor == query.after or worded.kind not in (*RETRIED, ErrorKind.UNREADABLE):
                raise worded from error
            return EventPage(tuple(events), cursor, covered, PageEnd.INTERRUPTED)

    def _worded(self, error: Exception) -> ChainError:
        """Every failure as ours, in a sentence of one line; a token that the other side repeats is not in it."""
        worded = self._as_ours(error)
        text = str(worded)
        for token in self._headers.values():
            text = text.replace(token, "…")
        return ChainError(worded.kind, _printable(text))

    def _as_ours(self, error: Exception) -> ChainError:
        if isinstance(error, ChainError):
            return error
        if isinstance(error, ChainValueError):
            return ChainError(ErrorKind.UNREADABLE, f"{self._target}: {error}")
        if isinstance(error, GRPCError):
            text = " ".join((error.message or error.status.name).split())[:200]
            return ChainError(_KINDS.get(error.status, ErrorKind.OTHER), f"{self._target}: {text}")
        if isinstance(error, ssl.SSLCertVerificationError):
            return ChainError(
                ErrorKind.NOT_LET_IN,
                f"{self._target}: its certificate is not trusted ({error.verify_message}); set ca_file",
            )
        if isinstance(error, TimeoutError | asyncio.TimeoutError):
            return ChainError(ErrorKind.TIMEOUT, f"{self._target}: no answer within {self._timeout_s:g} s")
        # What is left comes from sockets, HTTP/2 frames and messages cut short: another connection may do better.
        return ChainError(ErrorKind.UNAVAILABLE, f"{self._target}: {_words(error)}")


def _printable(text: str) -> str:
    """What a node says must not steer a terminal."""
    return "".join(character if character.isprintable() else "·" for character in text)


def _words(error: Exception) -> str:
    """The system's own words for a failure of a socket; asyncio's repeat host, port and number, for each address."""
    if numbers := re.findall(r"\[Errno ([0-9]+)\]", str(error)):
        return ", ".join(dict.fromkeys(os.strerror(int(number)) for number in numbers))
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


class _Reading:
    """Words a value that cannot be read: what it was part of, and which field."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ChainValueError):
            raise ChainError(ErrorKind.UNREADABLE, f"{self._what}: {error}") from error


def _known(value: Known | None, field: str) -> Known:
    if value is None:
        raise ChainValueError(f"{field}: missing")
    return value


def _digest(text: str | None, field: str) -> Digest | None:
    return Digest.parse(text, field) if text else None


def _fields(value: Value | None) -> dict[str, object]:
    read = _known(value, "json").to_dict()
    if not isinstance(read, dict):
        raise ChainValueError("json: not an object")
    return read  # pyright: ignore[reportUnknownVariableType]


def _refusal(status: rpc.Status | None) -> GRPCError:
    """Why one of a batch was not answered."""
    if status is None:
        return GRPCError(Status.UNKNOWN, "an empty answer")
    known = status.code in [code.value for code in Status]
    return GRPCError(Status(status.code) if known else Status.UNKNOWN, status.message)


def _object(wanted: ObjectId, message: proto.Object) -> ChainObject:
    object_id = parse_object_id(_known(message.object_id, "object_id"), "object_id")
    if object_id != wanted:
        raise ChainValueError(f"object_id: {object_id}, which was not asked for")
    owner = _known(message.owner, "owner")
    return ChainObject(
        object_id=object_id,
        version=_known(message.version, "version"),
        type=MoveType.parse(_known(message.object_type, "object_type"), "object_type"),
        ownership=(owner.kind or proto.OwnerOwnerKind.UNKNOWN).name.lower(),  # pyright: ignore
        fields=_fields(message.json),
        previous_transaction=_digest(message.previous_transaction, "previous_transaction"),
    )


def _of_module(module: str) -> proto.EventTerm:
    return proto.EventTerm(literals=[proto.EventLiteral(event_type=proto.EventTypeFilter(event_type=module))])


def _transaction(message: proto.ExecutedTransaction) -> Transaction:
    with _Reading(f"transaction {message.digest}"):
        effects = _known(message.effects, "effects")
        status = _known(effects.status, "effects.status")
        return Transaction(
            digest=Digest.parse(_known(message.digest, "digest")),
            success=_known(status.success, "effects.status.success"),
            error=_printable(status.error.description or "") if status.error else None,
            checkpoint=message.checkpoint,
            at=message.timestamp,
            events=tuple(
                EmittedEvent(
                    index, MoveType.parse(_known(event.event_type, "event_type"), "event_type"), _fields(event.json)
                )
                for index, event in enumerate(message.events.events if message.events else ())
            ),
            wrote={
                parse_object_id(_known(one.object_id, "object_id"), "object_id"): one.output_version
                for one in effects.changed_objects
                if one.output_version is not None
            },
        )


def _event(message: proto.Event, cursor: bytes, covered: int | None) -> ChainEvent:
    with _Reading(f"event {message.event_index} of transaction {message.transaction_digest}"):
        return ChainEvent(
            position=Position(
                _known(message.checkpoint, "checkpoint"),
                _known(message.transaction_index, "transaction_index"),
                _known(message.event_index, "event_index"),
            ),
            digest=Digest.parse(_known(message.transaction_digest, "transaction_digest")),
            type=MoveType.parse(_known(message.event_type, "event_type"), "event_type"),
            sender=parse_address(message.sender, "sender") if message.sender else None,
            fields=_fields(message.json),
            cursor=cursor,
            covered=covered,
        )
