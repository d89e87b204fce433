"""Files on the disk: which there are, their bytes, and what one of them holds."""
