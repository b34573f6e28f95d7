"""What the user asks for: the campaign, its settings, its errors in one sentence."""

from lsstpipe.config.campaign import Campaign, StageConfig, campaign_model
from lsstpipe.config.load import load_campaign, parse_campaign

__all__ = ["Campaign", "StageConfig", "campaign_model", "load_campaign", "parse_campaign"]
