# In a network that is there already: private subnets, with a gateway endpoint for S3, DNS, and a way to AWS.
name   = "survey"
region = "us-east-1"
existing_network = {
  vpc_id = "vpc-0123456789abcdef0"
  subnets = {
    us-east-1a = "subnet-0123456789abcdef0"
    us-east-1b = "subnet-0123456789abcdef1"
  }
}
