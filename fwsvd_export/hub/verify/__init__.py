"""Whether a folder is fit for the Hub: one file per check."""
