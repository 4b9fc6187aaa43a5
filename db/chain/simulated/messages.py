"""The messages of a simulated node: what it knows in them, what a read mask leaves, what a filter lets through."""

from collections.abc import Sequence
from typing import Any, TypeVar, cast

from grpclib.const import Status
from grpclib.exceptions import GRPCError
from pysui.sui.sui_grpc.suimsgs.google.protobuf import FieldMask, Value
from pysui.sui.sui_grpc.suimsgs.sui.rpc import v2 as proto

from db.chain.simulated.ledger import SimulatedEvent, SimulatedObject, SimulatedTransaction

Message = TypeVar("Message")


def matches(wanted: proto.EventFilter | None, event: SimulatedEvent) -> bool:
    """Whether a filter, terms of literals, lets the event through."""
    if wanted is None:
        return True
    if not wanted.terms:
        raise GRPCError(Status.INVALID_ARGUMENT, "filter must have at least one term")
    return any(all(_holds(literal, event) for literal in term.literals) for term in wanted.terms)


def _holds(literal: proto.EventLiteral, event: SimulatedEvent) -> bool:
    type_ = event.type
    levels = (
        type_.address,
        f"{type_.address}::{type_.module}",
        f"{type_.address}::{type_.module}::{type_.name}",
        str(type_),
    )
    if literal.event_type is not None:
        held = literal.event_type.event_type in levels
    elif literal.sender is not None:
        held = literal.sender.address == event.sender
    elif literal.emit_module is not None:
        held = literal.emit_module.module in levels[:2]
    else:
        raise GRPCError(Status.INVALID_ARGUMENT, "a literal without a predicate this node knows")
    return held != bool(literal.negated)


def paths(mask: FieldMask | None, default: Sequence[str]) -> Sequence[str]:
    """Those of a read mask, or what is sent without one."""
    return mask.paths if mask and mask.paths else default


def project(message: Message, paths: Sequence[str]) -> Message:
    """What a read mask leaves of a message; a path that does not exist is refused."""
    if "*" in paths:
        return message
    tree: dict[str, list[str]] = {}
    for path in paths:
        name, _, rest = path.partition(".")
        tree.setdefault(name, []).append(rest or "*")
    kept: dict[str, Any] = {}
    for name, inner in tree.items():
        if name not in cast("Any", message).__dataclass_fields__:
            raise GRPCError(Status.INVALID_ARGUMENT, f"invalid read_mask path: {name}")
        value: Any = getattr(message, name)
        if inner != ["*"] and isinstance(value, list):
            value = [project(item, inner) for item in cast("list[Any]", value)]
        elif inner != ["*"] and value is not None:
            value = project(value, inner)
        kept[name] = value
    return type(message)(**kept)


def object_message(known: SimulatedObject) -> proto.Object:
    """All that the node knows of an object."""
    return proto.Object(
        object_id=known.object_id,
        version=known.version,
        object_type=str(known.type),
        owner=proto.Owner(kind=proto.OwnerOwnerKind.SHARED, version=1),
        previous_transaction=None if known.previous is None else str(known.previous),
        json=Value.from_dict(dict(known.fields)),
    )


def event_message(event: SimulatedEvent) -> proto.Event:
    """All that the node knows of an event."""
    return proto.Event(
        package_id=event.type.address,
        module=event.type.module,
        sender=event.sender,
        event_type=str(event.type),
        json=Value.from_dict(dict(event.fields)),
        checkpoint=event.position.checkpoint,
        transaction_digest=str(event.digest),
        transaction_index=event.position.transaction,
        event_index=event.position.event,
    )


def transaction_message(known: SimulatedTransaction) -> proto.ExecutedTransaction:
    """All that the node knows of a transaction."""
    error = None if known.error is None else proto.ExecutionError(description=known.error)
    events = [
        # Inside of their transaction events do not say where they stand: it does.
        project(event_message(event), ("package_id", "module", "sender", "event_type", "json"))
        for event in known.events
    ]
    return proto.ExecutedTransaction(
        digest=str(known.digest),
        checkpoint=known.checkpoint,
        timestamp=known.at,
        transaction_index=known.index,
        effects=proto.TransactionEffects(
            transaction_digest=str(known.digest),
            status=proto.ExecutionStatus(success=error is None, error=error),
            changed_objects=[
                proto.ChangedObject(object_id=id_, output_version=version) for id_, version in known.wrote.items()
            ],
        ),
        events=proto.TransactionEvents(events=events) if events else None,
    )
