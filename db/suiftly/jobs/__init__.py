"""Suiftly's jobs, one file each, and the list of them."""

from db.jobs.job import Job
from db.suiftly.jobs.aggregate_usage import AggregateUsage
from db.suiftly.jobs.calculate_bills import CalculateBills
from db.suiftly.jobs.clean_up import CleanUp
from db.suiftly.jobs.end_rotated_keys import EndRotatedKeys
from db.suiftly.jobs.generate_vault import GenerateMaVault, GenerateMmVault
from db.suiftly.jobs.log_consumer import LogConsumer
from db.suiftly.jobs.maintain_partitions import MaintainPartitions
from db.suiftly.jobs.monthly_reset import MonthlyReset
from db.suiftly.jobs.priced_job import PricedJob
from db.suiftly.jobs.roll_up_traffic import RollUpTraffic
from db.suiftly.jobs.sync_chain import SyncChain
from db.suiftly.pricing import PriceBook

JOBS: tuple[Job, ...] = (
    # A key that ends does not wait for sums.
    EndRotatedKeys(),
    GenerateMaVault(),
    GenerateMmVault(),
    AggregateUsage(),
    RollUpTraffic(),
    MonthlyReset(),
    SyncChain(),
    CalculateBills(),
    MaintainPartitions(),
    CleanUp(),
)
"""In the order in which they are worth running."""


def rebaselined(job: Job) -> Job | None:
    """The form of a job that recounts after a restore into another cluster; None for jobs that count nothing."""
    return type(job)(rebaseline=True) if isinstance(job, LogConsumer) else None


def priced(job: Job, prices: PriceBook) -> Job:
    """The job with this price book, if it deals in prices or limits."""
    return type(job)(prices) if isinstance(job, PricedJob) else job
