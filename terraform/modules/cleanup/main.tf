# Nodes are launched by lsstpipe, not by Terraform. Left alone they would hold on to subnets and security groups, and cost money
# with no one to end them. So they are ended first when the cluster is destroyed.
resource "terraform_data" "nodes" {
  # When it is destroyed, a provisioner may read its own resource only, so that holds the script itself: it is at hand
  # wherever the cluster is destroyed from. `before` is there for the order.
  input = {
    name   = var.name
    region = var.region
    script = file("${path.module}/end_nodes")
    before = var.before
  }

  provisioner "local-exec" {
    when        = destroy
    interpreter = ["/bin/sh", "-c"]
    command     = self.output.script
    environment = {
      CLUSTER    = self.output.name
      AWS_REGION = self.output.region
    }
  }
}
