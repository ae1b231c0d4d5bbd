"""Our training step beside those of torch.nn, JAX and Keras; see README.md here."""
