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
    resources:
        mem_mb=memory("report"),
        runtime=minutes("report"),
        constraint=market("report"),
    params:
        plan=PLAN,
        digest=digest("report"),
    shell:
        "lsstpipe run report --plan {params.plan:q} --chunk {wildcards.chunk:q} --manifest {output:q} > {log:q} 2>&1"


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
    params:
        repo=subpath(output.page, parent=True),
    shell:
        "lsstpipe report {params.repo:q} > {log:q} 2>&1"
