# Whatever has tags has these, too.
provider "aws" {
  region = var.region

  default_tags {
    tags = merge(var.tags, { ManagedBy = "terraform/data", "lsstpipe:data" = var.name })
  }
}
