"""Whole files through a bundle, in bounded memory."""
