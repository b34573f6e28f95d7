# The cheapest that works: a small database, one NAT gateway instead of ten endpoints.
name   = "trial"
region = "us-east-1"
network = {
  cidr  = "10.20.0.0/20"
  zones = ["us-east-1a", "us-east-1b"]
  nat   = "one"
}
registry = {
  instance_class = "db.t4g.micro"
  storage_gib    = { first = 20, most = 50 }
  backup_days    = 7
}
