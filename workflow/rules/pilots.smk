# Jobs that run many small chunks, in the stages that submission.pilot_stages of the campaign names.
#
# Within the job a Snakemake of its own runs the rule of the chunks, just as they run without pilots:
# a pilot that is lost goes on where it was, and no chunk knows who runs it.
names = [rule.name for rule in workflow.rules if rule.name.endswith("_chunk")]

for stage in [name.removesuffix("_chunk") for name in names]:

    rule:
        name:
            f"{stage}_pilot"
        input:
            upstream(stage, planned_pilot),
        output:
            touch(layout.pilot_path(REPO, stage, "{chunk}")),
        log:
            str(layout.log_path(REPO, stage, "pilot-{chunk}")),
        conda:
            "../../envs/lsstpipe.yaml"
        threads: pilot_cores
        resources:
            mem_mb=memory(stage, planned_pilot),
            runtime=minutes(stage, planned_pilot),
            constraint=market(stage, planned_pilot),
        params:
            digest=digest(stage, planned_pilot),
            rule=f"{stage}_chunk",
            snakefile=workflow.main_snakefile,
            campaign=SETTINGS,
            manifests=pilot_manifests(stage),
        shell:
            "LSSTPIPE_PILOT=1 snakemake --snakefile {params.snakefile:q}"
            " --configfile {params.campaign:q} --allowed-rules {params.rule:q} --cores {threads}"
            " --workflow-profile none --nolock --scheduler greedy --rerun-incomplete --keep-going"
            " --rerun-triggers mtime params input code -- {params.manifests:q} > {log:q} 2>&1"
