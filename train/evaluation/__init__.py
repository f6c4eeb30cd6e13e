"""What `python -m train.evaluate` is made of: sets of pictures with known alpha, predictors, measuring, reports."""
