"""`compare --format html`: the whole comparison as one page that opens from disk. No torch."""
