"""A trained run at work: loaded from its folder alone, evaluated again, or asked for predictions."""
