"""A server that takes long to load: it begins once a file says that its owner has ended."""

import os
import threading
import time
from pathlib import Path
from unittest.mock import patch

from flows.servers import prefect_server

OWNER_HAS_ENDED = "owner-has-ended"

if __name__ == "__main__":
    while not (Path(os.environ["PREFECT_HOME"]) / OWNER_HAS_ENDED).exists():
        time.sleep(0.01)
    with patch.object(prefect_server, "_mended"):
        prefect_server.for_one_run()
    threading.Event().wait()
