"""Small networks without torch: language models and autoencoders with gradients derived by hand, in numba."""
