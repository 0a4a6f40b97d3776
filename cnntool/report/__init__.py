"""How results look: tables, sheets of pictures, the facts about this machine. Computes nothing."""
