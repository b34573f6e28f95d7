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
    params:
        digest=digest("visit_summary"),
    resources:
        mem_mb=memory("visit_summary"),
        runtime=minutes("visit_summary"),
    shell:
        "lsstpipe run visit_summary --plan {PLAN} --chunk {wildcards.chunk} --manifest {output} > {log} 2>&1"
