"""Partners' lists: fetched in their own protocol, kept as they were sent, applied to live lists of their own.

One folder for each partner holds its client, its mapping, a simulator for tests, and a README. What they share is
here: `frame` says what a connector is, `store` keeps its state, `feeding` applies it to a live list, `one_host` is the
only module of the library that opens a connection.
"""
