"""Who gets in: logins, guesses, and what a browser is told to be careful with."""
