"""One module per verb of the program; each only wires settings to functions of the packages."""
