"""Several processes of one run, on one machine or many: how they meet, agree, end together, and are started here."""
