# Everything: three zones without a way to the internet, a database that stands by in another zone.
name   = "survey"
region = "us-east-1"
tags   = { CostCenter = "42", Environment = "production" }
network = {
  cidr           = "10.20.0.0/16"
  zones          = ["us-east-1a", "us-east-1b", "us-east-1d"]
  reserved_cidrs = ["10.0.0.0/12", "172.16.0.0/12"]
}
registry = {
  instance_class = "db.m7g.large"
  storage_gib    = { first = 200, most = 2000 }
  multi_az       = true
  backup_days    = 35
}
raw_days           = { infrequent = 90, archive = 365 }
log_retention_days = 731
# In place of lustre in cluster.tfvars, a file system that outlives clusters:
# persistent_lustre = { storage_gib = 12000, throughput_mbps_per_tib = 125, release_days = 30 }
