"""Readers of other trackers' formats, one file a format; see `formats.FORMATS`."""
