"""One measurement of one subject: ``python -m bench.child MEASUREMENT SUBJECT FOLDER SCALE`` prints its numbers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bench.plan import MEASUREMENTS
from bench.site import Site


def main() -> None:
    name, subject, folder, scale = sys.argv[1:]
    measurement = next(each for each in MEASUREMENTS if each.name == name)
    print(json.dumps(measurement.measure(Site(subject=subject, folder=Path(folder), scale=float(scale)))))


if __name__ == "__main__":
    main()
