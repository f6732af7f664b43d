"""What other programs ask of the desk: no page, no session, no cookie; each in a process of its own."""
