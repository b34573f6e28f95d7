# Measure every object at its position on every visit.
rule forced:
    input:
        manifests("forced"),


rule forced_chunk:
    input:
        upstream("forced"),
    output:
        manifest("forced"),
    log:
        log_file("forced"),
    conda:
        "../../envs/lsstpipe.yaml"
    resources:
        mem_mb=memory("forced"),
        runtime=minutes("forced"),
        constraint=market("forced"),
    params:
        plan=PLAN,
        digest=digest("forced"),
    shell:
        "lsstpipe run forced --plan {params.plan:q} --chunk {wildcards.chunk:q} --manifest {output:q} > {log:q} 2>&1"
