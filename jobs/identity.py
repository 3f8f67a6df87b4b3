"""spark-submit jobs/identity.py CONFIG [options]: the same as `rfm-spark identity`."""

import sys

from rfm_spark.cli import main

main(["identity", *sys.argv[1:]])
