"""Names of the phases in which Semantic Human Matting is trained (Chen et al. 2018, section 4)."""

from typing import Literal

Phase = Literal["t_net", "m_net", "end_to_end"]
