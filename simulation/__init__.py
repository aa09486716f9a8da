"""taskmill under a seeded scheduler, with everything going wrong between any two calls of the store."""
