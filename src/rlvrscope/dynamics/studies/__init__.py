"""Studies: which settings are simulated, and the numbers read off their trajectories. `report` draws them."""
