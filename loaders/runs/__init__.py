"""Several steps under one name: the night as cron calls it, and the demo."""
