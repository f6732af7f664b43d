"""This house as a publisher of signed lists: one repository in one folder, in the form of The Update Framework."""
