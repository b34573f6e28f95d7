# A site whose machines are processes of this host, so that their network is its own.
name   = "trial"
region = "us-east-1"
network = {
  cidr  = "127.0.0.0/16"
  zones = ["us-east-1a", "us-east-1b"]
  nat   = "one"
}
registry = {
  instance_class = "db.t4g.micro"
  storage_gib    = { first = 20, most = 50 }
  backup_days    = 7
}
