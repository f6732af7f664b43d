"""Bytes to vocabulary and back, for every specified format; `docs/formats/` holds the specifications."""
