"""What ``python3 dev.py bench`` and ``bench-peers`` measure, and how; docs/performance.md explains it."""
