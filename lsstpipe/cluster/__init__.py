"""Nodes that come and go: Slurm asks for them, EC2 has them, this decides.

Pure: `hostlist`, `errors`, `prices`, `guard`, `fleet`, `assign`, `decide`. Thin edges: `slurm` (its
command line), `ec2` (boto3). Entry points: `resume` and `suspend`, which Slurm calls, `reconcile`,
which a timer calls, and `node_agent`, which runs on each node.
"""
