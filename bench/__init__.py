"""Speed beside how others do it. Nothing here is imported by the other packages."""
