"""How few parameters do: submissions that spend arithmetic where they save weights."""
