"""``lsstpipe config``."""

from __future__ import annotations

import json

import click


@click.group()
def command() -> None:
    """Show, check and document settings.

    \b
    Example:
      lsstpipe config check config/campaigns/demo.yaml
    """


@command.command()
@click.argument("campaign")
def check(campaign: str) -> None:
    """Check CAMPAIGN; say in one sentence what is wrong with it, if anything.

    \b
    Example:
      lsstpipe config check config/campaigns/demo.yaml
    """
    from lsstpipe.config import load_campaign

    settings = load_campaign(campaign)
    click.echo(
        f"{campaign} is a valid campaign: {settings.name}, instrument {settings.instrument}."
    )


@command.command()
@click.argument("campaign")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of YAML.")
def show(campaign: str, as_json: bool) -> None:
    """Show all settings of CAMPAIGN, defaults included.

    \b
    Example:
      lsstpipe config show config/campaigns/demo.yaml
    """
    import yaml

    from lsstpipe.config import load_campaign

    plain = load_campaign(campaign).plain()
    click.echo(json.dumps(plain, indent=1) if as_json else yaml.safe_dump(plain, sort_keys=False))


@command.command()
def schema() -> None:
    """Print the JSON schema of a campaign, for editors that check YAML.

    \b
    Example:
      lsstpipe config schema > config/schema.json
    """
    from lsstpipe.config.document import write_schema

    click.echo(write_schema(), nl=False)


@command.command()
def template() -> None:
    """Print every setting with its meaning and default, as commented YAML.

    \b
    Example:
      lsstpipe config template > config/config.yaml
    """
    from lsstpipe.config.document import write_template

    click.echo(write_template(), nl=False)
