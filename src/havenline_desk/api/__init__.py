"""What programs ask over HTTP: the match service, and Hasher-Matcher-Actioner's interface. No person signs in here."""
