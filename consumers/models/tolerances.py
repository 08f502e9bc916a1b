"""How far two forwards of one model may be apart, by dtype, relative to the values."""

import torch

# What two orders of the same additions differ by, with room for models deeper than those measured
# (docs/numbers.md): single roundings of these types are 6e-8, 4e-3 and 5e-4 of a value.
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 5e-2, torch.float16: 5e-3}
