# Names of metrics, and the events of lsstpipe cluster that they come from (lsstpipe/cluster/events.py).
locals {
  counted = {
    BreakersOpened  = "breaker-open"
    FallsBack       = "fell-back"
    LaunchesFailed  = "launch-failed"
    LaunchesRefused = "launch-refused"
    OrphansEnded    = "orphan-ended"
    QuotasMet       = "quota-met"
    ReaperSilent    = "reaper-silent"
    Reconciled      = "reconciled"
    SpotNotices     = "spot-notice"
  }

  measured = {
    BootSeconds = { event = "node-ready", field = "seconds", unit = "Seconds" }
    HourlyUsd   = { event = "reconciled", field = "hourly_usd", unit = "None" }
    Instances   = { event = "reconciled", field = "instances", unit = "Count" }
  }

  alarms = {
    breaker-open = {
      sentence = "A pool launches nothing more because its nodes did not start, or AWS refused for good. Look at the events, then run lsstpipe cluster close-breaker."
      metric   = "BreakersOpened", statistic = "Sum", comparison = "GreaterThanThreshold", threshold = 0
      period_s = 300, missing = "notBreaching"
    }
    quota-met = {
      sentence = "AWS refused nodes because a quota of the account is reached; their pool rests. Ask for a higher quota (Service Quotas), or lower max_nodes."
      metric   = "QuotasMet", statistic = "Sum", comparison = "GreaterThanThreshold", threshold = 0
      period_s = 300, missing = "notBreaching"
    }
    reaper-silent = {
      sentence = "Nothing looks after the nodes: for ten minutes lsstpipe cluster reconcile has not run, or its events have not come here (lsstpipe-logs on the head node). Nodes may cost money and do no work."
      metric   = "Reconciled", statistic = "Sum", comparison = "LessThanThreshold", threshold = 1
      period_s = 600, missing = "breaching"
    }
    dear = {
      sentence = "The nodes cost more than nine tenths of what they may cost an hour; launches will be refused."
      metric   = "HourlyUsd", statistic = "Maximum", comparison = "GreaterThanThreshold", threshold = 0.9 * var.max_hourly_usd
      period_s = 300, missing = "notBreaching"
    }
    slow-boot = {
      sentence = "Nodes take more than five minutes to join; a new image may do more than mount, name and start."
      metric   = "BootSeconds", statistic = "Average", comparison = "GreaterThanThreshold", threshold = 300
      period_s = 3600, missing = "notBreaching"
    }
  }
}
