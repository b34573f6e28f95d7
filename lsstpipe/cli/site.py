"""``lsstpipe site``: a cluster on AWS, its data and its registry, by Terraform."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsstpipe.cli.finite_range import FiniteRange
from lsstpipe.cli.options import Decorator

if TYPE_CHECKING:
    from lsstpipe.site.bill import Work
    from lsstpipe.site.deploy import Ask, RootPlan, Site

_settings: Decorator = click.argument(
    "settings",
    envvar="LSSTPIPE_SITE",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
_code: Decorator = click.option(
    "--terraform",
    "code",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default="terraform",
    show_default=True,
    help="Folder of the Terraform code.",
)
_json: Decorator = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
_yes: Decorator = click.option("--yes", is_flag=True, help="Do not ask.")
_dry_run: Decorator = click.option("--dry-run", is_flag=True, help="Say what would change.")
_check: Decorator = click.option(
    "--check/--no-check", default=True, help="Look first for what would fail."
)
_out: Decorator = click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default="config/site.json",
    show_default=True,
    help="Where it is written what the workflow needs to know.",
)


@click.group("site")
def command() -> None:
    """Make, price and end a site on AWS: cluster, storage and registry.

    SETTINGS is a folder with data.tfvars and cluster.tfvars, such as those in terraform/examples.

    \b
    Example:
      lsstpipe site cost terraform/examples/minimal
      lsstpipe site check terraform/examples/minimal
      lsstpipe site up terraform/examples/minimal
    """


def _open(settings: Path, code: Path) -> Site:
    from lsstpipe.site.deploy import Site
    from lsstpipe.site.settings import read_settings

    return Site(read_settings(settings, code), settings, code)


def _site(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command its site: the argument SETTINGS and the option --terraform."""

    @functools.wraps(function)
    def with_site(settings: Path, code: Path, **options: object) -> None:
        function(site=_open(settings, code), **options)

    return _settings(_code(with_site))


@command.command("plan")
@_site
@_check
@_json
def plan(site: Site, check: bool, as_json: bool) -> None:
    """Say what would be made, changed or ended in each root.

    \b
    Example:
      lsstpipe site plan terraform/examples/minimal
    """
    from lsstpipe.cli.site_tables import plans_as_rows, print_plan
    from lsstpipe.site.deploy import plan_site

    if check:
        _require_no_errors(site)
    plans = plan_site(site)
    if as_json:
        click.echo(json.dumps(plans_as_rows(plans), indent=1))
        return
    for each in plans:
        print_plan(each)


@command.command("up")
@_site
@_out
@_yes
@_dry_run
@_check
@_json
def up(site: Site, out: Path, yes: bool, dry_run: bool, check: bool, as_json: bool) -> None:
    """Make or change the site: bootstrap, data, cluster, in this order.

    Before each root it is shown what would change, and asked. What has been made stays when
    something fails; the same command goes on from there.

    \b
    Example:
      lsstpipe site up terraform/examples/minimal
      lsstpipe site up terraform/examples/minimal --yes
    """
    from lsstpipe.cli.site_tables import plans_as_rows, print_plan
    from lsstpipe.site.deploy import bring_up, plan_site

    if check:
        _require_no_errors(site)
    plans: list[RootPlan] = []
    if dry_run:
        plans = plan_site(site)
        for each in plans:
            print_plan(each, err=as_json)
    else:
        outputs = bring_up(site, _asker(plans.append, yes))
        _write_site(outputs, out)
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, "roots": plans_as_rows(plans)}, indent=1))
    elif not dry_run:
        click.echo(f"{out} is written. Next: {outputs['head']['shell']}")


@command.command("outputs")
@_site
@_out
@_dry_run
@_json
def outputs(site: Site, out: Path, dry_run: bool, as_json: bool) -> None:
    """Write config/site.json anew from what the cluster's last apply has told.

    \b
    Example:
      lsstpipe site outputs terraform/examples/minimal
    """
    from lsstpipe.site.deploy import read_outputs

    told = read_outputs(site)
    if not dry_run:
        _write_site(told, out)
    if as_json:
        click.echo(json.dumps(told, indent=1))
    else:
        click.echo(f"{out} {'would be' if dry_run else 'is'} written.")
        click.echo(f"Head node {told['head']['instance_id']}: {told['head']['shell']}")


@command.command("down")
@_site
@_yes
@_dry_run
@click.option(
    "--data", "data_name", help="End the data of this name, too: type it. For good, with all files."
)
@_json
def down(site: Site, yes: bool, dry_run: bool, data_name: str | None, as_json: bool) -> None:
    """End the cluster, nodes first. Data stay.

    Data end only with two switches: `allow_destroy = true`, applied, and --data with their name.

    \b
    Example:
      lsstpipe site down terraform/examples/minimal
    """
    from lsstpipe.cli.site_tables import plans_as_rows, print_plan
    from lsstpipe.site.deploy import destroy_data, plan_down, require_switches, take_down

    if data_name is not None:
        require_switches(site, data_name)
    plans: list[RootPlan] = []
    if dry_run:
        plans = [plan_down(site)]
        print_plan(plans[0], err=as_json)
    else:
        take_down(site, _asker(plans.append, yes))
    if data_name is not None and not dry_run:
        if not yes:
            click.confirm(f"End the data {data_name} for good?", abort=True, err=True)
        destroy_data(site)
    if as_json:
        content = {"dry_run": dry_run, "roots": plans_as_rows(plans), "data": data_name}
        click.echo(json.dumps(content, indent=1))
    elif not dry_run:
        kept = f"Its data stay. Next: lsstpipe site up {site.folder} brings one back"
        gone = f"The data {data_name} are gone but for a snapshot of the registry"
        ended = f"The cluster {site.settings.cluster.name} has ended."
        click.echo(f"{ended} {kept if data_name is None else gone}.")


@command.command("check")
@_site
@_json
def check_site(site: Site, as_json: bool) -> None:
    """Find what would fail half-way: quotas, roles, zones, types, images, names, networks.

    Nothing is changed. It ends with exit code 1 if something is wrong.

    \b
    Example:
      lsstpipe site check terraform/examples/minimal
    """
    from lsstpipe.cli.site_tables import findings_as_rows, print_findings
    from lsstpipe.site.checks import check

    findings = check(site.settings)
    if as_json:
        click.echo(json.dumps(findings_as_rows(findings), indent=1))
    else:
        print_findings(findings)
    if any(finding.level == "error" for finding in findings):
        raise SystemExit(1)


@command.command("cost")
@click.argument(
    "settings",
    envvar="LSSTPIPE_SITE",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@_code
@click.option(
    "--repo",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Repository of a campaign that has run: what it took is priced.",
)
@click.option(
    "--work",
    nargs=2,
    type=FiniteRange(0, min_open=True),
    metavar="CORE_HOURS GB",
    help="What the campaign takes, and the size of what it keeps.",
)
@click.option(
    "--prices",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A table of prices; that of lsstpipe without it.",
)
@_json
def cost(
    settings: tuple[Path, ...],
    code: Path,
    repo: Path | None,
    work: tuple[float, float] | None,
    prices: Path | None,
    as_json: bool,
) -> None:
    """Tell what sites cost: idle, at full size, for a campaign. It asks nobody.

    The campaign is one tract of Hyper Suprime-Cam unless its work or a repository are given.

    \b
    Example:
      lsstpipe site cost terraform/examples/*
      lsstpipe site cost terraform/examples/dev --repo runs/demo
      lsstpipe site cost terraform/examples/dev --work 5000 12000
    """
    import datetime

    from lsstpipe.cli.site_tables import bills_as_rows, print_bills
    from lsstpipe.cluster.prices import read_prices
    from lsstpipe.site.bill import price_site

    taken = _measure(repo, work)
    bills, tables = {}, {}
    for folder in settings:
        own = _open(folder, code).settings
        tables[own.data.region] = read_prices(own.data.region, prices)
        bills[folder.resolve().name] = price_site(own, tables[own.data.region], taken)
    if as_json:
        click.echo(json.dumps(bills_as_rows(bills), indent=1))
    else:
        print_bills(bills, taken, list(tables.values()))
    for table in tables.values():
        if warning := table.warn(datetime.datetime.now(datetime.UTC).date()):
            click.echo(warning, err=True)


def _measure(repo: Path | None, work: tuple[float, float] | None) -> Work:
    """Say what the campaign takes: as given, else as the one in a repository took, else a tract."""
    from dataclasses import replace

    from lsstpipe.plan.layout import plan_folder
    from lsstpipe.plan.read import open_plan
    from lsstpipe.site.bill import TRACT
    from lsstpipe.site.past_work import measure_work

    taken = TRACT if repo is None else measure_work(open_plan(plan_folder(repo)))
    return taken if work is None else replace(taken, core_hours=work[0], product_gb=work[1])


def _asker(done: Callable[[RootPlan], object], yes: bool) -> Ask:
    """Make what shows a plan and asks; what is agreed to is written down."""
    from lsstpipe.cli.site_tables import print_plan

    def ask(plan: RootPlan) -> bool:
        print_plan(plan, err=True)
        agreed = yes or click.confirm(f"Apply this to {plan.root}?", err=True)
        if agreed:
            done(plan)
        return agreed

    return ask


def _write_site(told: dict[str, Any], out: Path) -> None:
    from lsstpipe.site.site_file import write_site

    write_site(told["site"], out)


def _require_no_errors(site: Site) -> None:
    from lsstpipe.cli.site_tables import print_findings
    from lsstpipe.errors import UserError
    from lsstpipe.site.checks import check

    findings = [finding for finding in check(site.settings) if finding.level != "ok"]
    print_findings(findings, err=True)
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        raise UserError(
            f"Nothing was done: {len(errors)} of what was checked would fail, as is said above; "
            "--no-check goes on nevertheless."
        )
