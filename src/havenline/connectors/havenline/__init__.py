"""Another installation of Havenline as a publisher: signed lists from its server, a folder, or a USB stick."""
