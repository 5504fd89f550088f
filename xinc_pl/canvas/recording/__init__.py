"""Record what a network computes, and replay it."""
