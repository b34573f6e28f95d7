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
    params:
        digest=digest("coadd"),
    resources:
        mem_mb=memory("coadd"),
        runtime=minutes("coadd"),
    shell:
        "lsstpipe run coadd --plan {PLAN} --chunk {wildcards.chunk} --manifest {output} > {log} 2>&1"
