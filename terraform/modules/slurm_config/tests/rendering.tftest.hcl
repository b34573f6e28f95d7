# What is rendered says what was asked for.
variables {
  name   = "survey"
  region = "us-east-1"
  tags   = { CostCenter = "42" }
  network = {
    vpc_id  = "vpc-0a"
    subnets = { us-east-1b = "subnet-0b", us-east-1a = "subnet-0a" }
  }
  launch_templates = {
    small = { id = "lt-01", version = "3" }
    large = { id = "lt-02", version = "1" }
  }
  max_hourly_usd = 50
  head           = { hostname = "head", address = "10.20.0.5", auth = "munge" }
  pools = {
    small = { instance_types = ["m7a.xlarge", "m7i.xlarge"], cpus = 4, memory_mb = 15000, max_nodes = 10, min_nodes = 1, max_hourly_usd = 10 }
    large = { instance_types = ["r7a.4xlarge"], cpus = 16, memory_mb = 125000, max_nodes = 4, max_hourly_usd = 9.5, capacity = "on-demand", fallback = "none", zones = ["us-east-1b"] }
  }
}

run "renders" {
  command = plan

  assert {
    condition     = [for pool in jsondecode(output.pools_json).pools : pool.name] == ["large", "small"]
    error_message = "Pools come in the order of their names."
  }
  assert {
    condition     = jsondecode(output.pools_json).pools[1].subnet_ids == ["subnet-0a", "subnet-0b"]
    error_message = "A pool without zones is in all of them, in order."
  }
  assert {
    condition     = jsondecode(output.pools_json).pools[0].subnet_ids == ["subnet-0b"]
    error_message = "A pool is in the zones that it names."
  }
  assert {
    condition     = jsondecode(output.pools_json).pools[1].capacity == "spot" && jsondecode(output.pools_json).pools[1].fallback == "on-demand"
    error_message = "Nodes are bought on the Spot market, and on demand where that has none."
  }
  assert {
    condition     = jsondecode(output.pools_json).pools[1].launch_template_version == "3"
    error_message = "A pool has the version of its own launch template."
  }
  assert {
    condition     = jsondecode(output.pools_json).subnets["subnet-0b"] == { vpc_id = "vpc-0a", zone = "us-east-1b" }
    error_message = "Each subnet says in which network and zone it is."
  }
  assert {
    condition     = jsondecode(output.pools_json).tags == { CostCenter = "42" }
    error_message = "The tags reach the nodes."
  }
  assert {
    condition     = strcontains(output.slurm_conf, "\nDefMemPerCPU=3750\n")
    error_message = "The default memory of a CPU fits on every pool: 15000 MB on 4 CPUs."
  }
  assert {
    condition     = strcontains(output.slurm_conf, "\nSlurmctldHost=head(10.20.0.5)\n") && strcontains(output.slurm_conf, "\nAuthType=auth/munge\n") && strcontains(output.slurm_conf, "\nCredType=cred/munge\n")
    error_message = "slurm.conf names the head node and how daemons know each other."
  }
  assert {
    condition     = strcontains(output.slurm_conf, "\nSelectTypeParameters=CR_CPU_Memory\n") && strcontains(output.cgroup_conf, "\nConstrainRAMSpace=yes\n")
    error_message = "Memory is given out and held to."
  }
  assert {
    condition     = output.max_nodes == 14
    error_message = "Nodes of all pools are counted."
  }
}

run "keeps_the_text_where_only_the_order_of_the_settings_changed" {
  command = plan
  variables {
    network = {
      vpc_id  = "vpc-0a"
      subnets = { us-east-1a = "subnet-0a", us-east-1b = "subnet-0b" }
    }
  }

  assert {
    condition     = output.pools_json == run.renders.pools_json
    error_message = "One and the same cluster is rendered in one and the same way."
  }
}
