"""The list of keys."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from console.parts.key_columns import key_columns
from console.parts.revoking import ChosenKeys
from console.screens.listing import ListScreen
from db.source import ApiKey, KeySearch, Page, RevokeKeys, UndoRevocation, parse_key_search
from widgets.keyset_table import Column


class KeysScreen(ListScreen[ApiKey, KeySearch]):
    """Find a key by fingerprint, by the pasted key, by customer; revoke the marked ones or the one under the cursor."""

    topics: ClassVar[frozenset[str]] = frozenset({"customers", "keys"})
    search_hint: ClassVar[str] = "fingerprint, pasted key, customer:ID, wallet, digest, live | revoked"
    empty: ClassVar[str] = "No key matches. ctrl+l shows all."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "revoke", "Revoke", id="keys.revoke", tooltip="Revoke the marked keys, or this one"),
        Binding("ctrl+u", "undo", "Undo", show=False, id="keys.undo", tooltip="Take back the revocation of these keys"),
    ]

    def parse(self, text: str) -> KeySearch:
        return parse_key_search(text)

    async def page(self, search: KeySearch, after: ApiKey | None, limit: int) -> Page[ApiKey]:
        return await self.source.keys.page(search, after=after, limit=limit)

    def columns(self) -> Sequence[Column[ApiKey]]:
        return key_columns(with_customer=True)

    def key(self, row: ApiKey) -> int:
        return row.fingerprint

    def open_row(self, row: ApiKey) -> None:
        self.go("key", str(row.fingerprint))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What the role may not do is not bound."""
        operation = {"revoke": RevokeKeys, "undo": UndoRevocation}.get(action)
        return operation is None or self.deck.deck_state.may(operation)

    def action_undo(self) -> None:
        ChosenKeys(self.table).undo(self.deck)

    def action_revoke(self) -> None:
        ChosenKeys(self.table).revoke(self.deck, self.source)
