"""Pure functions between a person's text and a model's: prompt, acceptance, tags."""
