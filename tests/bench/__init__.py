"""Benchmarks: `python3 -m tests.bench.bench_paging`, bench_tail, bench_log_index. pytest does not collect them."""
