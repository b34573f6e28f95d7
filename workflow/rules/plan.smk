# Work out all quanta and chunks: the one checkpoint of the workflow.
checkpoint plan:
    input:
        ingested=rules.ingest.output,
        # Another version of lsstpipe may have other defaults; this file has them all.
        schema=str(Path(workflow.basedir) / "config" / "schema.json"),
    output:
        chunks=CHUNKS,
        plan=f"{PLAN}/plan.json",
    log:
        str(layout.log_path(REPO, "plan", "all")),
    conda:
        "../../envs/lsstpipe.yaml"
    params:
        campaign=CAMPAIGN,
    shell:
        "lsstpipe plan - <<< {params.campaign:q} 2>&1 | tee {log}"
