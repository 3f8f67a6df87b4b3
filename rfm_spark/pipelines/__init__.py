"""Pipelines: one module a job, and what jobs are made of.

Jobs: `ingest`, `segment`, `backfill`, `predict`, `target`, `measure`, `identity`, `maintain`; `run` is the first two.
Of an ingest: `ledger` and `watermarks` (what is read), `settlement`, `quarantine`, `conservation`, `unification` (who
is whom), `ingest_writes`. Of a snapshot: `customer_metrics`, `evolution`, `causes`, `drift`, `restatement`. Of
campaigns: `candidates` (who may be contacted), `assignments`, `plans`, `exports`. Of all: `run_record` (a run, and its
row), `published` (what complete runs left), `counts` (what later runs look up), `kept_frames`.
"""
