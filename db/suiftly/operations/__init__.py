"""One file per thing an operator may change."""
