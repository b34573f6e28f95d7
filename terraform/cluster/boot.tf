# What machines do when they start: some names, then a script. All programs are in the image.
locals {
  names = {
    CLUSTER       = var.name
    AWS_REGION    = local.region
    CONFIG_BUCKET = var.data.buckets["config"].name
    MOUNTS        = join(";", [for mount in values(local.mounts) : "${mount.source} ${mount.target} ${mount.type} ${mount.options}"])
  }
  exports = join("\n", concat(["#!/bin/sh"], [for name in sort(keys(local.names)) : "export ${name}='${local.names[name]}'"]))
  mount   = file("${path.module}/../boot/mount")

  node_script = join("\n", [local.exports, "export HEAD='${module.head_node.address}'", local.mount, file("${path.module}/../boot/node")])
  # The module puts in the id of the disk in place of the word.
  head_script = join("\n", [local.exports, "export STATE_DISK='STATE_VOLUME'", "export BUDGET_QUEUE='${module.budget.queue_url}'", local.mount, file("${path.module}/../boot/head")])
}
