"""Every reading of the desk, one file a screen. Queries return plain frozen values, never rows with lazy loads."""
