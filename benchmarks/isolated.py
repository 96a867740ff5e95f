"""Run a module of this folder in an isolated interpreter (python -I): isolated.py MODULE ARGUMENT..."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.argv[:] = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=False)
