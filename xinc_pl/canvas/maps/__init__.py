"""Maps as they are made: groups of neurons, distinct values and where they lie in the image, clusters, threads."""
