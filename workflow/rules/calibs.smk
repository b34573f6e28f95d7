# Make master dark, defects and super-sky flat of each detector.
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
    params:
        digest=digest("calibs"),
    resources:
        mem_mb=memory("calibs"),
        runtime=minutes("calibs"),
    shell:
        "lsstpipe run calibs --plan {PLAN} --chunk {wildcards.chunk} --manifest {output} > {log} 2>&1"
