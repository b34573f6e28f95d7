# What AWS would refuse only when the first job waits: asked at plan.

# tflint-ignore: terraform_unused_declarations
data "aws_ec2_instance_type_offerings" "pool" {
  for_each = var.pools

  location_type = "availability-zone"

  filter {
    name   = "instance-type"
    values = each.value.instance_types
  }

  lifecycle {
    postcondition {
      # A fleet passes over zones that lack a type; a zone that is named must have one, and all zones together.
      condition = (
        length(each.value.zones) > 0 ? length(setsubtract(each.value.zones, self.locations)) == 0 :
        length(setintersection(keys(var.data.network.subnets), self.locations)) > 0
      )
      error_message = "The zones of pool ${each.key} have none of its instance types: AWS offers those in ${join(", ", sort(distinct(self.locations)))}."
    }
  }
}

# A pool that is on the Spot market alone starts nothing where the account has no quota there.
# tflint-ignore: terraform_unused_declarations
data "aws_servicequotas_service_quota" "spot" {
  for_each = { for name, pool in var.pools : name => pool if pool.capacity == "spot" && pool.fallback == "none" }

  # "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", counted in vCPUs.
  service_code = "ec2"
  quota_code   = "L-34B43A08"

  lifecycle {
    postcondition {
      condition     = self.value >= each.value.cpus
      error_message = "Pool ${each.key} is on the Spot market alone, and the account may have ${self.value} vCPUs there, not one node: ask AWS for more, or let it fall back on demand."
    }
  }
}
