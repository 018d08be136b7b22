"""Written reports: Markdown with live charts and tables, its versions, its frozen copies."""
