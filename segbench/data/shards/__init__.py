"""Training from the shards of an export, on this machine or in object storage, in any number."""
