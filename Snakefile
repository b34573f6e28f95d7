# The workflow of a campaign. `snakemake --cores 2 --configfile config/campaigns/demo.yaml` runs all
# of it, `snakemake --cores 2 visit` all up to the stage visit. Without a configfile it is the demo.
#
# One name per thing: the stage `visit` has the rule file visit.smk, the target `visit`, which asks for
# the manifests of all of its chunks, and the rule `visit_chunk`, which makes one of them.
from snakemake.utils import min_version

min_version("9.0")

if not config:

    configfile: "config/campaigns/demo.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/chunks.smk"
include: "workflow/rules/ingest.smk"
include: "workflow/rules/plan.smk"
include: "workflow/rules/calibs.smk"
include: "workflow/rules/visit.smk"
include: "workflow/rules/visit_summary.smk"
include: "workflow/rules/coadd.smk"
include: "workflow/rules/object.smk"
include: "workflow/rules/forced.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/pilots.smk"
include: "workflow/rules/collect.smk"
include: "workflow/rules/publish.smk"


# They use the registry or take a second: the head node runs them.
localrules:
    all,
    ingest,
    plan,
    collect,
    publish,
    report_page,


rule all:
    default_target: True
    input:
        rules.collect.output,
        rules.report_page.output,
        rules.publish.output if config.get("publish") else [],


onstart:
    remember_failed()
    # Who started a pilot has done so.
    if not IN_PILOT:
        take_lock()
        take_queue()
        look_often()
        begin()
