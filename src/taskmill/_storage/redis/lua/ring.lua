-- ring: let one process that rests know that there may be jobs to claim.
-- needs: clock say ring
-- flags: allow-oom

ring()
return 1
