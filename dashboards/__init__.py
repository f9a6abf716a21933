"""Pages and API: the live board, one pack's history, alerts to acknowledge, and what ingest refused."""
