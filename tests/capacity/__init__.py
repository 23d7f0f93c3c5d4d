"""How many callers one worker holds, and what each of them takes."""
