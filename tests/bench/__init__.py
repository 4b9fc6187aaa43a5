"""Benchmarks: `python3 -m tests.bench.bench_paging`, `python3 -m tests.bench.bench_tail`. pytest does not collect them."""
