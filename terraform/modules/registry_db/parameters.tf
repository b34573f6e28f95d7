# Settings that differ from those of RDS, each with its reason. Static ones come with the next restart.
locals {
  parameters = {
    # A transaction that was left open keeps locks and old rows: a collector that died must not stop the others.
    idle_in_transaction_session_timeout = { value = "300000", is_static = false }
    # Whoever waits for a lock for a second is named in the log, and who connects, and what is slow.
    log_lock_waits             = { value = "1", is_static = false }
    log_connections            = { value = "1", is_static = false }
    log_disconnections         = { value = "1", is_static = false }
    log_min_duration_statement = { value = "1000", is_static = false }
    # On solid-state disks a page anywhere costs about what the next one does: indexes are used.
    random_page_cost = { value = "1.1", is_static = false }
    # Which queries cost most.
    shared_preload_libraries = { value = "pg_stat_statements", is_static = true }
  }
}
