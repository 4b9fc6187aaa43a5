"""PostgreSQL itself: who is connected, what takes room, what waits to be kept up. Nothing here knows Suiftly."""
