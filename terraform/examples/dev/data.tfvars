# For those who develop: small, in a network of its own, gone at the end of the week but for its data.
name   = "dev"
region = "us-east-1"
tags   = { Environment = "development" }
network = {
  cidr  = "10.30.0.0/20"
  zones = ["us-east-1a", "us-east-1b"]
  nat   = "one"
}
registry = {
  instance_class = "db.t4g.small"
  storage_gib    = { first = 20, most = 200 }
  backup_days    = 7
}
