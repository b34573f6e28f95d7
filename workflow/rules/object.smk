# Detect, deblend and measure objects on the coadds.
rule object:
    input:
        manifests("object"),


rule object_chunk:
    input:
        upstream("object"),
    output:
        manifest("object"),
    log:
        log_file("object"),
    conda:
        "../../envs/lsstpipe.yaml"
    resources:
        mem_mb=memory("object"),
        runtime=minutes("object"),
        constraint=market("object"),
    params:
        plan=PLAN,
        digest=digest("object"),
    shell:
        "lsstpipe run object --plan {params.plan:q} --chunk {wildcards.chunk:q} --manifest {output:q} > {log:q} 2>&1"
