"""Identity: which ids are one person.

`normalise` makes values comparable, `links` says which ids stand together, `components` joins them, `people` does so
type by type within the limits, `keys` gives each person a key that stays, and `suspects` tells what to look into.
"""
