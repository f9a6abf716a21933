"""The registry's schema, step by step (Alembic).

A step is written by hand, in plain SQLAlchemy types, so that it stays as it was when the records move on; a test
compares the records with what the steps make. A released step is never edited. Steps go up only: the way back from an
upgrade is the backup made before it.
"""
