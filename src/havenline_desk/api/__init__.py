"""What programs ask over HTTP, each in a process of its own: no page, no session, no cookie; no person signs in."""
