"""spark-submit jobs/maintain.py CONFIG [options]: the same as `rfm-spark maintain`."""

import sys

from rfm_spark.cli import main

main(["maintain", *sys.argv[1:]])
