"""Tests of what makes a step faster."""
