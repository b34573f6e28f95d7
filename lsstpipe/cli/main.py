"""``lsstpipe``: one command a module, loaded when it is called.

Exit codes: 0 done; 1 the request cannot be met as given; 2 a bug; 75 the machine failed, try again.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import click

from lsstpipe import __version__
from lsstpipe.errors import LsstpipeError, TemporaryError, UserError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}

COMMANDS = {
    "init": "Make an empty repository.",
    "simulate": "Write raw frames of a simulated survey with its truth.",
    "ingest": "Register the raw frames of a campaign.",
    "plan": "Work out what runs: quanta, datasets, chunks.",
    "run": "Run a stage, or one chunk of it.",
    "collect": "Load what jobs did into the registry.",
    "certify": "Say from when to when calibrations hold.",
    "status": "Tell what is done, stale, failed, flagged or not run.",
    "collection": "List collections, chain, tag, release and freeze them.",
    "query": "Find datasets, and where they come from.",
    "get": "Copy a dataset out of the repository.",
    "metrics": "Print the measured quality of a campaign.",
    "report": "Draw the page of a campaign, print its summary.",
    "publish": "Copy a collection into the product bucket and freeze it.",
    "fetch": "Copy datasets of a release into a repository.",
    "export": "Copy a collection into a folder that stands for itself.",
    "import": "Copy what was exported into a repository.",
    "export-butler": "Copy a collection into a folder that Rubin's Butler imports.",
    "ingest-butler": "Register what Rubin's Butler exported.",
    "verify": "Find files that are absent or not as they were written.",
    "prune": "Remove datasets, or a whole run.",
    "sweep": "Remove what killed processes left.",
    "profile": "Put the profiles of Snakemake where it looks for them.",
    "campaign": "Start a campaign on Slurm, pause, stop, change and watch it.",
    "cluster": "Launch and end the nodes of a cluster, tell what they cost.",
    "site": "Make, price and end a site on AWS: cluster, storage, registry.",
    "compile": "Compile all kernels, so that no job has to.",
    "config": "Show, check and document settings.",
}
"""Every command with its line of help; module ``lsstpipe.cli.<name>`` has it as ``command``,
an underscore for each hyphen."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, so that help is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands, in the order in which a campaign uses them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"lsstpipe.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="lsstpipe")
@click.option("--log-json", is_flag=True, help="Write the log as one JSON object a line.")
@click.option("--quiet", "-q", is_flag=True, help="Log warnings and errors only.")
def cli(log_json: bool, quiet: bool) -> None:
    """Make a data release: from raw frames to catalogues, light curves and a report.

    \b
    Example:
      snakemake --cores 2 --configfile config/campaigns/demo.yaml
      lsstpipe status config/campaigns/demo.yaml
    """
    import logging

    from lsstpipe.logs import configure

    configure(level=logging.WARNING if quiet else logging.INFO, as_json=log_json)


def main() -> None:
    """Run the command line; end in one sentence and an exit code where it fails."""
    sys.excepthook = _report_bug
    try:
        _check_arguments(sys.argv[1:])
        status = cli.main(prog_name="lsstpipe", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(1)
    except click.Abort:
        sys.exit(130)
    except LsstpipeError as error:
        said = str(error).encode(errors="backslashreplace").decode()
        click.echo(f"lsstpipe: {said}", err=True)
        sys.exit(error.exit_code)
    except UnicodeEncodeError as error:
        if _is_utf8(error.object):  # the output takes less than UTF-8
            raise
        # The name of a file that is there, given where no file is meant.
        click.echo(f"lsstpipe: {error.object!a} is not UTF-8, and only UTF-8 is allowed.", err=True)
        sys.exit(1)
    except BrokenPipeError:
        # The reader of our output has gone; nothing is wrong.
        _drop_output()
        sys.exit(0)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        _drop_output()
        what = error.filename or "The output"
        click.echo(f"lsstpipe: {what} cannot be written: {error.strerror}.", err=True)
        sys.exit(TemporaryError.exit_code)
    sys.exit(status if isinstance(status, int) else 0)


def _check_arguments(arguments: list[str]) -> None:
    """Refuse what is not UTF-8, which no registry can keep; a file may have such a name."""
    for argument in arguments:
        places = (argument, argument.partition("=")[2])
        if not (_is_utf8(argument) or any(p and Path(p).exists() for p in places)):
            raise UserError(f"The argument {argument!a} is not UTF-8, and only UTF-8 is allowed.")


def _is_utf8(text: str) -> bool:
    """Tell whether text can be encoded; Python keeps other bytes as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _drop_output() -> None:
    """Let what is left of our output go: it would fail again when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report_bug(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> NoReturn:
    """Show what no part of lsstpipe expected, and end with the exit code of a bug."""
    traceback.print_exception(kind, error, trace)
    click.echo(
        f"lsstpipe: {kind.__name__}: {error}\nThis is a bug of lsstpipe {__version__}; please "
        "report it with the lines above and the command that you gave.",
        err=True,
    )
    sys.exit(2)
