-- ring: let one process that rests know that there may be jobs to claim.
-- needs: row news
-- flags: allow-oom

ring()
return 1
