"""Results as files to keep or to send: one inspection or explanation, or the thoughts of a whole data set."""
