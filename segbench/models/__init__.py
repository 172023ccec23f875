"""Networks: each maps an image tensor to a dict of predictions at the input's height and width."""
