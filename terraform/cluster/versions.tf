terraform {
  required_version = ">= 1.10" # the state is locked in its bucket since 1.10

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }

  # Where it is comes from backend.hcl, which bootstrap says: terraform init -backend-config=../backend.hcl
  backend "s3" {
    key          = "lsstpipe/cluster.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}
