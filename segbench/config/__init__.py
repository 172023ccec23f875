"""Composing, checking and instantiating a configuration: the one place that turns `_target_` into objects."""
