"""spark-submit jobs/predict.py CONFIG [options]: the same as `rfm-spark predict`."""

import sys

from rfm_spark.cli import main

main(["predict", *sys.argv[1:]])
