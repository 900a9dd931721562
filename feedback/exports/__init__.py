"""Hand a snapshot out in the formats that people train and measure with."""
