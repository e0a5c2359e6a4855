"""`docs/reference/`, made from the classes and the commands themselves."""
