"""The course's nets, `params` and `loss(X, y=None)`, run by a `backpass.Model`."""
