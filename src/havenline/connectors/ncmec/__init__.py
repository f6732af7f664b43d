"""NCMEC's hash sharing, version 2: read entries, send feedback. README.md says what was read and what was not tried."""
