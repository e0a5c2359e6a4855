"""Where secrets may have got to: files and what is packed in them, SQLite databases, Git histories, environments, processes."""
