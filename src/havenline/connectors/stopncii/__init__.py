"""StopNCII: adults' intimate pictures shared without consent. Kept apart from lists of child abuse everywhere."""
