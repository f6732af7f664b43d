"""What a process of its own does for people who asked for it on a page."""
