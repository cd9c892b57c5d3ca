"""Pages of accounts: allauth's, with our forms and templates, and a few of our own."""
