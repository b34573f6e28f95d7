# Gather the catalogues of a tract into tables.
rule tables:
    input:
        manifests("tables"),


rule tables_chunk:
    input:
        upstream("tables"),
    output:
        manifest("tables"),
    log:
        log_file("tables"),
    conda:
        "../../envs/lsstpipe.yaml"
    params:
        digest=digest("tables"),
    resources:
        mem_mb=memory("tables"),
        runtime=minutes("tables"),
    shell:
        "lsstpipe run tables --plan {PLAN} --chunk {wildcards.chunk} --manifest {output} > {log} 2>&1"
