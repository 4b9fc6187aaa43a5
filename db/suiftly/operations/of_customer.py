"""What the operations on one customer share."""

from db.errors import Refused
from db.operations import Operation


class OfCustomer(Operation):
    """Touches one customer; subclasses are dataclasses with the field `customer_id`."""

    customer_id: int

    @property
    def subjects(self) -> tuple[str, ...]:
        return (f"customer:{self.customer_id}",)

    @property
    def unknown(self) -> Refused:
        """There is none with that id."""
        return Refused(f"there is no customer {self.customer_id}; check the id with `opsdeck customers list`")
