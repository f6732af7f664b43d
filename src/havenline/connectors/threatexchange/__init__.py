"""Meta's ThreatExchange: the hashes that a privacy group shares."""
