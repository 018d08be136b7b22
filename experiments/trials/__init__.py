"""Trials from claim to finish: lifecycle, series, findings, artifacts, tables and charts."""
