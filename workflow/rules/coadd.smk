# Resample the visits to each patch and average them without their artefacts.
rule coadd:
    input:
        manifests("coadd"),


rule coadd_chunk:
    input:
        upstream("coadd"),
    output:
        manifest("coadd"),
    log:
        log_file("coadd"),
    conda:
        "../../envs/lsstpipe.yaml"
    resources:
        mem_mb=memory("coadd"),
        runtime=minutes("coadd"),
        constraint=market("coadd"),
    params:
        plan=PLAN,
        digest=digest("coadd"),
    shell:
        "lsstpipe run coadd --plan {params.plan:q} --chunk {wildcards.chunk:q} --manifest {output:q} > {log:q} 2>&1"
