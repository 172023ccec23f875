"""The words every room shares: errors, class lists and heads, the counter-based random numbers. No torch here."""
