"""The stores that a simulation runs over: how each is entered, and how the witness reads it."""
