"""Facts of the machine and of Linux; standard library only, everybody may import it."""
