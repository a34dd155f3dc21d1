"""How bodies move, apart from what they are to do: mathematics that environments share."""
