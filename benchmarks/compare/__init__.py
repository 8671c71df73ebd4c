"""The vendor's monitor client, ours and the service, in the same trouble at the same time.

Lives here: the programs that are compared, the troubles, the counting, the table that
`docs/comparison.md` shows. Does not: how fast anything is; see the benchmarks beside it.
"""
