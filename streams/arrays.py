"""Array types with their dtype written down; the codec checks them on the way in."""

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

Bool = Annotated[NDArray[np.bool_], "|b1"]
I8 = Annotated[NDArray[np.int8], "|i1"]
U8 = Annotated[NDArray[np.uint8], "|u1"]
U16 = Annotated[NDArray[np.uint16], "<u2"]
U32 = Annotated[NDArray[np.uint32], "<u4"]
U64 = Annotated[NDArray[np.uint64], "<u8"]
I32 = Annotated[NDArray[np.int32], "<i4"]
I64 = Annotated[NDArray[np.int64], "<i8"]
F32 = Annotated[NDArray[np.float32], "<f4"]
F64 = Annotated[NDArray[np.float64], "<f8"]
AnyArray = NDArray[Any]
