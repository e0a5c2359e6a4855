"""`bondstone demo`: the main job, end to end, on real ocean data and real servers of this machine."""
