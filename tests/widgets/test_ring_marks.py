"""Marks keep to their rows, whatever the ring forgets."""

from widgets.ring import Note, Ring
from widgets.ring_marks import RingMarks


def test_marks_reach_from_the_nearest_to_a_row_and_are_gone_through_one_by_one() -> None:
    ring: Ring[str] = Ring(4)
    ring.append(["a", Note("started again"), "b", "c"])
    marks = RingMarks(ring)
    marks.extend_to(2)
    assert marks.rows == ("b",), "without a mark it is that row alone"
    marks.extend_to(0)
    assert marks.rows == ("a", "b"), "a note takes none"
    marks.turn(3)
    assert [marks.next_to(number, newer=True) for number in (0, 1, 2, 3)] == [2, 2, 3, None]
    assert [marks.next_to(number, newer=False) for number in (0, 1, 2, 3)] == [None, 0, 0, 2]
    ring.append(["d", "e"])
    assert marks.rows == ("b", "c"), "the oldest are let go"
    assert marks.next_to(2, newer=False) is None
    marks.turn(2)
    assert marks.rows == ("c",)
