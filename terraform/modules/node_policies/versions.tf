# No provider: what this module makes is text, so it is tested without AWS.
terraform {
  # Validations that look at other variables came with 1.9.
  required_version = ">= 1.9"
}
