# Measure the quality of the campaign and draw its page.
rule report:
    input:
        f"{REPO}/report.html",


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


rule report_page:
    input:
        all_manifests,
    output:
        page=report(
            f"{REPO}/report.html",
            caption="../report/page.rst",
            category="Campaign",
        ),
        lightcurve=f"{REPO}/lightcurve.csv",
    log:
        str(layout.log_path(REPO, "report", "page")),
    conda:
        "../../envs/lsstpipe.yaml"
    shell:
        "lsstpipe report {REPO} > {log} 2>&1"
