# What the rules share: paths, and look-ups of chunks in the plan.
#
# A Snakefile is parsed anew in every job of a cluster, so nothing here reads a file or imports more
# than the standard library. Look-ups happen in functions that run once the plan is there.
import fcntl
import glob
import hashlib
import json
import sys
from pathlib import Path

# The package of this checkout, whatever else is installed.
sys.path.insert(0, str(workflow.basedir))

from lsstpipe.plan import chunks, layout

REPO = config["repo"]
PLAN = str(layout.plan_folder(REPO))
CHUNKS = f"{PLAN}/chunks.tsv"
# Everything that --configfile and --config say, for the standard input of the command line.
CAMPAIGN = json.dumps(config)
# Only these matter to the ingest: other settings may change without a new one.
INGEST_KEYS = (
    "name",
    "instrument",
    "raws",
    "repo",
    "run",
    "reference_catalog",
    "pointing",
    "skymap",
)
INGEST_CAMPAIGN = json.dumps(
    {key: value for key, value in config.items() if key in INGEST_KEYS}
)

# A job of Slurm runs Snakemake twice around the command: in its batch step and in srun's.
SNAKEMAKE_MB = 300
# What all jobs of Slurm on this repository are called: a person reads it, and the next run finds them.
JOBS = f"{config['name']}-{hashlib.sha256(str(Path(REPO).resolve()).encode()).hexdigest()[:6]}"


wildcard_constraints:
    chunk=r"[^/]+",


def manifest(stage):
    """Path of the manifests of a stage, with the wildcard chunk.

    Snakemake leaves the manifest of an earlier run in place: the quanta in it that still stand do
    not run again.
    """
    return update(str(layout.manifest_path(REPO, stage, "{chunk}")))


def log_file(stage):
    """Path of the logs of a stage, with the wildcard chunk."""
    return str(layout.log_path(REPO, stage, "{chunk}"))


def planned(stage, wildcards):
    """Look up a chunk, once there is a plan."""
    path = checkpoints.plan.get().output.chunks
    return chunks.read_chunks(path)[stage][wildcards.chunk]


def upstream(stage):
    """Manifests that a chunk waits for."""
    return lambda wildcards: [
        str(layout.manifest_path(REPO, *other))
        for other in planned(stage, wildcards).upstream
    ]


def digest(stage):
    """Digest of what a chunk depends on besides its upstream: its section of the campaign, the raws."""
    return lambda wildcards: planned(stage, wildcards).digest


def memory(stage):
    """Memory in MB, twice as much after a job was killed for it, and that of Snakemake itself."""
    return (
        lambda wildcards, attempt: planned(stage, wildcards).mem_mb * 2 ** (attempt - 1)
        + SNAKEMAKE_MB
    )


def minutes(stage):
    """Longest time, in minutes."""
    return lambda wildcards, attempt: planned(stage, wildcards).runtime_min * attempt


def manifests(stage):
    """Manifests of all chunks of a stage."""
    return lambda wildcards: chunks.stage_manifests(
        checkpoints.plan.get().output.chunks, REPO, stage
    )


def all_manifests(wildcards):
    """Manifests of all chunks of the plan."""
    path = checkpoints.plan.get().output.chunks
    return [
        manifest
        for stage in chunks.read_chunks(path)
        for manifest in chunks.stage_manifests(path, REPO, stage)
    ]


def take_lock():
    """Be the only run on this repository, until this process ends, however it ends.

    Snakemake's own lock outlives a killed process, so the profile switches it off; this one is the
    kernel's.
    """
    global lock
    Path(REPO).mkdir(parents=True, exist_ok=True)
    lock = open(f"{REPO}/.lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise WorkflowError(
            f"Another snakemake is running on {REPO}; wait for it or stop it."
        )


def look_often():
    """On Slurm, see soon that jobs have ended, and use nodes again whose names were lost once."""
    from lsstpipe.cluster.polling import forgive_nodes, limit_interval

    limit_interval(workflow.scheduler._executor)
    forgive_nodes(workflow.scheduler._executor)


def take_queue():
    """On Slurm, end the jobs of a run that was killed, and give those of this one a name to read.

    They would run beside the same jobs of this run. The executor calls its jobs by a number alone
    and asks for them by it, so the name is put before that number before it submits any.
    """
    executor = workflow.scheduler._executor
    if hasattr(executor, "run_uuid"):
        from lsstpipe.cluster.leftovers import cancel_jobs

        if left := cancel_jobs(f"{JOBS}_"):
            logger.info(f"Cancelled {len(left)} jobs of a run that was killed.")
        executor.run_uuid = f"{JOBS}_{executor.run_uuid}"
