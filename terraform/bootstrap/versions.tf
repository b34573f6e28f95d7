terraform {
  required_version = ">= 1.10" # the state is locked in its bucket since 1.10

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}
