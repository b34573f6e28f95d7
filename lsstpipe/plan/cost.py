"""What a quantum of each task is expected to take, and how large chunks become of it.

The expectation is learnt from what the quanta of a registry took (`learn_costs`) and kept as a
small file beside the plan. For tasks that never ran it is a guess: their time is that of the frames
of 0.8 megapixels that come with lsstpipe, their memory follows from the size of what they hold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lsstpipe.config import Campaign
from lsstpipe.datastore.atomic import write_atomically
from lsstpipe.errors import RepositoryError
from lsstpipe.instruments import get_camera
from lsstpipe.registry.address import Address
from lsstpipe.stages import Stage

_CPU_S: dict[str, float] = {
    "bias": 1.5,
    "ptc": 6.0,
    "linearizer": 3.0,
    "crosstalk": 6.0,
    "bfk": 12.0,
    "fringe": 8.0,
    "dark": 2.2,
    "defects": 0.1,
    "flat": 10.7,
    "isr": 0.4,
    "calibrate": 3.4,
    "isolated_star": 0.3,
    "joint_astrometry": 2.8,
    "joint_photometry": 0.4,
    "visit_summary": 0.1,
    "warp": 0.2,
    "assemble": 5.0,
    "object": 4.9,
    "forced": 0.7,
    "tables": 0.8,
    "metrics": 0.5,
}


class _Memory(NamedTuple):
    """Memory of a task, MB: at least, and for each megapixel of what it holds."""

    least: float
    detector: float = 0.0
    patch: float = 0.0
    patch_of_each_input: float = 0.0


_CALIBRATION, _OTHER = _Memory(550.0, detector=180.0), _Memory(500.0)
_MEMORY: dict[str, _Memory] = {
    **dict.fromkeys(
        ("bias", "ptc", "linearizer", "crosstalk", "bfk", "dark", "defects", "flat", "fringe"),
        _CALIBRATION,
    ),
    **dict.fromkeys(("isr", "calibrate"), _Memory(450.0, detector=80.0)),
    "warp": _Memory(400.0, detector=40.0, patch=40.0),
    "assemble": _Memory(400.0, patch_of_each_input=60.0),
    "object": _Memory(400.0, patch=100.0),
    "forced": _Memory(400.0, detector=60.0),
}
"""Above what was seen of frames of 0.8, 1.0 and 8.6 megapixels on patches of 0.4, 0.6 and 17.6."""

START_CPU_S = 2.0
"""CPU seconds to start a job: the interpreter and its imports."""

_UPPER = 95
"""Memory is asked for that this share of quanta needs at most, in percent."""
_USD_PER_CPU_H = 0.023
"""A vCPU of m7a for an hour: 0.23184 for four on demand (us-east-1, July 2026), Spot 0.4 of it."""


@dataclass(frozen=True, slots=True)
class TaskCost:
    """What a quantum of a task takes.

    Attributes
    ----------
    cpu_s
        CPU seconds, the median.
    memory_mb
        Memory of its process, MB, the 95th percentile.
    written_mb
        Bytes that it writes, MB, the median.
    n_quanta
        How many quanta say so; 0 where nothing was learnt.
    """

    cpu_s: float
    memory_mb: float
    written_mb: float = 0.0
    n_quanta: int = 0


@dataclass(frozen=True, slots=True)
class CostModel:
    """What quanta take, task by task.

    Attributes
    ----------
    tasks
        What was learnt, by task.
    usd_per_cpu_h
        Price of a processor for an hour.
    detector_mpix, patch_mpix
        Megapixels of the largest detector and of a patch, for the guess of what was not learnt.
    """

    tasks: Mapping[str, TaskCost] = field(default_factory=dict)
    usd_per_cpu_h: float = _USD_PER_CPU_H
    detector_mpix: float = 0.8
    patch_mpix: float = 0.4

    def of(self, task: str) -> TaskCost:
        """Give what a quantum of a task takes.

        Parameters
        ----------
        task
            Name of the task.
        """
        known = self.tasks.get(task)
        return known or TaskCost(_CPU_S.get(task, 1.0), float(self._guess_memory(task, 1)))

    def memory_mb(self, task: str, n_inputs: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Give the memory that quanta of a task take, MB.

        Parameters
        ----------
        task
            Name of the task.
        n_inputs
            How many datasets each of them reads, shape ``(n,)``.
        """
        known = self.tasks.get(task)
        if known is not None:
            return np.full(len(n_inputs), known.memory_mb)
        return self._guess_memory(task, n_inputs)

    def _guess_memory(
        self, task: str, n_inputs: npt.NDArray[np.int64] | int
    ) -> npt.NDArray[np.float64]:
        guess = _MEMORY.get(task, _OTHER)
        held = guess.detector * self.detector_mpix + guess.patch * self.patch_mpix
        each = guess.patch_of_each_input * self.patch_mpix
        return np.asarray(guess.least + held + each * np.asarray(n_inputs))

    def usd(self, cpu_s: float) -> float:
        """Give the price of some CPU seconds."""
        return cpu_s / 3600.0 * self.usd_per_cpu_h


def fit_to_pixels(model: CostModel, campaign: Campaign) -> CostModel:
    """Guess what was not learnt by the sizes of a campaign's detectors and patches.

    Parameters
    ----------
    model
        What quanta take.
    campaign
        Its camera and its sky map.
    """
    boxes = [detector.box for detector in get_camera(campaign.instrument).detectors.values()]
    sky, border = campaign.skymap, 2 * campaign.skymap.border_pix
    return replace(
        model,
        detector_mpix=max(box.ny * box.nx for box in boxes) / 1e6,
        patch_mpix=(sky.patch_inner_y + border) * (sky.patch_inner_x + border) / 1e6,
    )


def cost_path(repo: str | Path) -> Path:
    """File of what was learnt in a repository."""
    return Path(repo) / "cost.json"


def read_costs(repo: str | Path) -> CostModel:
    """Read what was learnt in a repository, the defaults where nothing was.

    Parameters
    ----------
    repo
        The repository.

    Raises
    ------
    RepositoryError
        If the file is not one of costs.
    """
    path = cost_path(repo)
    try:
        plain = json.loads(path.read_text())
        tasks = {name: TaskCost(**values) for name, values in plain["tasks"].items()}
        return CostModel(tasks, float(plain["usd_per_cpu_h"]))
    except FileNotFoundError:
        return CostModel()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RepositoryError(
            f"{path} is no file of costs ({error}); `lsstpipe plan --learn` writes it anew."
        ) from None


def write_costs(repo: str | Path, model: CostModel) -> None:
    """Keep what was learnt beside the plan.

    Parameters
    ----------
    repo
        The repository.
    model
        What was learnt.
    """
    tasks = {name: asdict(cost) for name, cost in model.tasks.items()}
    plain = {"tasks": tasks, "usd_per_cpu_h": model.usd_per_cpu_h}
    text = json.dumps(plain, indent=1) + "\n"
    write_atomically(cost_path(repo), text.encode())


def learn_costs(url: str | Address, instrument: str) -> CostModel:
    """Learn what quanta take from those of a registry that did their work.

    Parameters
    ----------
    url
        Where the registry is.
    instrument
        Quanta of other cameras are left out; those of no camera are taken.
    """
    # A job, which has no registry, need not wait for the package of the databases.
    import sqlalchemy as sa

    from lsstpipe.registry.database import Database
    from lsstpipe.registry.tables import quantum

    database = Database(url)
    columns = (quantum.c.task, quantum.c.data_id, quantum.c.cpu_s, quantum.c.max_rss_mb)
    try:
        with database.read() as connection:
            rows = connection.execute(
                sa.select(*columns, quantum.c.bytes_written)
                .where(quantum.c.status == "done")
                .order_by(quantum.c.task)
            ).all()
    finally:
        database.close()
    found: dict[str, list[tuple[float, float, float]]] = {}
    for row in rows:
        given = json.loads(row.data_id)
        if given.get("instrument", instrument) == instrument:
            values = (row.cpu_s, row.max_rss_mb, row.bytes_written / 1e6)
            found.setdefault(row.task, []).append(values)
    return CostModel({task: _summarise(values) for task, values in found.items()})


def _summarise(values: Sequence[tuple[float, float, float]]) -> TaskCost:
    """Sum up the quanta of a task by what a few strange ones do not move."""
    cpu_s, memory_mb, written_mb = np.array(values, dtype=np.float64).T
    return TaskCost(
        round(float(np.median(cpu_s)), 3),
        round(float(np.percentile(memory_mb, _UPPER)), 1),
        round(float(np.median(written_mb)), 3),
        len(values),
    )


@dataclass(frozen=True, slots=True)
class ChunkSize:
    """How much of a stage that runs visit by visit goes into one chunk.

    Attributes
    ----------
    visits
        How many visits.
    detector_bits
        Of a visit that is too long for one chunk, blocks of ``2**detector_bits`` detectors; -1
        where visits stay whole.
    """

    visits: int
    detector_bits: int = -1


def chunk_size(stage: Stage, campaign: Campaign, model: CostModel) -> ChunkSize:
    """Choose how much of a stage goes into one chunk.

    It is the largest power of two whose chunks take no longer than ``target_minutes``, for visits
    with all detectors of the camera: a size that depends on the exposures would change when some
    are added, and with it every chunk.

    Parameters
    ----------
    stage
        The stage.
    campaign
        ``visits_per_chunk``, else ``target_minutes``.
    model
        What quanta take.
    """
    minutes, visits = campaign.target_minutes, campaign.visits_per_chunk
    if visits is not None or minutes is None or "visit" not in stage.chunk_dimensions:
        return ChunkSize(visits or 1)
    per_detector = sum(model.of(task.name).cpu_s for task in stage.tasks)
    is_by_detector = all("detector" in task.dimensions for task in stage.tasks)
    n_detectors = len(get_camera(campaign.instrument).detectors) if is_by_detector else 1
    fit = (60.0 * minutes - START_CPU_S) / per_detector
    if fit >= n_detectors or not is_by_detector:
        return ChunkSize(2 ** _bits(fit / n_detectors))
    return ChunkSize(1, _bits(fit))


def _bits(ratio: float) -> int:
    """Give the exponent of the largest power of two in a ratio, 0 below 2."""
    return max(1, int(ratio)).bit_length() - 1
