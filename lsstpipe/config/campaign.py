"""The settings of a campaign: what every campaign has, and a section a stage.

The sections are built from THE table of stages: a stage's section holds the stage's policy and one
part a task, which is the task's own ``Config``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator

from lsstpipe.datasets import DATASET_TYPES
from lsstpipe.datastore.layout import locate, parse_prefix
from lsstpipe.errors import UserError
from lsstpipe.registry.address import parse_address, refuse_password
from lsstpipe.stages import STAGES, Stage
from lsstpipe.tasks.base import TaskConfig

Degrees = Annotated[float, Field(allow_inf_nan=False)]
RightAscension = Annotated[float, Field(ge=0, lt=360, allow_inf_nan=False)]
Declination = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Stages = Mapping[str, Stage]


class _Section(BaseModel):
    """Base of the settings: immutable, and a name that is not a setting is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ColourTerm(_Section):
    """What turns a magnitude p into the camera's: p + c0 + c1 (p - s) + c2 (p - s)^2."""

    against: Annotated[str, Field(min_length=1)]
    """Band of the catalogue that gives s."""
    c0: Degrees = 0.0
    """Constant, mag."""
    c1: Degrees = 0.0
    """Slope in the colour p - s."""
    c2: Degrees = 0.0
    """Curvature in the colour p - s, 1/mag."""


class ReferenceBand(_Section):
    """Where the catalogue has the brightness of a star in a band of the camera."""

    flux: Annotated[str, Field(min_length=1)]
    """Band of the catalogue: its flux is the column of that name with _flux after it."""
    colour_term: ColourTerm | None = None


class ReferenceCatalog(_Section):
    """Stars of known position and brightness."""

    path: str | tuple[str, ...]
    """CSV file, or folder or FITS files of the shards, relative to the working directory."""
    format: Literal["ra_deg,dec_deg,mag_VT", "lsst_shards"] = "ra_deg,dec_deg,mag_VT"
    """Columns of the CSV file, which its first line repeats after a '#': right ascension and
    declination (ICRS, degrees), magnitude; or lsst_shards, Rubin's FITS tables by HTM-7 number."""
    bands: Mapping[str, ReferenceBand] = Field(default_factory=dict)
    """For each band of the camera that of the shards; where empty, that of the same name, or the
    only one."""
    duplicate_radius_arcsec: Annotated[float, Field(ge=0, le=5)] = 0.2
    """Entries of the catalogue closer than this are one star."""
    zero_point_mag: Degrees = 31.4
    """Magnitude of 1 nJy in the system of the catalogue; 31.4 takes its magnitudes for AB."""
    position_error_arcsec: Annotated[float, Field(gt=0)] = 0.1
    """Standard error of a star's position in each axis."""
    magnitude_error: Annotated[float, Field(gt=0)] = 0.05
    """Standard error of a star's magnitude."""


class Pointing(_Section):
    """Where the telescope looked, for cameras whose headers do not say."""

    ra_deg: RightAscension
    """Right ascension of the centre of the field (ICRS)."""
    dec_deg: Declination
    """Declination of the centre of the field (ICRS)."""
    radius_arcmin: Annotated[float, Field(gt=0, le=600)] = 10.0
    """How far the true centre may be from there."""


class Tract(_Section):
    """One tangent plane and the patches on it."""

    ra_deg: RightAscension
    """Right ascension of the centre of the tract (ICRS)."""
    dec_deg: Declination
    """Declination of the centre of the tract (ICRS)."""
    n_patches_y: Annotated[int, Field(ge=1)] = 1
    """Rows of patches."""
    n_patches_x: Annotated[int, Field(ge=1)] = 1
    """Columns of patches."""


class Skymap(_Section):
    """How the sky is divided into tracts and patches."""

    name: Name
    """Value of the dimension skymap."""
    pixel_scale_arcsec: Annotated[float, Field(gt=0)]
    """Pixel scale of coadds at the centre of a tract."""
    patch_inner_y: Annotated[int, Field(ge=16)]
    """Rows of the inner box of a patch, in pixels; inner boxes tile the tract."""
    patch_inner_x: Annotated[int, Field(ge=16)]
    """Columns of the inner box of a patch, in pixels."""
    border_pix: Annotated[int, Field(ge=0)] = 50
    """How far a patch reaches over its inner box on each side, in pixels."""
    tracts: Annotated[tuple[Tract, ...], Field(min_length=1)]
    """The tracts; their numbers count from 0."""


class Target(_Section):
    """The star whose light curve the report shows."""

    name: str
    """What people call it."""
    ra_deg: RightAscension
    """Right ascension (ICRS)."""
    dec_deg: Declination
    """Declination (ICRS)."""


class Submission(_Section):
    """How chunks become jobs of a cluster."""

    pilot_stages: tuple[str, ...] = ()
    """Stages with small chunks: a job runs many of them, with a Snakemake of its own."""
    pilot_minutes: Annotated[float, Field(gt=0)] = 20.0
    """How long such a job should take at most, minutes."""
    pilot_cores: Annotated[int, Field(ge=1)] = 1
    """How many chunks it runs at the same time, a processor each."""
    on_demand_minutes: Annotated[float, Field(gt=0)] | None = None
    """Jobs that are expected to take longer ask for nodes that Spot does not take back."""

    @field_validator("pilot_stages")
    @classmethod
    def _check_stages(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        known = [name for name, stage in STAGES.items() if stage.tasks]
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise ValueError(f"names the stage '{unknown[0]}'; there are {', '.join(known)}")
        return names


class StageConfig(_Section):
    """Settings of a stage: its policy, and a part for each of its tasks."""

    max_flagged: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of a task's quanta that may be flagged before the campaign stops."""


class Campaign(_Section):
    """A campaign: which raws, and how to process them."""

    name: Name
    """Name of the campaign."""
    instrument: str
    """Camera that took the raws."""
    raws: Annotated[tuple[str, ...], Field(min_length=1)]
    """Raw frames: file names with wildcards, relative to the working directory."""
    repo: str
    """Folder of the repository that everything is written into, made if absent."""
    registry: str = ""
    """URL of the database on a server that is the registry of a new repository, such as
    postgresql://drp@db.example.org/dr1?auth=iam; a file in the repository where it is empty."""
    run: Name = "main"
    """Name of the run that the products belong to."""
    reference_catalog: ReferenceCatalog
    pointing: Pointing | None = None
    skymap: Skymap
    target: Target | None = None
    target_minutes: Annotated[float, Field(gt=0)] | None = 5.0
    """How long a job should take at most in stages that run visit by visit, in minutes of one
    processor: the plan chooses how many visits, or detectors of a visit, it holds. Short jobs keep
    the cores of a laptop busy, on a cluster each pays for its start: there 5 to 30 are right. With
    null, and no number below, it is one visit."""
    visits_per_chunk: Annotated[int, Field(ge=1)] | None = None
    """How many visits a job of such a stage has, whatever time they take."""
    plan_shards: Annotated[int, Field(ge=1)] = 1
    """Visits, tracts and detectors are planned in so many blocks each, with the memory of one; it
    changes no product."""
    submission: Submission = Submission()
    """How chunks become jobs of a cluster; it changes no product."""
    calibrations: tuple[str, ...] = ()
    """Collections to look for certified calibrations in, the first first; without any, all are
    searched and two that hold for one exposure are refused."""
    retain: tuple[str, ...] = ()
    """Dataset types to keep besides those that their stage keeps anyway."""
    skip: Mapping[str, str] = Field(default_factory=dict)
    """Stages to leave out, each with the reason."""
    publish: str = ""
    """Where the run is published once all of it is collected: s3://BUCKET/releases/RIGHT,
    s3://BUCKET/embargo/NIGHT, or in a repository of a site releases/RIGHT alone. The run is frozen
    by it; nothing is published where it is empty. It changes no product."""

    @field_validator("retain")
    @classmethod
    def _check_retained(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(names) - set(DATASET_TYPES))
        if unknown:
            raise ValueError(
                f"names the dataset type '{unknown[0]}'; there are {', '.join(DATASET_TYPES)}"
            )
        return names

    @field_validator("skip")
    @classmethod
    def _check_skipped(cls, reasons: Mapping[str, str]) -> Mapping[str, str]:
        unknown = sorted(set(reasons) - set(cls.model_fields))
        if unknown:
            raise ValueError(f"names the stage '{unknown[0]}', which there is not")
        return reasons

    @field_validator("registry")
    @classmethod
    def _check_registry(cls, url: str) -> str:
        try:
            if url:
                refuse_password(parse_address(url))
        except UserError as error:
            raise ValueError(f"cannot be used: {str(error).rstrip('.')}") from None
        return url

    @field_validator("publish")
    @classmethod
    def _check_target(cls, target: str) -> str:
        # Which bucket a prefix alone lies in, if in any, only the repository knows.
        try:
            if target:
                parse_prefix(locate(target, "s3://bucket"))
        except UserError as error:
            raise ValueError(f"is no target: {str(error).rstrip('.')}") from None
        return target

    def stage(self, stage: str) -> StageConfig:
        """Return the section of a stage."""
        return cast(StageConfig, getattr(self, stage))

    def task(self, stage: str, task: str) -> TaskConfig:
        """Return the settings of a task of a stage, with what the campaign says filled in.

        A task may have settings of the names ``target_name``, ``target_ra_deg``,
        ``target_dec_deg`` and ``pointing_radius_arcmin``: where its section does not set them,
        they are those of the campaign.
        """
        config = cast(TaskConfig, getattr(self.stage(stage), task))
        shared: dict[str, object] = {}
        if self.target is not None:
            shared |= {
                "target_name": self.target.name,
                "target_ra_deg": self.target.ra_deg,
                "target_dec_deg": self.target.dec_deg,
            }
        if self.pointing is not None:
            shared["pointing_radius_arcmin"] = self.pointing.radius_arcmin
        known = set(type(config).model_fields) - config.model_fields_set
        update = {name: value for name, value in shared.items() if name in known}
        return config.model_copy(update=update) if update else config

    def plain(self) -> dict[str, Any]:
        """Return all settings as JSON values, with defaults and what `task` fills in."""
        plain = self.model_dump(mode="json")
        for name, section in self:
            if isinstance(section, StageConfig):
                tasks = set(type(section).model_fields) - set(StageConfig.model_fields)
                filled = {task: self.task(name, task).model_dump(mode="json") for task in tasks}
                plain[name] |= filled
        return plain


def campaign_model(stages: Stages = STAGES, only: str | None = None) -> type[Campaign]:
    """Build the model of a campaign over a table of stages.

    Parameters
    ----------
    stages
        The stages by name.
    only
        The one stage whose tasks are wanted, empty for none: the modules of the others need not be
        imported then, and their sections hold the policy alone.
    """
    return _campaign_model(_ById(stages), only)


@lru_cache(maxsize=8)
def _campaign_model(stages: _ById, only: str | None) -> type[Campaign]:
    """Build the model; once for each table."""
    sections: dict[str, Any] = {}
    for name, stage in stages.value.items():
        if not stage.tasks:
            continue
        parts: dict[str, Any] = {}
        for task in stage.tasks if only in (None, name) else ():
            settings = task.module.Config
            what = Field(default_factory=settings, description=f"Task {task.name}.")
            parts[task.name] = (settings, what)
        title = f"{name.title().replace('_', '')}Stage"
        section = create_model(title, __base__=StageConfig, __doc__=stage.doc, **parts)
        sections[name] = (section, Field(default_factory=section, description=stage.doc))
    return create_model("Campaign", __base__=Campaign, __doc__=Campaign.__doc__, **sections)


class _ById:
    """A table of stages that is looked up by its identity."""

    def __init__(self, value: Stages) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and other.value is self.value


def digest(value: object) -> str:
    """Give the digest of a JSON value, whatever the order of its keys.

    Parameters
    ----------
    value
        The value, such as the settings of a task.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def digest_task(config: TaskConfig) -> str:
    """Give the digest of the settings of a task, defaults included.

    Parameters
    ----------
    config
        The settings.
    """
    return digest(config.model_dump(mode="json"))
