"""The processes behind `tollbridge serve`, as real processes: launchers and supervisor."""
