# Remove the camera's signature and calibrate each visit by itself.
rule visit:
    input:
        manifests("visit"),


rule visit_chunk:
    input:
        upstream("visit"),
    output:
        manifest("visit"),
    log:
        log_file("visit"),
    conda:
        "../../envs/lsstpipe.yaml"
    params:
        digest=digest("visit"),
    resources:
        mem_mb=memory("visit"),
        runtime=minutes("visit"),
    shell:
        "lsstpipe run visit --plan {PLAN} --chunk {wildcards.chunk} --manifest {output} > {log} 2>&1"
