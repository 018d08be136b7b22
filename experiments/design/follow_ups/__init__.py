"""Follow-up experiments: files made from another experiment's, and limits on them."""
