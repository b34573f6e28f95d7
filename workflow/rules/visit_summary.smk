# Calibrate all visits of a tract together.
rule visit_summary:
    input:
        manifests("visit_summary"),


rule visit_summary_chunk:
    input:
        upstream("visit_summary"),
    output:
        manifest("visit_summary"),
    log:
        log_file("visit_summary"),
    conda:
        "../../envs/lsstpipe.yaml"
    resources:
        mem_mb=memory("visit_summary"),
        runtime=minutes("visit_summary"),
        constraint=market("visit_summary"),
    params:
        plan=PLAN,
        digest=digest("visit_summary"),
    shell:
        "lsstpipe run visit_summary --plan {params.plan:q} --chunk {wildcards.chunk:q} --manifest {output:q} > {log:q} 2>&1"
