"""Suiftly's jobs, one file each, and the list of them."""

from db.jobs.job import Job
from db.suiftly.jobs.aggregate_usage import AggregateUsage
from db.suiftly.jobs.clean_up import CleanUp
from db.suiftly.jobs.maintain_partitions import MaintainPartitions

JOBS: tuple[Job, ...] = (AggregateUsage(), MaintainPartitions(), CleanUp())
"""In the order in which they are worth running."""
