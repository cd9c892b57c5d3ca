"""Where an address lies: from the cache, else from a geocoder, asked once whoever wants to know.

An address is personal data. Its text stays in the request (and in the question to the provider);
what is kept, and what processes tell each other, is a keyed hash of it.
"""
