# Make the calibrations of each detector: bias, dark, defects, flat.
rule calibs:
    input:
        manifests("calibs"),


rule calibs_chunk:
    input:
        upstream("calibs"),
    output:
        manifest("calibs"),
    log:
        log_file("calibs"),
    conda:
        "../../envs/lsstpipe.yaml"
    resources:
        mem_mb=memory("calibs"),
        runtime=minutes("calibs"),
        constraint=market("calibs"),
    params:
        plan=PLAN,
        digest=digest("calibs"),
    shell:
        "lsstpipe run calibs --plan {params.plan:q} --chunk {wildcards.chunk:q} --manifest {output:q} > {log:q} 2>&1"
