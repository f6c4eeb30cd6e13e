"""``python -m realtime_matting`` is ``rtmatte``."""

from realtime_matting.cli import main

main()
