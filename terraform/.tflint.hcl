# The rules of Terraform itself; those of AWS are a plug-in from elsewhere.
plugin "terraform" {
  enabled = true
  preset  = "all"
}
