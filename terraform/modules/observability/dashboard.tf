locals {
  charts = [
    { title = "Nodes", metrics = ["Instances"], statistic = "Maximum" },
    { title = "US dollars an hour", metrics = ["HourlyUsd"], statistic = "Maximum" },
    { title = "Launches that failed, were refused, fell back", metrics = ["LaunchesFailed", "LaunchesRefused", "FallsBack"], statistic = "Sum" },
    { title = "Nodes taken back by the Spot market", metrics = ["SpotNotices"], statistic = "Sum" },
    { title = "Seconds until a node has joined", metrics = ["BootSeconds"], statistic = "Average" },
    { title = "Breakers opened, orphans ended", metrics = ["BreakersOpened", "OrphansEnded"], statistic = "Sum" },
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [for i, chart in local.charts : {
      type   = "metric"
      x      = 12 * (i % 2)
      y      = 6 * floor(i / 2)
      width  = 12
      height = 6
      properties = {
        title   = chart.title
        region  = data.aws_region.current.region
        stat    = chart.statistic
        period  = 300
        view    = "timeSeries"
        metrics = [for name in chart.metrics : [local.namespace, name]]
      }
    }]
  })
}
