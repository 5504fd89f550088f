"""What neurons do: the derivative of the output along their terms, and the output without them."""
