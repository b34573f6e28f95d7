# No provider: AWS is asked by its command line when the cluster is destroyed.
terraform {
  # Validations that look at other variables came with 1.9.
  required_version = ">= 1.9"
}
