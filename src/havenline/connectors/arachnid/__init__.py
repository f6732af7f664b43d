"""Arachnid Shield of the Canadian Centre for Child Protection, asked by PDQ alone."""
