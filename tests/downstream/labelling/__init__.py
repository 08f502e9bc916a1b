"""Tests of downstream/labelling."""
