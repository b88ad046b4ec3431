"""`jupyterd doctor`: one screen of verdicts about machine, account and server; one file for each subject."""
