"""From a campaign to quanta, chunks and the plan file."""
