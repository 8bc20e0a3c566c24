"""Folders of models: loading, checking what somebody else wrote, writing, and the record of a compression."""
