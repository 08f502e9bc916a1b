"""Tests of consumers/sentences."""
