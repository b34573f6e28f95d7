# Whatever has tags has these, too.
provider "aws" {
  region = var.data.region

  default_tags {
    tags = merge(var.tags, { ManagedBy = "terraform/cluster", "lsstpipe:cluster" = var.name })
  }
}
