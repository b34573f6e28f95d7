# Read the headers of the raws and register them.
rule ingest:
    input:
        raws=[path for pattern in config["raws"] for path in sorted(glob.glob(pattern))],
        reference=config["reference_catalog"]["path"],
    output:
        str(layout.ingest_manifest_path(REPO)),
    log:
        str(layout.log_path(REPO, "ingest", "all")),
    conda:
        "../../envs/lsstpipe.yaml"
    params:
        campaign=INGEST_CAMPAIGN,
    shell:
        "lsstpipe ingest - <<< {params.campaign:q} 2>&1 | tee {log:q}"
