# Copy the products into a bucket, once the registry knows them all: see the setting `publish`.
rule publish:
    input:
        publishable,
    output:
        str(layout.publication_path(REPO)),
    log:
        str(layout.log_path(REPO, "publish", "all")),
    conda:
        "../../envs/lsstpipe.yaml"
    params:
        run=config.get("run", "main"),
        target=config.get("publish", ""),
        repo=subpath(output[0], parent=True),
    shell:
        "lsstpipe publish {params.run:q} {params.target:q} --repo {params.repo:q} --record {output:q} > {log:q} 2>&1"
