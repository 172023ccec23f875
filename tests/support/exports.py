"""An export of a data set that a test describes as plain data."""

from segbench.commands import data_export
from segbench.config.schema import Part


def export_data(config, out, **options):
    """Export what `data` of a plain configuration describes; return the sentence about it."""
    part = Part.of(config["data"], "data")
    return data_export.export_data(part, out, plugins=tuple(config["plugins"]), **options)
