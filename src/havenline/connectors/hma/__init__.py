"""A bank of a Hasher-Matcher-Actioner."""
