"""Untrusted bytes to safe pixels, or a named refusal. Names and size fields are never trusted."""
