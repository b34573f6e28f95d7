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
    resources:
        mem_mb=memory("visit"),
        runtime=minutes("visit"),
        constraint=market("visit"),
    params:
        plan=PLAN,
        digest=digest("visit"),
    shell:
        "lsstpipe run visit --plan {params.plan:q} --chunk {wildcards.chunk:q} --manifest {output:q} > {log:q} 2>&1"
