"""A second verifier of Waypost's ledgers, receipts, rosters and evidence.

Written from the pages in spec/ with the standard library of Python 3.11 only.
It shares no code with the program that it checks, so that a mistake in one of
them shows. It signs nothing and keeps no secret, so that nothing here needs to
run in constant time.
"""
