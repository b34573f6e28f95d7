# Load what the jobs did into the registry.
rule collect:
    input:
        all_manifests,
    output:
        touch(f"{REPO}/collected"),
    log:
        str(layout.log_path(REPO, "collect", "all")),
    conda:
        "../../envs/lsstpipe.yaml"
    params:
        plan=PLAN,
    shell:
        "lsstpipe collect --plan {params.plan:q} > {log:q} 2>&1"
