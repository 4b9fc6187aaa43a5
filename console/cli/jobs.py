"""opsdeck jobs list | run | stop | history"""

import asyncio
import signal
from argparse import Namespace
from collections.abc import Coroutine
from typing import Any, TypeVar

from console import failures
from console.cli.context import Context, Subparsers, add_command
from console.cli.output import emit, narrate, table, to_json
from console.cli.paging import add_paging, listed_id, narrate_cut
from console.settings import UsageError
from console.words import lasting, pace_words, run_words
from db.page import page_of
from db.source import JOBS, Job, JobRun, Pace, rebaselined

_Result = TypeVar("_Result")


def add(commands: Subparsers) -> None:
    verbs = add_command(commands, "jobs", "run the jobs, see how they went").add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    listing = add_command(verbs, "list", "list every job with its last run")
    listing.add_argument("--json", action="store_true", help="one JSON document")
    listing.set_defaults(run=list_jobs)
    run = add_command(verbs, "run", "run a job now, unless someone else does")
    what = run.add_mutually_exclusive_group(required=True)
    what.add_argument("job", metavar="NAME", nargs="?", help=", ".join(job.name for job in JOBS))
    what.add_argument("--all-due", action="store_true", help="every job whose period has passed: for a timer")
    run.add_argument("--dry-run", action="store_true", help="say what would change, change nothing")
    run.add_argument(
        "--rebaseline",
        action="store_true",
        help="after a restore into another cluster: recount what the log proves, then go on from there",
    )
    run.add_argument("--json", action="store_true", help="print the run as JSON")
    run.set_defaults(run=run_jobs)
    stop = add_command(verbs, "stop", "ask a running job to stop at its next step; exit 1 when it is not running")
    stop.add_argument("job", metavar="NAME", help="whoever runs it, on whatever machine")
    stop.add_argument("--json", action="store_true", help="one JSON document")
    stop.set_defaults(run=stop_job)
    history = add_command(verbs, "history", "list runs, newest first")
    history.add_argument("--job", metavar="NAME", help="only this job")
    add_paging(history, "run", "RUN", listed_id, rows=50)
    history.add_argument("--json", action="store_true", help="one JSON document")
    history.set_defaults(run=list_history)


def _known(name: str | None) -> None:
    if name is not None and name not in {job.name for job in JOBS}:
        raise UsageError(f"there is no job {name!r}; the jobs are {', '.join(job.name for job in JOBS)}")


async def list_jobs(context: Context, options: Namespace) -> int:
    async with context.source() as source:
        last = await source.jobs.last([job.name for job in JOBS])
        due = await source.jobs.due_in({job.name: job.every_s for job in JOBS})
    if options.json:
        jobs = [
            {"job": job.name, "title": job.title, "last": last.get(job.name), "due_in_s": round(due[job.name])}
            for job in JOBS
        ]
        emit(to_json({"jobs": jobs}))
        return failures.DONE
    headers = ("job", "last outcome", "started (UTC)", "due", "what it does, or how far it is")
    emit(table(headers, [_listed(job, last.get(job.name), due[job.name]) for job in JOBS]))
    return failures.DONE


def _listed(job: Job, run: JobRun | None, due_in_s: float) -> tuple[object, ...]:
    due = f"in {lasting(due_in_s)}" if due_in_s > 0 else "now"
    if run is None:
        return (job.name, "never run", None, due, job.title)
    return (job.name, run.outcome, run.started_at, due, run_words(run) if run.outcome == "running" else job.title)


async def run_jobs(context: Context, options: Namespace) -> int:
    if options.all_due:
        if options.dry_run or options.rebaseline:
            raise UsageError("--all-due takes no --dry-run or --rebaseline; name one job for these")
        async with context.source() as source:
            runs = await _until_stopped(source.run_due_jobs())
        if options.json:
            emit(to_json({"runs": [_document(run) for run in runs]}))
        else:
            emit("\n".join(f"{run.job}: {run.outcome}: {run.message}" for run in runs) or "no job is due")
        return failures.FAILED if any(run.bad for run in runs) else failures.DONE
    return await _run_one(context, options)


async def _run_one(context: Context, options: Namespace) -> int:
    _known(options.job)
    job = next(job for job in JOBS if job.name == options.job)
    if options.rebaseline:
        job = rebaselined(job)
        if job is None:
            raise UsageError(f"--rebaseline is for jobs that count the log; {options.job} is none of them")
    single: list[str] = []
    explain = single.append if options.dry_run else None
    async with context.source() as source:
        run = await _until_stopped(source.run_job(job, dry_run=options.dry_run, tell=_tell, explain=explain))
    if options.json:
        emit(to_json(_document(run) | ({"explained": single} if options.dry_run else {})))
    else:
        emit("\n".join([*single, f"{run.outcome}: {run.message}"]))
    return failures.FAILED if run.bad else failures.DONE


async def _until_stopped(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Awaits it; SIGTERM ends the step under way as the first interrupt does, and the record says so."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        narrate("stopped; what was committed stays, see `opsdeck jobs history`")
        raise


def _tell(progress: str, pace: Pace | None) -> None:
    narrate(progress + (f", {pace_words(pace)}" if pace is not None else ""))


def _document(run: JobRun) -> dict[str, object]:
    return {
        "job": run.job,
        "outcome": run.outcome,
        "message": run.message,
        "dry_run": run.dry_run,
        "counts": run.counts,
        "started_at": run.started_at,
        "duration_s": round(run.duration_s, 3),
        "run_id": run.run_id,
    }


async def stop_job(context: Context, options: Namespace) -> int:
    _known(options.job)
    async with context.source() as source:
        asked = await source.jobs.ask_to_stop(options.job, source.actor)
    if options.json:
        emit(to_json({"job": options.job, "asked": asked}))
    elif asked:
        emit(f"{options.job} was asked to stop: it does at its next step; what it committed stays")
    else:
        narrate(f"{options.job} is not running")
    return failures.DONE if asked else failures.FAILED


async def list_history(context: Context, options: Namespace) -> int:
    _known(options.job)
    async with context.source() as source:
        before = None if options.before is None else await source.jobs.find(options.before)
        if before is None and options.before is not None:
            raise UsageError(f"--before: there is no run {options.before}")
        found = await source.jobs.page(job=options.job, before=before, limit=options.limit + 1)
    page = page_of(found, options.limit)
    if options.json:
        emit(to_json({"runs": [_document(run) for run in page.rows], "complete": page.complete}))
        return failures.DONE
    headers = ("started (UTC)", "job", "outcome", "seconds", "by", "message")
    emit(
        table(
            headers,
            [
                (
                    run.started_at,
                    run.job + (" (dry run)" if run.dry_run else ""),
                    run.outcome,
                    f"{run.duration_s:.1f}",
                    run.os_user,
                    run.message or run.progress,
                )
                for run in page.rows
            ],
        )
    )
    narrate_cut(page, lambda run: run.run_id)
    return failures.DONE
