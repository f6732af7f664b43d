"""Wiring: settings, the data folder, the embedded PostgreSQL. The only layer that reads the environment."""
