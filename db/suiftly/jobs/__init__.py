"""Suiftly's jobs, one file each, and the list of them."""

from db.jobs.job import Job
from db.suiftly.jobs.aggregate_usage import AggregateUsage

JOBS: tuple[Job, ...] = (AggregateUsage(),)
"""In the order in which they are worth running."""
