"""What is done with a block: connect to the vendor's own client, and tasks that hold the name of a block and no more.

One module per outside system; each imports its vendor's packages only when it is used, and says which extra brings them.
"""
