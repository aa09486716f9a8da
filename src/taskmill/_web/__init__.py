"""The dashboard: pages over a store, made on the server; what acts is what the command line does too."""
