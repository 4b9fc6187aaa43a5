"""Operations that depend on what the chain says."""

from abc import abstractmethod
from typing import Self

from db.database import Database
from db.operations import Operation
from db.suiftly.escrow.contract import EscrowChain


class AsksChain(Operation):
    """Is told what the chain says before each preview and before each try: outside of transactions, a node may take
    long. What cannot be told is carried as well, and refused by the operation."""

    @abstractmethod
    async def informed(self, database: Database, chain: EscrowChain | None) -> Self:
        """The same operation with what the chain says now. Raises nothing of the chain or the database."""
