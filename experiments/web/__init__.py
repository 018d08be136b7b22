"""The frame that pages and API share: formatting, errors, bodies, paging, middleware."""
