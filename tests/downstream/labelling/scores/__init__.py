"""Tests of downstream/labelling/scores."""
