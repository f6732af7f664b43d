"""The staff pages: each view parses, calls one action or query, and answers. No rule lives here."""
