-- now: the store's clock.
-- needs: clock
-- flags: no-writes

return string.format('%d', NOW)
