"""The comparison of a long run must not overlook a row: a benchmark that always says "equal" says nothing."""

from array import array

from tests.bench.every_row import unequal


def test_rows_are_compared_as_often_as_they_are_there() -> None:
    there = array("q", [5, 1, 1, 9, -3])
    assert unequal(there, array("q", [1, 9, 5, -3, 1])) == (0, 0)
    assert unequal(there, array("q", [1, 9, 5, -3])) == (1, 0), "one of two equal rows is missing"
    assert unequal(there, array("q", [1, 9, 5, -3, 1, 1, 7])) == (0, 2), "one came twice, one is none of the table's"
    assert unequal(there, array("q", [9, 5, 8])) == (3, 1)
    assert unequal(array("q"), array("q", [4])) == (0, 1)
