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
    resources:
        mem_mb=memory("tables"),
        runtime=minutes("tables"),
        constraint=market("tables"),
    params:
        plan=PLAN,
        digest=digest("tables"),
    shell:
        "lsstpipe run tables --plan {params.plan:q} --chunk {wildcards.chunk:q} --manifest {output:q} > {log:q} 2>&1"
