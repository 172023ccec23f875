"""Many runs of one command: which jobs there are, where each is, who runs them, what came of them."""
