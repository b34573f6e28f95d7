"""The tree of errors.

::

    LsstpipeError
    ├── UserError            fix the request: configuration, command line, input files (exit code 1)
    │   ├── ConfigError      a setting is unknown, of the wrong type or out of range
    │   ├── DataIdError      a data ID lacks a dimension or has one too many
    │   ├── InputFileError   a file is damaged, of the wrong kind or of another camera
    │   ├── ConflictError    what is there already says something else
    │   └── RepositoryError  the repository is absent, of another schema, or cannot be written
    ├── NoWorkFound          nothing to do: a valid, empty outcome
    ├── AlgorithmError       these data cannot be processed: flag the product and go on
    └── TemporaryError       try again later: the machine, not the request (exit code 75)

A message is one sentence that says what was wrong, what was given and what is allowed. Anything
outside this tree is a bug and stops the job (exit code 2).
"""

from __future__ import annotations


class LsstpipeError(Exception):
    """Base of every error that lsstpipe raises on purpose."""

    exit_code = 2


class UserError(LsstpipeError):
    """The request cannot be met as it was given."""

    exit_code = 1


class ConfigError(UserError):
    """A setting is unknown, of the wrong type or out of range."""


class DataIdError(UserError):
    """A data ID lacks a dimension or has one too many."""


class InputFileError(UserError):
    """A file is damaged, of the wrong kind, or of another camera."""


class ConflictError(UserError):
    """What is stored already contradicts what is given."""


class RepositoryError(UserError):
    """The repository is absent, of another schema, or cannot be written."""


class NoWorkFound(LsstpipeError):  # noqa: N818  (not a failure, so not named one)
    """There is nothing to do for these inputs."""

    exit_code = 0


class AlgorithmError(LsstpipeError):
    """The data cannot be processed; the quantum is flagged and the rest goes on."""


class TemporaryError(LsstpipeError):
    """The machine failed, not the request; the same call may succeed later."""

    exit_code = 75
