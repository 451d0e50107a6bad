"""Tables of many columns: how the time and memory of each step grow, and the analysis compared with TFT's own."""
