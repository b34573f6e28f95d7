# Work out all quanta and chunks: the one checkpoint of the workflow.
checkpoint plan:
    input:
        ingested=rules.ingest.output,
        # Another version of lsstpipe may have other defaults; this file has them all.
        schema=str(Path(workflow.basedir) / "config" / "schema.json"),
    output:
        # Snakemake removes the outputs of a job before it runs, so only this mark is one: where a
        # plan is refused, of a run that is frozen, the files of the one that is there stay. Were
        # they flagged as `update`, Snakemake would take the refused plan for made ever after.
        str(layout.planned_path(PLAN)),
    log:
        str(layout.log_path(REPO, "plan", "all")),
    conda:
        "../../envs/lsstpipe.yaml"
    params:
        campaign=CAMPAIGN,
    shell:
        "lsstpipe plan - <<< {params.campaign:q} 2>&1 | tee {log:q}"
