"""Writing any data set to disk: folders of pictures or WebDataset shards, with a Parquet manifest."""
