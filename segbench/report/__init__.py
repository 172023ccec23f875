"""Pictures and tables made of run folders. No torch here."""
