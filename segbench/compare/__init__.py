"""`compare`: reads run folders as plain text, groups seeds, and says whether a difference is real. No torch."""
