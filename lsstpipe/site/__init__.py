"""A site on AWS: its settings, what would go wrong, what it costs, and Terraform that makes it.

Pure: `bill`. Edges: `terraform` (python-terraform), `checks` (boto3). Terraform reads the settings
itself (`settings`), so defaults and validations have one place: the roots in ``terraform/``.
"""
