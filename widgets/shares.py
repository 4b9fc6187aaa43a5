"""Terminal cells shared out in proportion."""

from collections.abc import Sequence


def shares(weights: Sequence[int], total: int, *, every: bool) -> tuple[int, ...]:
    """`total` cells in proportion to the weights. With `every`, a weight above zero gets at least one cell,
    taken from the largest share, while that has more than one."""
    weight_sum = sum(weights)
    if not weight_sum or total <= 0:
        return (0,) * len(weights)
    cells = [weight * total // weight_sum for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: weights[i] * total % weight_sum, reverse=True)
    for i in by_remainder[: total - sum(cells)]:
        cells[i] += 1
    for i, weight in enumerate(weights):
        largest = max(range(len(cells)), key=cells.__getitem__)
        if every and weight and not cells[i] and cells[largest] > 1:
            cells[largest] -= 1
            cells[i] += 1
    return tuple(cells)
