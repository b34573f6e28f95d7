mock_provider "aws" {
  source          = "../mocks"
  override_during = plan
}

variables {
  name             = "survey"
  region           = "us-east-1"
  existing_network = { vpc_id = "vpc-0a", subnets = { us-east-1b = "subnet-0b", us-east-1a = "subnet-0a" } }
}

run "makes_no_file_system_unless_it_is_asked_for" {
  command = plan

  assert {
    condition     = length(module.lustre) == 0 && output.data.persistent_lustre == null
    error_message = "Data have no file system by themselves."
  }
}

run "tells_clusters_of_the_persistent_file_system" {
  command = plan
  variables {
    # The longest name that is taken.
    name              = "a-survey-of-26-letters-too"
    persistent_lustre = { storage_gib = 4800, throughput_mbps_per_tib = 250 }
  }
  override_resource {
    target          = module.lustre[0].aws_security_group.this
    override_during = plan
    values          = { id = "sg-0c" }
  }

  assert {
    condition     = output.data.persistent_lustre.mounts.lustre.target == "/lustre" && output.data.persistent_lustre.mounts.lustre.source == "fs-0a.fsx.us-east-1.amazonaws.com@tcp:/mock"
    error_message = "Clusters are told what to mount, and where."
  }
  assert {
    condition     = output.data.persistent_lustre.security_group_id == "sg-0c"
    error_message = "Clusters are told whom to ask for a way in."
  }
}
