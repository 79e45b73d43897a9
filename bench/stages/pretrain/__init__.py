"""Pretrain: a method trains an encoder."""
