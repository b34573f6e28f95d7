# What the rules share: paths, and look-ups of chunks in the plan.
#
# A Snakefile is parsed anew in every job of a cluster, so nothing here reads a file or imports more
# than the standard library. Look-ups happen in functions that run once the plan is there.
import glob
import json
import os
import sys
from pathlib import Path

from snakemake.exceptions import IncompleteCheckpointException

# The package of this checkout, whatever else is installed.
sys.path.insert(0, str(workflow.basedir))

from lsstpipe.plan import attempts, chunks, layout, pilots

REPO = config["repo"]
PLAN = str(layout.plan_folder(REPO))
CHUNKS = f"{PLAN}/chunks.tsv"
# All settings, defaults included, as the plan was made with them.
SETTINGS = f"{PLAN}/campaign.json"
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

# What a job of Slurm asks for besides what its command is expected to take, MB: a shell, and room for
# quanta that are larger than most; or two Snakemakes around it, in the batch step and in srun's.
SHELL_MB, SNAKEMAKE_MB = 200, 300
base_mb = SHELL_MB
# Whether this Snakemake runs inside a job, for the chunks of a pilot.
IN_PILOT = "LSSTPIPE_PILOT" in os.environ
# Slurm as this run uses it; None where jobs run on this machine, and inside the jobs.
queue = None
# Time of the plan that was checked against its nodes.
checked = None


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


def chunk_table():
    """The chunks of the plan, once there is one; a pilot is started by a job of that plan."""
    if IN_PILOT:
        return CHUNKS
    checkpoints.plan.get()
    check_plan(CHUNKS)
    return CHUNKS


def planned(stage, name):
    """Look up a chunk."""
    return chunks.read_chunks(chunk_table())[stage][name]


def planned_pilot(stage, name):
    """Look up the job of a pilot."""
    return own_pilots(stage).by_name[name].job


def own_pilots(stage):
    """The pilots of a stage; none where its chunks are jobs."""
    return pilots.read_pilots(chunk_table(), SETTINGS, stage)


def made_by(stage, names):
    """Files that say that chunks are done: their manifests, or what their pilots leave."""
    pilot_of = {} if IN_PILOT else own_pilots(stage).of_chunk
    if not pilot_of:
        return [str(layout.manifest_path(REPO, stage, name)) for name in names]
    jobs = dict.fromkeys(pilot_of[name] for name in names)
    return [str(layout.pilot_path(REPO, stage, job)) for job in jobs]


def upstream(stage, find=planned):
    """What a chunk, or a pilot, waits for."""

    def files(wildcards):
        others = {}
        for other, name in find(stage, wildcards.chunk).upstream:
            others.setdefault(other, []).append(name)
        return [file for other in others for file in made_by(other, others[other])]

    return files


def digest(stage, find=planned):
    """Digest of what a chunk depends on besides its upstream: its section of the campaign, the raws."""
    return lambda wildcards: find(stage, wildcards.chunk).digest


def pilot_manifests(stage):
    """Manifests of the chunks of a pilot."""
    return lambda wildcards: [
        str(layout.manifest_path(REPO, stage, name))
        for name in own_pilots(stage).by_name[wildcards.chunk].chunks
    ]


def pilot_cores(wildcards):
    """How many chunks a pilot runs at the same time."""
    chunk_table()  # the settings are there when it is
    return pilots.read_submission(SETTINGS)["pilot_cores"]


def market(stage, find=planned):
    """On demand for jobs that are too long to lose; the rest may be anywhere."""

    def ask(wildcards):
        job = find(stage, wildcards.chunk)
        most = pilots.read_submission(SETTINGS)["on_demand_minutes"]
        if most is not None and job.cpu_s > 60 * most:
            return "on-demand"
        return default_resource("constraint") or None

    return ask


def lacks(job, attempt):
    """What the earlier attempts of a job lacked; inside the job that is of no account."""
    return attempts.guess_lacks(attempt) if queue is None else queue.lacks(job, attempt)


def memory(stage, find=planned):
    """Memory in MB, and what a job takes besides; twice as much after a job was killed for it."""

    def ask(wildcards, attempt):
        job = find(stage, wildcards.chunk)
        wanted = attempts.grow_memory(job.mem_mb, lacks(job, attempt)) + base_mb
        return wanted if queue is None else min(wanted, queue.partition.memory_mb)

    return ask


def minutes(stage, find=planned):
    """Longest time, in minutes; more after a job ran out of it."""

    def ask(wildcards, attempt):
        job = find(stage, wildcards.chunk)
        return attempts.grow_minutes(job.runtime_min, lacks(job, attempt))

    return ask


def manifests(stage):
    """What says that all chunks of a stage are done."""
    return lambda wildcards: made_by(
        stage, chunks.read_chunks(chunk_table()).get(stage, {})
    )


def all_manifests(wildcards):
    """What says that all chunks of the plan are done."""
    plan = chunks.read_chunks(chunk_table())
    return [file for stage in plan for file in made_by(stage, plan[stage])]


def publishable(wildcards):
    """What says that the registry knows all products, in a campaign that says where they go."""
    if not config.get("publish"):
        raise WorkflowError(
            "The campaign does not say where to publish: set publish to s3://BUCKET/releases/RIGHT,"
            " or in a repository of a site to releases/RIGHT."
        )
    return rules.collect.output


def take_lock():
    """Be the only run on this repository, until this process ends, however it ends.

    Snakemake's own lock outlives a killed process, so the profile switches it off; this one is the
    kernel's.
    """
    from lsstpipe.cluster.lock import hold_lock

    global lock
    lock = in_a_sentence(hold_lock, REPO)


def remember_failed():
    """Run a job again that failed where an earlier run had left a manifest.

    Snakemake puts that manifest back, and notes it as made with the settings and inputs of the job
    that failed: it would take it for up to date ever after. Without that note it is what it was.
    """
    persistence = workflow.persistence
    restore, finish = persistence.restore_output, persistence.finished
    restored = set()

    def restore_output(path):
        is_back = restore(path)
        if is_back:
            restored.add(str(path))
        return is_back

    async def finished(job):
        own = restored.intersection(map(str, job.output))
        restored.difference_update(own)
        if not own:
            await finish(job)

    persistence.restore_output, persistence.finished = restore_output, finished


def begin():
    """Say that all has been looked at, and jobs are next."""
    from lsstpipe.cluster.lock import note_phase

    note_phase(REPO, "runs")


def look_often():
    """On Slurm, see soon that jobs have ended, whatever was lost: an answer, or a node."""
    from lsstpipe.cluster.polling import forgive_nodes, keep_jobs, limit_interval
    from lsstpipe.cluster.slurm import SlurmCommands

    executor = workflow.scheduler._executor
    limit_interval(executor)
    keep_jobs(executor, SlurmCommands().cancelled)
    forgive_nodes(executor)


def take_queue():
    """On Slurm, end the jobs of a run that was killed, and give those of this one a name to read.

    They would run beside the same jobs of this run. The executor calls its jobs by a number alone
    and asks for them by it, so the name is put before that number before it submits any.
    """
    executor = workflow.scheduler._executor
    if not hasattr(executor, "run_uuid"):
        return
    from lsstpipe.cluster.bare_jobs import submit_bare
    from lsstpipe.cluster.leftovers import cancel_jobs
    from lsstpipe.cluster.submission import open_queue

    global base_mb, queue
    prefix = layout.job_prefix(config["name"], REPO)
    if left := cancel_jobs(prefix):
        logger.info(f"Cancelled {len(left)} jobs of a run that was killed.")
    executor.run_uuid = f"{prefix}{executor.run_uuid}"
    base_mb = SHELL_MB if submit_bare(executor) else SNAKEMAKE_MB
    queue = in_a_sentence(
        open_queue,
        executor.run_uuid,
        base_mb,
        default_resource("slurm_partition"),
        default_resource("slurm_account"),
    )
    hold_paused(executor)
    try:
        chunk_table()
    except IncompleteCheckpointException:
        pass  # there is no plan yet; it is checked when it is looked at


def check_plan(path):
    """On Slurm, refuse a plan with a job that no node is large enough for."""
    global checked
    if queue is None or checked == (now := Path(path).stat().st_mtime_ns):
        return
    checked = now
    for stage, own in chunks.read_chunks(path).items():
        jobs = [pilot.job for pilot in own_pilots(stage).by_name.values()]
        in_a_sentence(queue.check, jobs or own.values())


def hold_paused(executor):
    """Let jobs of stages that are paused wait, from their submission on.

    Snakemake looks at resources when a job becomes ready, which may be long before: only what the
    executor asks for at the last moment is sure to be as `lsstpipe campaign pause` left it.
    """
    from lsstpipe.cluster.campaign import read_paused

    partition = executor.get_partition_arg

    def with_hold(job):
        stage = job.rule.name.removesuffix("_chunk").removesuffix("_pilot")
        return partition(job) + (" --hold" if stage in read_paused(REPO) else "")

    executor.get_partition_arg = with_hold


def default_resource(name):
    """What --default-resources or the profile say; empty where they do not."""
    found = workflow.resource_settings._parsed_default_resources.get(name).raw
    return "" if found is None else str(found).strip("'\"")


def in_a_sentence(function, *arguments):
    """Call a function of the package; what it refuses ends the run in its own words."""
    from lsstpipe.errors import LsstpipeError

    try:
        return function(*arguments)
    except LsstpipeError as error:
        raise WorkflowError(str(error))
