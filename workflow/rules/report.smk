# Measure the quality of the campaign and draw its page.
rule report:
    input:
        manifests("report"),


rule report_chunk:
    input:
        upstream("report"),
    output:
        manifest("report"),
    log:
        log_file("report"),
    conda:
        "../../envs/lsstpipe.yaml"
    params:
        digest=digest("report"),
    resources:
        mem_mb=memory("report"),
        runtime=minutes("report"),
    shell:
        "lsstpipe run report --plan {PLAN} --chunk {wildcards.chunk} --manifest {output} > {log} 2>&1"
