"""What components are active: from hook values to the non-zeros of a batch."""
