"""Other keyword spotters beside this one, on the same speech. Not collected by pytest, and nothing here is shipped."""
