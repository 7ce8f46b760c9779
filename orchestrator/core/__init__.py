"""The pure core: events in, commands out. No clock, task, socket or I/O is imported here."""
