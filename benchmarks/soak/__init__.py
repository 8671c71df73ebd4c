"""The service under load for a long time, in every trouble at once, and held to its account.

Lives here: the clusters that are written, where events arrive, the troubles, what is looked at
once a second, the verdict. Does not: how fast anything is; see the benchmarks beside it.
"""
