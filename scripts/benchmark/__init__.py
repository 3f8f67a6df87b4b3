"""The benchmark: one job on seeded events, done by rfm_spark and by what users would do instead, results checked."""
