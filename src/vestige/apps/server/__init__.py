"""`vestige serve`: the detector behind an HTTP interface, with limits on everything that strangers send."""
