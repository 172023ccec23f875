"""Programs beside the package: measurements, and what made the shipped pictures."""
