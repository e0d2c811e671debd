"""The analytic simulator: what a layer graph costs on hardware that a target describes."""
