"""A cache of results that machines share: fetched before anything is built, pushed by CI."""
