-- now: the store's clock.
-- needs: row
-- flags: no-writes

return string.format('%d', NOW)
