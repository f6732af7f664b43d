"""The small processes that hold what must not leak: so far `matchd`, which holds hash lists and answers lookups."""
